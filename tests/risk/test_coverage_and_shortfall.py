"""VaR and ES back-tests against published tables, and what the lights do."""

from decimal import Decimal

import numpy as np
import pytest
from scipy.special import ndtri, stdtrit

from qtm.errors import RiskError
from qtm.risk.coverage import (
    LikelihoodRatio,
    Transitions,
    conditional_coverage,
    exceptions_of,
    independence,
    kupiec,
    kupiec_accepted,
)
from qtm.risk.lights import Light, action_for, traffic_light
from qtm.risk.parametric import normal_tail_multiplier, student_t_tail_multiplier
from qtm.risk.rules import ACTIVE, REDUCING
from qtm.risk.shortfall_tests import acerbi_szekely_z1, acerbi_szekely_z2, es_light, simulate_z2, z2_critical


class NormalTail:
    def losses(self, u):
        return -ndtri(u)

    def cvar(self, alpha):
        return normal_tail_multiplier(alpha)


class StudentTail:
    def __init__(self, freedom):
        self.freedom = freedom

    def losses(self, u):
        return -stdtrit(self.freedom, u)

    def cvar(self, alpha):
        return student_t_tail_multiplier(self.freedom, alpha)


def test_kupiec_reproduces_the_published_example():
    test = kupiec(1043, 57, 0.95)
    assert test.statistic == pytest.approx(0.46147, abs=1e-5)
    assert test.p_value == pytest.approx(0.49694, abs=1e-5)


def test_kupiec_statistics_for_a_year_at_99():
    expected = [5.0252, 1.1765, 0.1084, 0.0949, 0.7691, 1.9568, 3.5554, 5.4970, 7.7336, 10.229, 12.956]
    assert [kupiec(250, n, 0.99).statistic for n in range(11)] == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize(
    ("p", "bounds"),
    [
        (0.01, [(1, 6), (2, 10), (5, 16)]),
        (0.025, [(3, 11), (7, 20), (16, 35)]),
        (0.05, [(7, 20), (17, 35), (38, 64)]),
        (0.075, [(12, 27), (28, 50), (60, 91)]),
        (0.10, [(17, 35), (39, 64), (82, 119)]),
    ],
)
def test_kupiec_non_rejection_regions(p, bounds):
    assert [kupiec_accepted(t, 1 - p) for t in (255, 510, 1000)] == bounds


def test_critical_values_are_those_of_chi_squared():
    for freedom, level, critical in [
        (1, 0.05, 3.8415),
        (1, 0.01, 6.6349),
        (2, 0.05, 5.9915),
        (2, 0.01, 9.2103),
    ]:
        assert LikelihoodRatio(critical, freedom).p_value == pytest.approx(level, abs=1e-5)


@pytest.mark.parametrize(("counts", "expected"), [((237, 6, 6, 0), 0.29633), ((236, 5, 5, 3), 11.51421)])
def test_christoffersen_independence(counts, expected):
    assert independence(Transitions(*counts)).statistic == pytest.approx(expected, abs=1e-5)


def test_clustered_exceptions_are_rejected_by_the_joint_test():
    hits = np.zeros(250, dtype=bool)
    hits[[20, 21, 22, 60, 61, 100, 150, 200]] = True  # 236 quiet pairs, 5 entries, 5 exits, 3 repeats
    assert Transitions.of(hits) == (236, 5, 5, 3)
    joint = conditional_coverage(hits, 0.99)
    assert joint.statistic == pytest.approx(11.51421 + 7.73355, abs=2e-5)
    assert joint.rejects(0.01)


def test_no_exception_says_nothing_about_clustering():
    assert independence(Transitions(249, 0, 0, 0)).statistic == 0.0


def test_basel_cumulative_probabilities_zones_and_factors():
    expected = [8.11, 28.58, 54.32, 75.81, 89.22, 95.88, 98.63, 99.60, 99.89, 99.97, 99.99]
    rows = [traffic_light(250, n) for n in range(12)]
    assert [100 * row.cumulative for row in rows[:11]] == pytest.approx(expected, abs=0.005)
    assert [row.light for row in rows] == [Light.GREEN] * 5 + [Light.YELLOW] * 5 + [Light.RED] * 2
    assert [row.plus_factor for row in rows[4:]] == [0, 0.40, 0.50, 0.65, 0.75, 0.85, 1.00, 1.00]
    assert [row.multiplier for row in rows[4:]] == [1.50, 1.70, 1.76, 1.83, 1.88, 1.92, 2.00, 2.00]


def test_traffic_light_outside_basels_own_window():
    row = traffic_light(1043, 57, 0.95)
    assert row.light is Light.GREEN
    assert row.cumulative == pytest.approx(0.77913, abs=1e-5)
    assert row.type_one == pytest.approx(0.26396, abs=1e-5)
    assert row.plus_factor is None
    assert row.multiplier is None


def test_acerbi_szekely_fixture():
    pnl = np.array([-3, 1, -2.5, 0.5, -0.2, -4])
    var, es = np.full(6, 2.0), np.full(6, 2.4)
    assert acerbi_szekely_z1(pnl, var, es) == pytest.approx(-0.319444, abs=1e-6)
    assert acerbi_szekely_z2(pnl, var, es, 0.75) == pytest.approx(-1.638889, abs=1e-6)


def test_z1_is_undefined_and_z2_is_one_without_exceptions():
    quiet = np.full(5, 0.1)
    assert acerbi_szekely_z1(quiet, np.ones(5), np.ones(5)) is None
    assert acerbi_szekely_z2(quiet, np.ones(5), np.ones(5), 0.975) == 1.0


@pytest.mark.parametrize(
    ("tail", "five", "tolerance"),
    [
        (NormalTail(), -0.70, 0.02),
        (StudentTail(10), -0.71, 0.02),
        (StudentTail(5), -0.74, 0.02),
        (StudentTail(4), -0.76, 0.02),
        (StudentTail(3), -0.81, 0.03),
    ],
)
def test_z2_critical_values_are_simulated_per_model(tail, five, tolerance):
    simulated = simulate_z2([tail] * 250, 0.975, trials=40_000, seed=1)
    assert simulated.mean() == pytest.approx(0.0, abs=0.01)
    assert z2_critical(simulated, 0.05) == pytest.approx(five, abs=tolerance)


def test_the_red_light_begins_where_one_true_history_in_ten_thousand_ends():
    """The literature rounds both to -1.8."""
    normal = simulate_z2([NormalTail()] * 250, 0.975, trials=100_000, seed=4)
    assert z2_critical(normal, 0.0001) == pytest.approx(-1.77, abs=0.12)
    assert z2_critical(normal, 0.05) == pytest.approx(-0.70, abs=0.01)


def test_a_long_history_is_judged_by_its_own_critical_value():
    published = -0.38265  # T = 1966
    normal = z2_critical(simulate_z2([NormalTail()] * 1966, 0.975, trials=20_000, seed=2), 0.01)
    fat = z2_critical(simulate_z2([StudentTail(3)] * 1966, 0.975, trials=20_000, seed=2), 0.01)
    assert normal == pytest.approx(-0.352, abs=0.012)
    assert fat == pytest.approx(-0.425, abs=0.025)
    assert published < normal
    assert published > fat


def test_es_light_follows_the_simulated_tail():
    simulated = simulate_z2([NormalTail()] * 250, 0.975, trials=20_000, seed=3)
    assert es_light(0.0, simulated) is Light.GREEN
    assert es_light(-1.0, simulated) is Light.YELLOW
    assert es_light(-3.0, simulated) is Light.RED


def test_a_quantile_beyond_the_simulations_is_refused():
    with pytest.raises(RiskError, match="too few simulated"):
        z2_critical(np.sort(np.random.default_rng(0).normal(size=1000)), 0.0001)


def test_lights_act_on_limits_and_the_worst_one_rules():
    assert action_for(Light.GREEN) == (Decimal(1), ACTIVE, False)
    assert action_for(Light.GREEN, Light.YELLOW) == (Decimal("0.85"), ACTIVE, False)
    assert action_for(Light.YELLOW, Light.RED, Light.GREEN) == (Decimal("0.85"), REDUCING, True)


def test_a_model_without_any_light_is_treated_as_red():
    assert action_for().state == REDUCING


def test_a_loss_equal_to_var_is_no_exception():
    assert list(exceptions_of(np.array([-2.0, -2.1]), np.array([2.0, 2.0]))) == [False, True]


def test_a_day_without_forecast_is_not_a_day_without_exception():
    with pytest.raises(RiskError, match="position 1"):
        exceptions_of(np.array([0.1, 0.2]), np.array([1.0, np.nan]))


@pytest.mark.parametrize(
    ("observations", "exceptions", "alpha"), [(0, 0, 0.99), (10, 11, 0.99), (10, 1, 1.0)]
)
def test_impossible_counts_are_refused(observations, exceptions, alpha):
    with pytest.raises(RiskError):
        kupiec(observations, exceptions, alpha)


def test_a_negative_shortfall_forecast_is_refused():
    with pytest.raises(RiskError, match="positive losses"):
        acerbi_szekely_z2(np.array([-3.0]), np.array([2.0]), np.array([-2.4]), 0.975)

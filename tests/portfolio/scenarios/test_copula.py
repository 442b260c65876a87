"""The t copula: known parameters recovered, closed-form tail dependence met, margins kept."""

import numpy as np
import pytest
from scipy import stats

from qtm.errors import RiskError
from qtm.portfolio.scenarios.copula import TCopula, fit_t_copula, t_copula_scenarios
from qtm.portfolio.scenarios.margins import Margins
from qtm.portfolio.scenarios.reshaped import exponentially_weighted
from tests.portfolio.problems import heavy_tailed_returns
from tests.portfolio.scenarios.sets import scenario_set

CORRELATION = np.array([[1.0, 0.6, 0.2], [0.6, 1.0, -0.3], [0.2, -0.3, 1.0]])


@pytest.mark.parametrize("freedom", [3.0, 8.0])
def test_known_correlation_and_freedom_are_recovered(freedom):
    fitted = fit_t_copula(stats.norm.ppf(TCopula(CORRELATION, freedom).draw(4000, 1)))
    assert fitted.correlation == pytest.approx(CORRELATION, abs=0.04)
    assert fitted.freedom == pytest.approx(freedom, rel=0.2)


def test_normal_data_have_many_degrees_of_freedom():
    normal = np.random.default_rng(2).standard_normal((3000, 3)) @ np.linalg.cholesky(CORRELATION).T
    assert fit_t_copula(normal).freedom > 40


def test_margins_do_not_move_the_copula():
    draws = TCopula(CORRELATION, 4.0).draw(2000, 3)
    plain, bent = (fit_t_copula(f(draws)) for f in (stats.norm.ppf, lambda u: stats.expon.ppf(u) ** 3))
    assert bent.freedom == pytest.approx(plain.freedom, rel=1e-6)
    assert bent.correlation == pytest.approx(plain.correlation)


@pytest.mark.parametrize(("freedom", "rho"), [(2.0, 0.5), (4.0, 0.5), (4.0, 0.0), (10.0, 0.9)])
def test_published_tail_dependence(freedom, rho):
    """Coefficients of the bivariate t copula, McNeil, Frey and Embrechts (2015), table 7.1."""
    table = {(2.0, 0.5): 0.39, (4.0, 0.5): 0.25, (4.0, 0.0): 0.08, (10.0, 0.9): 0.46}
    copula = TCopula(np.array([[1.0, rho], [rho, 1.0]]), freedom)
    assert copula.tail_dependence(0, 1) == pytest.approx(table[freedom, rho], abs=0.006)


def test_joint_crashes_of_the_draws_are_as_likely_as_the_tail_dependence_says():
    copula = TCopula(np.array([[1.0, 0.5], [0.5, 1.0]]), 3.0)
    uniform = copula.draw(400_000, 4)
    level = 0.002
    together = float((uniform < level).all(axis=1).mean()) / level
    assert together == pytest.approx(copula.tail_dependence(0, 1), abs=0.05)
    gaussian = TCopula(copula.correlation, 1e6).draw(400_000, 4)
    assert together > 2 * float((gaussian < level).all(axis=1).mean()) / level


@pytest.mark.parametrize("margins", list(Margins))
def test_each_margin_keeps_the_history_of_its_symbol(margins):
    history = scenario_set(heavy_tailed_returns(3, 1500, 5))
    drawn = t_copula_scenarios(history, draws=20_000, margins=margins, seed=6)
    for column in range(3):
        for level, tolerance in ((0.05, 0.1), (0.5, 0.0012), (0.95, 0.1)):
            before, after = (np.quantile(s.returns[:, column], level) for s in (history, drawn))
            assert after == pytest.approx(before, rel=tolerance, abs=0.0012)
    weights = np.full(3, 1 / 3)
    assert drawn.cvar(weights, 0.95) == pytest.approx(history.cvar(weights, 0.95), rel=0.15)


def test_empirical_margins_stop_at_the_worst_day_and_pareto_tails_do_not():
    history = scenario_set(heavy_tailed_returns(2, 1000, 7))
    worst = history.returns.min()
    assert t_copula_scenarios(history, draws=20_000, margins=Margins.EMPIRICAL).returns.min() >= worst
    assert t_copula_scenarios(history, draws=20_000, margins=Margins.PARETO_TAILS).returns.min() < worst


def test_the_same_seed_draws_the_same_scenarios():
    history = scenario_set(heavy_tailed_returns(3, 300, 8))
    one, two, other = (t_copula_scenarios(history, draws=300, seed=seed) for seed in (1, 1, 2))
    assert (one.returns == two.returns).all() and (one.returns != other.returns).any()
    assert one.provenance.seed == 1 and one.provenance.parameters["freedom"] > 1.5


def test_duplicated_and_single_assets_have_a_copula_and_constant_ones_do_not():
    returns = heavy_tailed_returns(2, 300, 9)
    double = t_copula_scenarios(scenario_set(np.hstack((returns, returns[:, :1]))), draws=500)
    assert np.corrcoef(double.returns[:, 0], double.returns[:, 2])[0, 1] > 0.999
    single = t_copula_scenarios(scenario_set(returns[:, :1]), draws=500)
    assert single.returns.shape == (500, 1)
    with pytest.raises(RiskError, match="constant"):
        fit_t_copula(np.column_stack((returns, np.zeros(300))))
    with pytest.raises(RiskError, match="60 rows"):
        fit_t_copula(returns[:59])
    with pytest.raises(RiskError, match="equally likely"):
        t_copula_scenarios(exponentially_weighted(scenario_set(returns)))

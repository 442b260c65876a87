"""Parametric measures against published multipliers and simulation."""

import numpy as np
import pytest

from qtm.errors import RiskError
from qtm.risk.measures import historical_cvar, historical_var
from qtm.risk.parametric import (
    Moments,
    cornish_fisher_cvar,
    cornish_fisher_is_monotone,
    cornish_fisher_var,
    normal_cvar,
    normal_var,
    student_t_cvar,
    student_t_freedom,
    student_t_tail_multiplier,
    student_t_var,
)


@pytest.mark.parametrize(
    ("alpha", "quantile", "tail"),
    [(0.95, 1.644854, 2.062713), (0.975, 1.959964, 2.337803), (0.99, 2.326348, 2.665214)],
)
def test_normal_multipliers(alpha, quantile, tail):
    assert normal_var(0.0, 1.0, alpha) == pytest.approx(quantile, abs=5e-7)
    assert normal_cvar(0.0, 1.0, alpha) == pytest.approx(tail, abs=5e-7)
    assert normal_cvar(0.01, 0.02, alpha) == pytest.approx(-0.01 + 0.02 * tail, abs=1e-7)


@pytest.mark.parametrize(
    ("freedom", "tail"), [(3, 5.03958), (4, 3.99356), (5, 3.52158), (6, 3.25615), (10, 2.81900)]
)
def test_student_t_tail_at_97_5(freedom, tail):
    assert student_t_tail_multiplier(freedom, 0.975) == pytest.approx(tail, abs=5e-6)


def test_student_t_scales_to_the_given_deviation():
    sample = np.random.default_rng(1).standard_t(5, 400_000)
    sample = 0.02 * sample / sample.std()
    assert student_t_var(0.0, 0.02, 5, 0.95) == pytest.approx(historical_var(sample, 0.95), rel=0.01)
    assert student_t_cvar(0.0, 0.02, 5, 0.95) == pytest.approx(historical_cvar(sample, 0.95), rel=0.01)


def test_degrees_of_freedom_are_recovered_from_a_sample():
    sample = np.random.default_rng(2).standard_t(4, 20_000)
    assert student_t_freedom(sample) == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize(("alpha", "expected"), [(0.95, 1.721744), (0.99, 3.301284)])
def test_cornish_fisher_published_values(alpha, expected):
    assert cornish_fisher_var(Moments(0.0, 1.0, -0.5, 3.0), alpha) == pytest.approx(expected, abs=5e-7)


def test_cornish_fisher_cvar_is_the_mean_of_its_own_tail():
    moments = Moments(0.001, 0.02, -0.5, 3.0)
    levels = 0.95 + 0.05 * (np.arange(20_000) + 0.5) / 20_000
    mean_tail = np.mean([cornish_fisher_var(moments, level) for level in levels])
    assert cornish_fisher_cvar(moments, 0.95) == pytest.approx(mean_tail, rel=1e-3)


def test_cornish_fisher_without_skew_and_kurtosis_is_normal():
    assert cornish_fisher_cvar(Moments(0.0, 1.0, 0.0, 0.0), 0.99) == pytest.approx(normal_cvar(0, 1, 0.99))


@pytest.mark.parametrize(
    "moments", [Moments(0, 1, -2.0, 3.0), Moments(0, 1, 0.0, 9.0), Moments(0, 1, 0.5, 0.0)]
)
def test_cornish_fisher_refuses_moments_outside_its_domain(moments):
    assert not cornish_fisher_is_monotone(moments)
    with pytest.raises(RiskError, match="not monotone"):
        cornish_fisher_var(moments, 0.99)

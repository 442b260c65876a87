"""Extreme value tails against published figures, their own samples and scipy's estimator."""

import numpy as np
import pytest
from scipy.stats import genpareto

from qtm.errors import RiskError
from qtm.risk.extreme_value import ParetoTail, fit_generalised_pareto, fit_pareto_tail
from qtm.risk.measures import historical_cvar, historical_var

DANISH_FIRE = ParetoTail(threshold=10.0, shape=0.497, scale=6.98, observations=2156, excesses=109)


def test_danish_fire_losses_as_published():
    assert DANISH_FIRE.var(0.99) == pytest.approx(27.38, abs=0.01)
    assert DANISH_FIRE.cvar(0.99) == pytest.approx(58.43, abs=0.01)
    assert DANISH_FIRE.var(0.99) == pytest.approx(27.3, abs=0.1)  # as printed in the paper
    assert DANISH_FIRE.cvar(0.99) == pytest.approx(58.2, abs=0.3)


def test_shortfall_is_the_mean_of_the_tails_own_losses():
    u = (np.arange(200_000) + 0.5) / 200_000 * 0.025
    tail = ParetoTail(0.04, 0.2, 0.02, 1000, 100)
    assert tail.losses(u).mean() == pytest.approx(tail.cvar(0.975), rel=1e-3)


@pytest.mark.parametrize("shape", [-0.2, 0.0, 0.15, 0.5])
def test_shape_and_scale_are_recovered(shape):
    sample = genpareto.rvs(shape, scale=0.03, size=20_000, random_state=1)
    found, scale = fit_generalised_pareto(sample)
    assert found == pytest.approx(shape, abs=0.03)
    assert scale == pytest.approx(0.03, rel=0.03)


@pytest.mark.parametrize(("shape", "seed"), [(0.3, 1), (0.1, 2), (-0.1, 3), (0.6, 4)])
def test_likelihood_is_at_least_that_of_scipys_fit(shape, seed):
    sample = genpareto.rvs(shape, scale=2.0, size=120, random_state=seed)
    ours = fit_generalised_pareto(sample)
    theirs = genpareto.fit(sample, floc=0)
    mine = genpareto.logpdf(sample, ours[0], scale=ours[1]).sum()
    assert mine >= genpareto.logpdf(sample, theirs[0], scale=theirs[2]).sum() - 1e-4


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("power", [0.2, 0.5, 1.0, 3.0])
def test_tails_that_end_early_are_fitted_down_to_the_least_shape_without_a_warning(power):
    excesses = np.linspace(0.01, 1.0, 60) ** power
    shape, scale = fit_generalised_pareto(excesses)
    assert shape >= -0.5 - 1e-9 and scale > 0.0
    assert 1.0 + shape / scale * excesses.max() > 0.0  # no excess lies beyond the fitted end


def test_inside_the_data_the_tail_agrees_with_history():
    returns = np.random.default_rng(3).standard_t(4, size=20_000) * 0.02
    tail = fit_pareto_tail(returns)
    for alpha in (0.95, 0.975, 0.99):
        assert tail.var(alpha) == pytest.approx(historical_var(returns, alpha), rel=0.05)
        assert tail.cvar(alpha) == pytest.approx(historical_cvar(returns, alpha), rel=0.10)
    assert 0.1 < tail.shape < 0.35  # a t with four degrees has shape 1/4


def test_threshold_leaves_the_asked_share_above_it():
    tail = fit_pareto_tail(-np.arange(1.0, 501.0), share=0.1)
    assert tail.excesses == 50
    assert tail.threshold == 450.0
    assert tail.begins_at == pytest.approx(0.9)


def test_levels_before_the_tail_begins_are_refused():
    with pytest.raises(RiskError, match="outside the fitted tail"):
        DANISH_FIRE.var(0.90)


def test_a_tail_without_mean_has_var_but_no_shortfall():
    tail = ParetoTail(1.0, 1.1, 1.0, 1000, 100)
    assert tail.var(0.99) > 1.0
    with pytest.raises(RiskError, match="no finite mean"):
        tail.cvar(0.99)


@pytest.mark.parametrize(
    "returns", [np.full(100, -0.01), np.abs(np.random.default_rng(0).normal(size=500)), np.zeros(1000)]
)
def test_series_without_a_loss_tail_are_refused(returns):
    with pytest.raises(RiskError):
        fit_pareto_tail(returns)

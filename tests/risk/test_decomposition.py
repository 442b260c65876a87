"""Risk decomposition against Jorion's and Rockafellar-Uryasev's published portfolios."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qtm.errors import RiskError
from qtm.risk.decomposition import (
    component_cvar,
    component_parametric,
    incremental_cvar,
    marginal_cvar,
    marginal_parametric,
)
from qtm.risk.measures import historical_cvar
from qtm.risk.parametric import normal_cvar, normal_tail_multiplier
from tests.portfolio.rockafellar_uryasev import COVARIANCE, MEAN, MINIMUM_VARIANCE


def test_jorion_two_currencies():
    positions = np.array([2e6, 1e6])
    covariance = np.diag([0.05**2, 0.12**2])
    components = component_parametric(covariance, positions, 1.65)
    assert components == pytest.approx([105_630, 152_108], abs=1)
    assert components.sum() == pytest.approx(257_738, abs=1)
    assert marginal_parametric(covariance, positions, 1.65) == pytest.approx([0.052815, 0.152108], abs=1e-6)
    more = positions + np.array([10_000, 0])
    change = 1.65 * (np.sqrt(more @ covariance @ more) - np.sqrt(positions @ covariance @ positions))
    assert change == pytest.approx(529, abs=1)


def test_rockafellar_uryasev_components():
    multiplier = normal_tail_multiplier(0.95)
    marginal = marginal_parametric(COVARIANCE, MINIMUM_VARIANCE, multiplier, MEAN)
    component = component_parametric(COVARIANCE, MINIMUM_VARIANCE, multiplier, MEAN)
    assert marginal == pytest.approx([0.100921, 0.003855, 0.161523], abs=2e-6)
    assert component == pytest.approx([0.045618, 0.000446, 0.069845], abs=2e-6)
    deviation = np.sqrt(MINIMUM_VARIANCE @ COVARIANCE @ MINIMUM_VARIANCE)
    assert component.sum() == pytest.approx(normal_cvar(MEAN @ MINIMUM_VARIANCE, deviation, 0.95))


@given(
    arrays(np.float64, (53, 4), elements=st.floats(-0.5, 0.5)),
    arrays(np.float64, 4, elements=st.floats(-2, 2)),
    st.sampled_from([0.9, 0.95, 0.975, 0.99]),
)
def test_components_sum_to_the_portfolio_cvar(scenarios, weights, alpha):
    total = historical_cvar(scenarios @ weights, alpha)
    assert component_cvar(scenarios, weights, alpha).sum() == pytest.approx(total, abs=1e-12)


def test_marginal_is_the_derivative_and_incremental_the_difference():
    scenarios = np.random.default_rng(3).normal(0, 0.02, (500, 5))
    weights = np.array([0.3, 0.3, 0.2, 0.1, 0.1])
    step = np.array([1e-9, 0, 0, 0, 0])
    slope = incremental_cvar(scenarios, weights, step, 0.95) / 1e-9
    assert marginal_cvar(scenarios, weights, 0.95)[0] == pytest.approx(slope, rel=1e-5)
    assert incremental_cvar(scenarios, weights, -weights, 0.95) == pytest.approx(
        -historical_cvar(scenarios @ weights, 0.95)
    )


def test_weights_that_do_not_fit_the_scenarios_are_refused():
    with pytest.raises(RiskError, match="do not belong together"):
        marginal_cvar(np.zeros((10, 3)), np.zeros(4), 0.95)

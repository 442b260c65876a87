"""Published optima and measures, reached through the optimiser.

Rockafellar and Uryasev (2000), tables 4 and 5; AAPL's daily returns of 1990 to 2022, whose measures skfolio's
own tests assert: an optimiser that may hold cash under half of a published measure holds half of AAPL.
"""

from pathlib import Path

import numpy as np
import pytest

from qtm.portfolio.optimise import optimise
from qtm.portfolio.problem import DrawdownCap, TailCap
from qtm.portfolio.reference import solve_reference
from qtm.risk.parametric import normal_cvar, normal_var
from tests.portfolio import rockafellar_uryasev as published
from tests.portfolio.problems import problem


@pytest.mark.parametrize("alpha", [0.90, 0.95, 0.99])
def test_rockafellar_uryasev_table_4_in_closed_form(alpha):
    weights = published.MINIMUM_VARIANCE
    variance = weights @ published.COVARIANCE @ weights
    assert variance == pytest.approx(published.VARIANCE, abs=1e-8)
    assert published.MEAN @ weights == pytest.approx(published.REQUIRED_RETURN, abs=1e-7)
    mean, deviation = published.MEAN @ weights, np.sqrt(variance)
    assert normal_var(mean, deviation, alpha) == pytest.approx(published.VAR[alpha], abs=2e-6)
    assert normal_cvar(mean, deviation, alpha) == pytest.approx(published.CVAR[alpha], abs=2e-6)


@pytest.mark.parametrize("alpha", [0.90, 0.95, 0.99])
def test_rockafellar_uryasev_table_5_from_sobol_points(alpha):
    answer = optimise(published.smallest_cvar(alpha))
    weights, var, cvar = published.SOBOL_20000[alpha]
    assert answer.weights == pytest.approx(weights, abs=0.02)
    assert answer.var == pytest.approx(var, rel=0.01)
    assert answer.cvar == pytest.approx(cvar, rel=0.01)


@pytest.fixture(scope="module")
def aapl():
    return np.load(Path(__file__).parents[1] / "risk" / "aapl_daily_returns.npz")["returns"][:, None]


def test_half_of_the_cvar_of_aapl_holds_half_of_aapl(aapl):
    caps = (TailCap(0.95, 0.5 * 0.059240073),)
    answer = optimise(problem(aapl, mean=np.array([0.001]), invested=(0.0, 1.0), tail_caps=caps))
    assert answer.weights == pytest.approx([0.5], rel=1e-5)


@pytest.mark.parametrize(("alpha", "published"), [(0.95, 0.92763054), (0.99999, 1.24805324)])
def test_half_of_the_drawdown_of_aapl_holds_half_of_aapl_within_the_gap_proven(aapl, alpha, published):
    """An interior method stops short on so long a path; its gap is no less than what is missing."""
    cap = DrawdownCap(alpha, 0.5 * published)
    posed = problem(aapl, mean=np.array([0.001]), invested=(0.0, 1.0), drawdown_cap=cap)
    answer = solve_reference(posed, ("CLARABEL",))
    assert 0.5 * (1.0 - answer.gap) - 1e-8 <= answer.weights[0] <= 0.5 + 1e-7
    assert answer.gap < 1e-3

"""The measures on a published series: AAPL's daily returns of 1990 to 2022 in skfolio's S&P 500 data set.

The expected values are those skfolio's own tests assert for that series (BSD-3-Clause, skfolio.org).
"""

from pathlib import Path

import numpy as np
import pytest

from qtm.risk.measures import (
    cdar,
    drawdowns,
    equity_of,
    historical_cvar,
    historical_var,
    max_drawdown,
    uncompounded_drawdowns,
)


@pytest.fixture(scope="module")
def returns():
    return np.load(Path(__file__).parent / "aapl_daily_returns.npz")["returns"]


def test_var_and_cvar(returns):
    assert returns.shape == (8312,)
    assert historical_var(returns, 0.95) == pytest.approx(0.039568345, abs=1e-9)
    assert historical_cvar(returns, 0.95) == pytest.approx(0.059240073, abs=1e-9)


def test_drawdown_family(returns):
    assert cdar(uncompounded_drawdowns(returns), 0.95) == pytest.approx(0.92763054, abs=1e-8)
    assert cdar(drawdowns(equity_of(returns))[1:], 0.95) == pytest.approx(0.78282175, abs=1e-8)
    assert uncompounded_drawdowns(returns).max() == pytest.approx(1.24805324, abs=1e-8)
    assert max_drawdown(equity_of(returns)) == pytest.approx(0.81809872, abs=1e-8)

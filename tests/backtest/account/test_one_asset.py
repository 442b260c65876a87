"""An account with one asset and one strategy is the single-asset engine, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from qtm.backtest.account.engine import run_account
from qtm.backtest.account.panel import Listed, Panel
from qtm.backtest.account.seats import Seat
from qtm.backtest.account.terms import Conditions
from qtm.backtest.engine import run_backtest
from qtm.backtest.funding import FundingRates
from qtm.backtest.look_ahead import proof_market
from qtm.backtest.sinks import ORDER_ROW
from qtm.market.instruments import Market
from qtm.risk.rules import GateLimits
from qtm.strategies.registry import load_strategy
from qtm.trading.book import Sizing
from qtm.trading.costs import SPOT_COSTS, UM_COSTS
from qtm.trading.margin import Margin
from tests.backtest.account.markets import coin

TIGHT = GateLimits(30_000.0, 200_000.0, 0.03, 0.2, 0.1, 4.0, 6 * 3_600_000.0, 5_000.0)
QUICK = {
    "trend": {"fast": 3, "slow": 8},
    "breakout": {"channel": 10, "ranges": 5, "width": 1.5, "short": -1.0},
    "mean-reversion": {"window": 30, "entry": 1.5},
}


def hourly_funding(bars, rate: float) -> FundingRates:  # type: ignore[no-untyped-def]
    times = bars.open_time_ms[::8].copy()
    return FundingRates(times, np.full(times.size, rate), np.full(times.size, 8))


@pytest.mark.parametrize("market", [Market.SPOT, Market.UM])
@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("depth", [{}, {"impact": 0.5, "participation": 0.05}])
def test_one_asset_equals_the_single_asset_engine(name, market, gated, depth) -> None:  # type: ignore[no-untyped-def]
    bars, strategy = proof_market(1_500, 3), load_strategy(name)
    perpetual = market is Market.UM
    costs = (UM_COSTS if perpetual else SPOT_COSTS)._replace(**depth)
    funding = hourly_funding(bars, 0.0004) if perpetual else None
    margin = Margin(20.0, 0.05, 0.01) if perpetual else None
    sizing, limits = Sizing(amount=3.0 if perpetual else 0.9), TIGHT if gated else None
    alone = run_backtest(
        strategy, QUICK[name], bars, coin("PROOF", market), cash=20_000.0, costs=costs, sizing=sizing,
        limits=limits, funding=funding, margin=margin,
    )  # fmt: skip
    panel = Panel.of([Listed(coin("PROOF", market), bars, funding)])
    conditions = Conditions(
        20_000.0, costs=costs, limits=limits, margin={} if margin is None else {"um:PROOF": margin}
    )
    shared = run_account([Seat(strategy, QUICK[name], sizing=sizing)], panel, conditions, keep_signals=True)
    np.testing.assert_array_equal(shared.equity, alone.equity)
    np.testing.assert_array_equal(shared.signals[:, 0], alone.signals)
    assert len(alone.order_rows) >= 2
    for field in ORDER_ROW.names:
        np.testing.assert_array_equal(shared.order_rows[field], alone.order_rows[field], err_msg=field)
    ours, theirs = shared.statistics.as_dict(), alone.statistics.as_dict()
    assert ours == pytest.approx(theirs, rel=1e-9, nan_ok=True)

"""The breakout strategy goes on trading after its stop."""

from __future__ import annotations

import numpy as np

from qtm.backtest.engine import run_backtest
from qtm.backtest.look_ahead import proof_market
from qtm.strategies.bundled.breakout import strategy
from qtm.trading.book import Sizing
from qtm.trading.costs import SPOT_COSTS
from tests.backtest.scripted import instrument


def test_what_commission_leaves_of_a_position_does_not_keep_it_out() -> None:
    result = run_backtest(
        strategy, {"channel": 20, "ranges": 10, "width": 3.0}, proof_market(6_000, 4), instrument(),
        cash=1e5, costs=SPOT_COSTS, sizing=Sizing(),
    )  # fmt: skip
    assert 0.0 < float(np.abs(result.order_rows["qty_after"]).min()) < 0.001  # commission left something
    assert result.statistics.trades > 20

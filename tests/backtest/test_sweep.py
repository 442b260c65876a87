"""A sweep's rows are the figures of the same backtests run one by one."""

from __future__ import annotations

import math

import pytest

from qtm.backtest.engine import run_backtest
from qtm.backtest.look_ahead import proof_market
from qtm.backtest.sweep import run_sweep
from qtm.errors import StrategyError
from qtm.market.instruments import Market
from qtm.risk.rules import GateLimits
from qtm.strategies.registry import load_strategy
from qtm.trading.book import Sizing
from qtm.trading.costs import UM_COSTS
from tests.backtest.scripted import instrument

TREND = load_strategy("trend")
LIMITS = GateLimits(150_000.0, 150_000.0, 0.03, 0.25, 0.2, 60.0, 10_000.0, 5_000.0)
RUN = {"cash": 100_000.0, "costs": UM_COSTS, "sizing": Sizing(), "limits": LIMITS}
GRID = {"slow": [30, 60, 90], "fast": [3, 7, 11, 15, 19], "below": [-1.0, 0.0]}


def test_rows_equal_single_backtests() -> None:
    # Longer than one block of bars, so a combination's memory is put down and taken up again.
    market, venue = proof_market(9_000, seed=4), instrument(Market.UM)
    progress: list[int] = []
    found = run_sweep(TREND, GRID, market, venue, threads=2, on_progress=progress.append, **RUN)
    assert len(found) == 30 and sorted(progress)[-1] == 30
    assert found["slow"].to_list() == sorted(found["slow"].to_list())
    for row in found.iter_rows(named=True):
        params = {name: row.pop(name) for name in ("fast", "slow", "below")}
        single = run_backtest(TREND, params, market, venue, **RUN).statistics.as_dict()
        for name, value in row.items():
            expected = single[name]
            if value is None:
                assert math.isnan(expected), (params, name)
            else:
                assert value == pytest.approx(expected, rel=1e-11), (params, name)
        assert row["final_equity"] == single["final_equity"]


def test_threads_do_not_change_a_row() -> None:
    market, venue = proof_market(2_000, seed=5), instrument(Market.UM)
    assert run_sweep(TREND, GRID, market, venue, threads=1, **RUN).equals(
        run_sweep(TREND, GRID, market, venue, threads=3, **RUN)
    )


def test_a_value_out_of_range_is_refused_before_anything_runs() -> None:
    with pytest.raises(StrategyError, match="slow=5000"):
        run_sweep(TREND, {"slow": [50, 5_000]}, proof_market(100, 1), instrument(), **RUN)

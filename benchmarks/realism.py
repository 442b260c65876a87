"""Stops, margin, funding, impact and the risk gate against the same engine bare, in CPU time."""

from __future__ import annotations

import dataclasses
import time
from typing import Any, NamedTuple

import numpy as np

from benchmarks._bars import CASH, FAST, FEE, HEADER, INSTRUMENT, SLOW, one_year, peak_mb, row, seconds
from qtm.backtest.engine import BacktestResult, run_backtest
from qtm.backtest.funding import FundingRates
from qtm.features.indicators import ATR, CAPACITY, WINDOW, atr, rolling_sum
from qtm.market.bars import BarSeries
from qtm.market.instruments import Instrument, Market
from qtm.risk.rules import GateLimits
from qtm.strategies.contract import step_strategy
from qtm.trading.book import SIZE_BY_UNITS, Sizing
from qtm.trading.costs import FEE_IN_QUOTE, CostModel
from qtm.trading.margin import NO_MARGIN, margin_of
from qtm.trading.plan import Plan

LIMITS = GateLimits(1e9, 1e9, 0.03, 0.9, 0.9, 60.0, 10_000.0, 5_000.0)
BARE = CostModel(FEE, FEE, 0.0, FEE_IN_QUOTE)
REAL = CostModel(FEE, FEE, 1.0, FEE_IN_QUOTE, impact=0.5, participation=0.25)


class Params(NamedTuple):
    """Windows in bars, and the reach of the trailing stop in average ranges; 0 sets none."""

    fast: int = FAST
    slow: int = SLOW
    width: float = 0.0


STATE = {"fast": WINDOW, "slow": WINDOW, "range": ATR}
BOUNDS = {"fast": (1, CAPACITY), "slow": (2, CAPACITY), "width": (0.0, 50.0)}


@step_strategy(name="bench-bare", summary="Long and short.", params=Params, bounds=BOUNDS, state=STATE)
def bare(params: Any, state: Any, bar: Any, account: Any) -> float:
    """A crossing of averages without exits; the range is measured and not used."""
    fast = rolling_sum(state.fast, bar.close_ticks, params.fast)
    slow = rolling_sum(state.slow, bar.close_ticks, params.slow)
    reach = atr(state.range, bar.high, bar.low, bar.close, 60)
    if state.slow.count < params.slow or reach < 0.0:
        return np.nan
    return 1.0 if fast * params.slow > slow * params.fast else -1.0


@step_strategy(name="bench-guarded", summary="With a stop.", params=Params, bounds=BOUNDS, state=STATE)
def guarded(params: Any, state: Any, bar: Any, account: Any) -> Plan:
    """The same with a stop and a trailing stop on every new position."""
    fast = rolling_sum(state.fast, bar.close_ticks, params.fast)
    slow = rolling_sum(state.slow, bar.close_ticks, params.slow)
    reach = atr(state.range, bar.high, bar.low, bar.close, 60)
    if state.slow.count < params.slow or reach < 0.0:
        return Plan(np.nan, np.nan, np.nan, np.nan)
    side = 1.0 if fast * params.slow > slow * params.fast else -1.0
    if side * account.qty > 0.0:
        return Plan(side, np.nan, np.nan, np.nan)
    return Plan(side, bar.close - side * 3.0 * params.width * reach, 0.0, params.width * reach)


def contract() -> Instrument:
    """The instrument of the benchmarks as a perpetual."""
    return dataclasses.replace(INSTRUMENT, market=Market.UM)


def funding(bars: BarSeries) -> FundingRates:
    """A basis point every eight hours."""
    eight = 8 * 3_600_000
    times = np.arange(int(bars.open_time_ms[0]), int(bars.open_time_ms[-1]) + 1, eight)
    return FundingRates(times, np.full(times.size, 1e-4), np.full(times.size, 8))


def main() -> None:
    """Print the table."""
    bars, length = one_year(), len(one_year())
    rates = funding(bars)

    def plain() -> BacktestResult:
        return run_backtest(
            bare, None, bars, contract(), cash=CASH, costs=BARE, sizing=Sizing(SIZE_BY_UNITS, 1.0),
            margin=NO_MARGIN,
        )  # fmt: skip

    def real() -> BacktestResult:
        return run_backtest(
            guarded, {"width": 4.0}, bars, contract(), cash=CASH, costs=REAL,
            sizing=Sizing(SIZE_BY_UNITS, 1.0), margin=margin_of(contract()), funding=rates, limits=LIMITS,
        )  # fmt: skip

    best, median = seconds(plain, 21, clock=time.process_time)
    full = seconds(real, 21, clock=time.process_time)
    print(HEADER)
    print(row("bare: no exits, margin, funding, impact, gate", best, median, length, median, peak_mb()))
    print(row("full: all of them", *full, length, median, peak_mb()))
    lean, rich = plain(), real()
    causes = rich.orders["cause"].value_counts(sort=True).rows()
    print(f"bare {lean.statistics.fills:,} fills; full {rich.statistics.fills:,} fills of {causes}")
    print(f"funding paid {rich.statistics.funding:,.2f}; full over bare {full[1] / median:.2f} (bound 3)")


if __name__ == "__main__":
    main()

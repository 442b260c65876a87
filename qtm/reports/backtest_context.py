"""A backtest beside its market: exposure, the benchmark, and the days of crisis."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from qtm.backtest.conditions.contract import Result
from qtm.backtest.holdings import Holdings
from qtm.backtest.overfitting.stress_replay import replay_stress
from qtm.backtest.statistics import DAYS_PER_YEAR, daily_returns, sharpe_ratio
from qtm.backtest.tape.result import SymbolResult
from qtm.reports.backtest_figures import drawdown_path, market_name, share_ticks, thinned
from qtm.reports.blocks import ACCENT, Block, Cell, figure, numbers, paragraph, table, times, tone_of
from qtm.reports.formats import percent, ratio

Floats = npt.NDArray[np.float64]


def exposure_figure(result: SymbolResult) -> Block:
    """Value of the position over equity at each close; beyond 100 % is leverage, below zero is short."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = Holdings.of(result).qty * result.bars.close / result.equity
    share = np.where(np.isfinite(share), share, 0.0)
    kept = thinned(share)
    line = {
        "type": "scatter", "mode": "lines", "name": "Exposure", "line": {"color": ACCENT, "width": 1.0},
        "x": times(result.bars.open_time_ms[kept] + result.bars.interval.ms), "y": numbers(share[kept]),
        "fill": "tozeroy", "fillcolor": "rgba(31,95,191,0.14)", "hovertemplate": "%{y:.1%}",
    }  # fmt: skip
    return figure(
        [line],
        {
            "xaxis": {"type": "date"},
            "yaxis": {"title": {"text": "Position / equity"}, "tickformat": share_ticks(share)},
        },
        height=260,
    )


def benchmark_table(result: Result) -> Block:
    """The strategy beside buying at the first open and holding, of an account every symbol in equal parts."""
    times_ms, cash = result.bars.open_time_ms, result.cash
    held = cash * result.bars.close / result.bars.open[0]
    mine, market = (daily_returns(times_ms, path, cash) for path in (result.equity, held))
    deviation = math.sqrt(DAYS_PER_YEAR)
    moves = mine.size > 2 and mine.std() > 0.0 and market.std() > 0.0
    correlation = float(np.corrcoef(mine, market)[0, 1]) if moves else math.nan
    beta = correlation * float(mine.std() / market.std()) if moves else math.nan
    alpha = (float(mine.mean()) - beta * float(market.mean())) * DAYS_PER_YEAR if moves else math.nan
    s = result.statistics

    def spread(returns: Floats) -> float:
        return float(returns.std(ddof=1)) * deviation if returns.size > 1 else math.nan

    rows = [
        ("Total return", percent(s.total_return, signed=True), percent(held[-1] / cash - 1.0, signed=True)),
        ("Volatility", percent(spread(mine)), percent(spread(market))),
        ("Sharpe", ratio(s.sharpe), ratio(sharpe_ratio(market))),
        ("Max drawdown", percent(-s.max_drawdown), percent(float(drawdown_path(held, cash).min()))),
        ("Correlation of daily returns", ratio(correlation), ""),
        ("Beta", ratio(beta), ""),
        ("Alpha a year", percent(alpha, signed=True), ""),
    ]
    return table(("", "Strategy", market_name(result)), rows, caption="Against the market")


def crisis_table(result: Result) -> Block:
    """The market's worst events that the run covers whole, worst fall first."""
    found = replay_stress(result)
    if not found:
        return paragraph("The run covers none of the events on record whole.", "muted")
    rows = [
        (
            one.name,
            # What shows as nothing is neither gain nor loss.
            Cell(percent(one.strategy_return, signed=True), tone_of(round(one.strategy_return, 4))),
            percent(one.market_return, signed=True),
            percent(-one.worst_fall),
        )
        for one in found
    ]
    headers = ("Event", "Strategy", "Market", "Worst fall inside")
    return table(headers, rows, caption="Days of crisis")

"""Figures of every kind of backtest: equity and drawdown, rolling Sharpe, distribution of returns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from qtm.backtest.account.result import AccountResult
from qtm.backtest.conditions.contract import Result
from qtm.backtest.session import DAY_MS
from qtm.backtest.statistics import DAYS_PER_YEAR, daily_equity, daily_returns
from qtm.reports.blocks import ACCENT, BAD, INK, NEUTRAL, Block, figure, numbers, paragraph, times
from qtm.reports.formats import percent

Floats = npt.NDArray[np.float64]

POINTS = 4_000
"""Most points of a line; beyond, each stretch keeps its lowest and highest value."""
ROLLING_DAYS = 90
_STILL = 1e-6
"""Deviation of daily returns below which there is nothing to measure."""


def thinned(values: Floats, points: int = POINTS) -> npt.NDArray[np.int64]:
    """Indices that keep the shape of a line: the lowest and highest value of each stretch, and both ends."""
    length = values.size
    if length <= points:
        return np.arange(length)
    stretch = -(-length // (points // 2))
    whole = length // stretch
    grid = values[: whole * stretch].reshape(whole, stretch)
    base = np.arange(whole) * stretch
    kept = np.concatenate(([0, length - 1], base + grid.argmin(axis=1), base + grid.argmax(axis=1)))
    return np.unique(kept)


def drawdown_path(equity: Floats, cash: float) -> Floats:
    """Fall from the highest equity so far as a fraction at each close (zero or negative); shape (T,)."""
    return np.asarray(equity / np.maximum(np.maximum.accumulate(equity), cash) - 1.0)


def market_name(result: Result) -> str:
    """What the run is measured against."""
    return "Equal parts, held" if isinstance(result, AccountResult) else "Buy and hold"


def share_ticks(values: Floats) -> str:
    """The format of an axis of shares: so many decimals that its ticks differ."""
    reach = float(np.ptp(values))
    return ".0%" if reach > 0.05 else ".1%" if reach > 0.005 else ".2%" if reach > 0.0005 else ".3%"


def equity_figure(result: Result) -> Block:
    """Equity against buying and holding, with the drawdown underneath."""
    moments, equity = result.bars.open_time_ms + result.bars.interval.ms, result.equity
    holding = result.cash * result.bars.close / result.bars.open[0]
    fall = drawdown_path(equity, result.cash)
    lines = []
    for name, values, colour, width, axis in (
        ("Strategy", equity, ACCENT, 1.8, "y"),
        (market_name(result), holding, NEUTRAL, 1.1, "y"),
        ("Drawdown", fall, BAD, 1.0, "y2"),
    ):
        kept = thinned(values)
        trace: dict[str, Any] = {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            "x": times(moments[kept]),
            "y": numbers(values[kept]),
            "yaxis": axis,
            "line": {"color": colour, "width": width},
            "hovertemplate": "%{y:.2%}" if axis == "y2" else "%{y:,.0f}",
        }
        if axis == "y2":
            trace |= {"fill": "tozeroy", "fillcolor": "rgba(185,58,50,0.14)", "showlegend": False}
        lines.append(trace)
    return figure(
        lines,
        {
            "xaxis": {"type": "date", "anchor": "y2"},
            "yaxis": {"domain": [0.34, 1], "title": {"text": f"Equity, {result.instrument.quote}"}},
            "yaxis2": {
                "domain": [0, 0.27],
                "title": {"text": "Drawdown"},
                "tickformat": share_ticks(fall),
            },
        },
        height=460,
    )


def rolling_sharpe(result: Result) -> Block:
    """Sharpe ratio of the last `ROLLING_DAYS` days at each day."""
    days, _ = daily_equity(result.bars.open_time_ms, result.equity)
    returns = daily_returns(result.bars.open_time_ms, result.equity, result.cash)
    if returns.size <= ROLLING_DAYS:
        return paragraph(f"A rolling Sharpe ratio needs more than {ROLLING_DAYS} days.", "muted")
    windows = np.lib.stride_tricks.sliding_window_view(returns, ROLLING_DAYS)
    deviation = windows.std(axis=1, ddof=1)
    sharpe = np.full(deviation.size, np.nan)
    # What fees leave behind of a position moves by billionths: such days are as good as flat.
    np.divide(windows.mean(axis=1), deviation, out=sharpe, where=deviation > _STILL)
    return figure(
        [
            {
                "type": "scatter",
                "mode": "lines",
                "name": "Sharpe",
                "x": times((days[ROLLING_DAYS - 1 :] + 1) * DAY_MS),
                "y": numbers(sharpe * math.sqrt(DAYS_PER_YEAR)),
                "line": {"color": ACCENT, "width": 1.5},
                "hovertemplate": "%{y:.2f}",
            }
        ],
        {
            "xaxis": {"type": "date"},
            "yaxis": {"title": {"text": f"Sharpe, {ROLLING_DAYS} days"}, "zeroline": True},
        },
        height=300,
    )


def distribution(result: Result) -> Block:
    """Histogram of daily returns with VaR and CVaR at 95 %."""
    returns = daily_returns(result.bars.open_time_ms, result.equity, result.cash)
    if returns.size < 20:
        return paragraph("A distribution needs at least 20 days.", "muted")
    counted, edges = np.histogram(returns, bins=min(60, max(12, returns.size // 6)))
    middles = (edges[1:] + edges[:-1]) / 2
    s = result.statistics
    marks = [("VaR 95 %", -s.var_95, INK, "dot"), ("CVaR 95 %", -s.cvar_95, BAD, "dash")]
    return figure(
        [
            {
                "type": "bar",
                "x": numbers(middles, precise=True),
                "y": numbers(counted),
                "name": "Days",
                "width": float(edges[1] - edges[0]) * 0.92,
                "hovertemplate": "%{y:.0f} days",
                "marker": {"color": [BAD if m < -s.var_95 else ACCENT for m in middles]},
                "showlegend": False,
            },
            *(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "x": [at, at],
                    "y": [0, float(counted.max())],
                    "name": f"{name} {percent(-at)}",
                    "line": {"color": colour, "dash": dash, "width": 1.6},
                    "hoverinfo": "skip",
                }
                for name, at, colour, dash in marks
            ),
        ],
        {
            "xaxis": {"tickformat": ".1%", "title": {"text": "Daily return"}},
            "yaxis": {"title": {"text": "Days"}},
            "hovermode": "closest",
        },
        height=300,
    )


def filled(result: Result) -> npt.NDArray[np.void]:
    """The rows of orders filled in whole or in part."""
    rows: npt.NDArray[np.void] = result.order_rows[result.order_rows["filled_lots"] != 0.0]
    return rows

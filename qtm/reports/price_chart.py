"""Prices with what was traded on them: fills as markers, round trips as lines from entry to exit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qtm.backtest.account.result import AccountResult
from qtm.backtest.tape.making import prints
from qtm.backtest.tape.result import OrdersResult, SymbolResult
from qtm.reports.backtest_figures import filled, thinned
from qtm.reports.blocks import BAD, GOOD, NEUTRAL, PAPER, Block, Section, figure, numbers, paragraph, times

MARKERS = 1_200
"""Most fills marked on the chart of one symbol; beyond, the latest are shown."""
CHARTS = 30
"""Most symbols of an account that have a chart: those with the most fills."""
_POINTS_OF_MANY = 1_500
_MARKERS_OF_MANY = 300


@dataclass(frozen=True, slots=True)
class _Traded:
    """One symbol's prices, shape (T,) at their closes, with the fills and round trips on it."""

    name: str
    closed_ms: npt.NDArray[np.int64]
    close: npt.NDArray[np.float64]
    fills: npt.NDArray[np.void]
    trades: npt.NDArray[np.void]
    step_size: float


def price_section(result: SymbolResult) -> Section:
    """The chart of a run on one symbol."""
    moments, prices = _prices(result)
    one = _Traded(
        result.bars.symbol,
        moments,
        prices,
        filled(result),
        result.trades,
        float(result.instrument.step_size),
    )
    count = len(one.fills)
    note = f"The latest {MARKERS:,} of {count:,} fills are marked" if count > MARKERS else f"{count:,} fills"
    words = f"{note}; lines join the entry and exit of round trips that won or lost."
    chart = _figure(_traces(one, 4_000, MARKERS), result.instrument.quote)
    return Section("Trades on the price", [chart], words if count else "Nothing was filled.")


def _prices(result: SymbolResult) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The closes of the bars, or every trade of a tape that has them: fills lie between its bars."""
    if isinstance(result, OrdersResult) and not result.tape.of_bars:
        times_ns, ticks = prints(result)
        if len(ticks):
            return times_ns // 1_000_000, np.asarray(ticks * float(result.instrument.tick_size), np.float64)
    return result.bars.open_time_ms + result.bars.interval.ms, result.bars.close


def prices_section(result: AccountResult) -> Section:
    """The charts of an account, one at a time, the most traded symbol first."""
    found = sorted(_each(result), key=lambda one: -len(one.fills))
    if not found:
        return Section("Trades on the price", [paragraph("Nothing was filled.", "muted")])
    shown = found[:CHARTS]
    traces: list[dict[str, Any]] = []
    owner: list[int] = []
    for number, one in enumerate(shown):
        own = _traces(one, _POINTS_OF_MANY, _MARKERS_OF_MANY)
        traces += [{**trace, "visible": number == 0} for trace in own]
        owner += [number] * len(own)
    choices = [
        {
            "label": f"{one.name} ({len(one.fills):,} fills)",
            "method": "restyle",
            "args": ["visible", [of == number for of in owner]],
        }
        for number, one in enumerate(shown)
    ]
    menu = {
        "buttons": choices, "x": 0, "xanchor": "left", "y": 0, "yanchor": "top", "direction": "up",
        "bgcolor": PAPER, "pad": {"t": 28},
    }  # fmt: skip
    # Below the axis: above it a narrow screen has the legend on two lines.
    layout = {"updatemenus": [menu], "margin": {"b": 76}} if len(shown) > 1 else {}
    of_how_many = f", of the {CHARTS} most traded of {len(found)}" if len(found) > CHARTS else ""
    words = (
        f"{shown[0].name}, the most traded; on screen another can be chosen{of_how_many}. "
        "Lines join the entry and exit of round trips that won or lost."
    )
    return Section("Trades on the price", [_figure(traces, result.quote, layout)], words)


def _each(result: AccountResult) -> list[_Traded]:
    """Every instrument with a fill, on the bars it has."""
    panel, rows = result.panel, result.order_rows
    rows = rows[rows["filled_lots"] != 0.0]
    of = result.legs["instrument"][rows["leg"]]
    found = []
    for n in np.unique(of).tolist():
        known = np.isfinite(panel.close[:, n])
        legs = np.flatnonzero(result.legs["instrument"] == n)
        found.append(
            _Traded(
                panel.names[n],
                panel.open_time_ms[known] + panel.interval.ms,
                panel.close[known, n],
                rows[of == n],
                np.concatenate([result.trades_by_leg[leg] for leg in legs]),
                float(result.sizes[n]),
            )
        )
    return found


def _traces(one: _Traded, points: int, markers: int) -> list[dict[str, Any]]:
    """The close, lines of the round trips that lie among the marked fills, and the fills."""
    kept = thinned(one.close, points)
    lines: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "Price",
            "x": times(one.closed_ms[kept]),
            "y": numbers(one.close[kept], precise=True),
            "line": {"color": NEUTRAL, "width": 1.1},
            "hovertemplate": "%{y:,}",
        }
    ]
    fills = one.fills[-markers:]
    if not fills.size:
        return lines
    trades = one.trades[one.trades["entry_ms"] >= fills["decided_ms"][0]]
    for name, chosen, colour in (
        ("Won", trades[trades["profit"] > 0.0], GOOD),
        ("Lost", trades[trades["profit"] <= 0.0], BAD),
    ):
        if chosen.size:
            lines.append(_round_trips(name, chosen, colour))
    for name, chosen, colour, symbol in (
        ("Buy", fills[fills["lots"] > 0], GOOD, "triangle-up"),
        ("Sell", fills[fills["lots"] < 0], BAD, "triangle-down"),
    ):
        lines.append(
            {
                "type": "scattergl" if chosen.size > 500 else "scatter",
                "mode": "markers",
                "name": name,
                "x": times(chosen["decided_ms"]),
                "y": numbers(chosen["fill_price"], precise=True),
                "customdata": numbers(np.abs(chosen["filled_lots"]) * one.step_size),
                "marker": {"color": colour, "symbol": symbol, "size": 7, "opacity": 0.8},
                "hovertemplate": f"{name} %{{customdata:,.8~g}} at %{{y:,}}<extra></extra>",
            }
        )
    return lines


def _round_trips(name: str, chosen: npt.NDArray[np.void], colour: str) -> dict[str, Any]:
    """Lines from entry to exit; a price that is not a number parts one from the next."""
    when = np.column_stack([chosen["entry_ms"], *[chosen["exit_ms"]] * 2])
    at = np.column_stack([chosen["entry_price"], chosen["exit_price"], np.full(chosen.size, np.nan)])
    return {
        "type": "scatter", "mode": "lines", "name": name, "x": times(when.ravel()),
        "y": numbers(at.ravel(), precise=True), "line": {"color": colour, "width": 1.2, "dash": "dot"},
        "hoverinfo": "skip",
    }  # fmt: skip


def _figure(traces: list[dict[str, Any]], quote: str, layout: dict[str, Any] | None = None) -> Block:
    return figure(
        traces,
        {
            "xaxis": {"type": "date"},
            "yaxis": {"title": {"text": f"Price, {quote}"}},
            "hovermode": "closest",
            **(layout or {}),
        },
        height=380,
    )

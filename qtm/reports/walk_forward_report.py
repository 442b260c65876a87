"""A walk-forward analysis on one page: what was chosen in each window, and what it earned after it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from qtm.backtest.overfitting.walk_forward import WalkForward
from qtm.backtest.statistics import DAYS_PER_YEAR, sharpe_ratio
from qtm.clock import iso_utc
from qtm.reports.backtest_figures import drawdown_path, thinned
from qtm.reports.blocks import (
    ACCENT,
    BAD,
    NEUTRAL,
    SERIES,
    Block,
    Card,
    Cell,
    Document,
    Section,
    cards,
    figure,
    numbers,
    paragraph,
    table,
    times,
    tone_of,
)
from qtm.reports.formats import MISSING, money, percent, ratio

_YEAR = math.sqrt(DAYS_PER_YEAR)


def walk_forward_document(found: WalkForward, *, strategy: str, interval: str) -> Document:
    """The page of a finished walk-forward analysis."""
    first, last = found.steps[0], found.steps[-1]
    sections = [
        Section("In short", [_cards(found)], _words(found)),
        Section(
            "Out of sample", [_equity_figure(found)],
            "Only windows that came after the choice, one after another; upright lines are refits.",
        ),
        Section(
            "Promised and kept", [_sharpe_figure(found)],
            "The Sharpe ratio of each window's choice where it was chosen, and in the window it traded.",
        ),
        Section(
            "Parameters chosen", [_choice_figure(found)],
            "Those that ever changed. A choice that wanders fits noise.",
        ),
        Section("Windows", [_windows_table(found)]),
    ]  # fmt: skip
    return Document(
        f"Walk-forward: {strategy} {interval}",
        f"{iso_utc(first.train_to_ms)[:10]} to {iso_utc(last.test_to_ms)[:10]} · {len(found.steps)} windows",
        sections,
        footer="Sharpe ratios are of net daily returns, per year of 365 days. All times UTC.",
    )


def _cards(found: WalkForward) -> Block:
    total = float(found.equity[-1]) / found.cash - 1.0
    kept = percent(found.efficiency, 0) if math.isfinite(found.efficiency) else MISSING
    earned = sum(step.test_return > 0.0 for step in found.steps)
    sharpe = sharpe_ratio(found.returns)
    return cards(
        [
            Card("Return", percent(total, signed=True), f"{found.returns.size:,} days", tone_of(total)),
            Card("Sharpe", ratio(sharpe), "out of sample", tone_of(sharpe)),
            Card("Max drawdown", percent(float(drawdown_path(found.equity, found.cash).min())), "", "bad"),
            Card("Kept", kept, "of the Sharpe ratio promised"),
            Card("Windows that earned", f"{earned} of {len(found.steps)}"),
            Card("Different choices", f"{found.choices}", f"in {len(found.steps)} windows"),
            Card("Cost of refits", money(sum(step.refit_cost for step in found.steps), 2)),
        ]
    )


def _words(found: WalkForward) -> str:
    if not math.isfinite(found.efficiency):
        return "The choices promised nothing, so nothing could be kept."
    if found.efficiency >= 0.5:
        return "Out of sample the choices keep at least half of what they promised."
    return "Out of sample the choices keep less than half of what they promised: most of it was fitted."


def _equity_figure(found: WalkForward) -> Block:
    fall, step = drawdown_path(found.equity, found.cash), int(np.diff(found.open_time_ms[:2]).sum())
    kept = np.union1d(thinned(found.equity), thinned(fall))
    moments = found.open_time_ms[kept] + step
    lines: list[dict[str, Any]] = [
        {
            "type": "scatter", "mode": "lines", "name": "Equity", "x": times(moments),
            "y": numbers(found.equity[kept]), "line": {"color": ACCENT, "width": 1.8},
            "hovertemplate": "%{y:,.0f}",
        },
        {
            "type": "scatter", "mode": "lines", "name": "Drawdown", "x": times(moments),
            "y": numbers(fall[kept]), "yaxis": "y2", "line": {"color": BAD, "width": 1.0}, "fill": "tozeroy",
            "showlegend": False, "fillcolor": "rgba(185,58,50,0.14)", "hovertemplate": "%{y:.2%}",
        },
    ]  # fmt: skip
    refits = [
        {"type": "line", "x0": step.train_to_ms, "x1": step.train_to_ms, "yref": "paper", "y0": 0, "y1": 1,
         "line": {"color": NEUTRAL, "width": 0.7, "dash": "dot"}}
        for step in found.steps
    ]  # fmt: skip
    layout = {
        "xaxis": {"type": "date", "anchor": "y2"},
        "yaxis": {"domain": [0.34, 1], "title": {"text": "Equity"}},
        "yaxis2": {"domain": [0, 0.27], "title": {"text": "Drawdown"}, "tickformat": ".0%"},
        "shapes": refits,
    }
    return figure(lines, layout, height=440)


def _sharpe_figure(found: WalkForward) -> Block:
    windows = [iso_utc(step.train_to_ms)[:10] for step in found.steps]
    promised = np.array([step.train_sharpe for step in found.steps]) * _YEAR
    kept = np.array([step.test_sharpe for step in found.steps]) * _YEAR
    bars = [
        {"type": "bar", "name": name, "x": windows, "y": numbers(values), "marker": {"color": colour},
         "hovertemplate": "%{y:.2f}"}
        for name, values, colour in (("Where it was chosen", promised, NEUTRAL), ("Traded", kept, ACCENT))
    ]  # fmt: skip
    upright = {"title": {"text": "Sharpe a year"}}
    layout = {"barmode": "group", "xaxis": {"type": "category"}, "yaxis": upright}
    return figure(bars, layout, height=300)


def _choice_figure(found: WalkForward) -> Block:
    """Each parameter that moved, over the largest value it took."""
    windows = [iso_utc(step.train_to_ms)[:10] for step in found.steps]
    chosen = [dict(step.params._asdict()) for step in found.steps]
    lines = []
    for at, name in enumerate(chosen[0]):
        values = np.array([float(one[name]) for one in chosen])
        if values.size > 1 and (values == values[0]).all():
            continue
        largest = float(np.abs(values).max()) or 1.0
        line = {
            "type": "scatter", "mode": "lines+markers", "name": f"{name} (of {largest:g})", "x": windows,
            "y": numbers(values / largest), "line": {"color": SERIES[at % len(SERIES)], "width": 1.4},
            "hovertemplate": "%{y:.0%}",
        }  # fmt: skip
        lines.append(line)
    upright = {"title": {"text": "Share of its largest"}, "tickformat": ".0%"}
    if not lines:
        return paragraph("Every window chose the same.", "muted")
    layout = {"xaxis": {"type": "category"}, "yaxis": upright}
    return figure(lines, layout, height=280)


def _windows_table(found: WalkForward) -> Block:
    rows = [
        (
            iso_utc(step.train_from_ms)[:10],
            f"{iso_utc(step.train_to_ms)[:10]} to {iso_utc(step.test_to_ms)[:10]}",
            step.symbol,
            ", ".join(f"{name} {value:g}" for name, value in step.params._asdict().items()),
            ratio(step.train_sharpe * _YEAR),
            Cell(ratio(step.test_sharpe * _YEAR), tone_of(step.test_sharpe)),
            Cell(percent(step.test_return, signed=True), tone_of(step.test_return)),
            money(step.refit_cost, 2),
        )
        for step in found.steps
    ]
    headers = ("Chosen from", "Traded", "Symbol", "Parameters", "Promised", "Kept", "Return", "Refit cost")
    return table(headers, rows, text_columns=4)

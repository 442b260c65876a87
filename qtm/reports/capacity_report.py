"""What a strategy earns with more and more capital, on one page."""

from __future__ import annotations

from typing import Any

import numpy as np

from qtm.backtest.capacity import KEPT, Capacity, Step
from qtm.clock import iso_utc
from qtm.reports.blocks import (
    ACCENT,
    NEUTRAL,
    Block,
    Card,
    Cell,
    Document,
    Section,
    cards,
    figure,
    numbers,
    table,
    tone_of,
)
from qtm.reports.formats import MISSING, money, percent, ratio


def capacity_document(found: Capacity) -> Document:
    """The page of the runs that were made."""
    sections = [
        Section("In short", [_cards(found)], found.in_words()),
        Section(
            "With more capital", [_figure(found)],
            f"Dotted is {KEPT:.0%} of what the run has where its trades move no price.",
        ),
        Section("Runs", [_table(found)]),
    ]  # fmt: skip
    place = found.place
    days = f"{iso_utc(place.first_ms)[:10]} to {iso_utc(place.last_ms)[:10]}"
    chosen = ", ".join(f"{name} {value:g}" for name, value in found.params.items())
    return Document(
        f"Capacity: {found.strategy}",
        f"{place.symbol} {place.interval} · {days} · {chosen}",
        sections,
        footer=(
            f"Each run begins with its capital and trades on what it has become. A taker pays "
            f"{found.impact:g} × volatility × √(quantity ÷ volume) of its bar more; all orders on a symbol "
            f"take at most {percent(found.participation, 0)} of a bar."
        ),
    )


def _cards(found: Capacity) -> Block:
    bears, free = found.bears, found.free
    limit = "" if found.is_bounded else "the most that was tried"
    return cards(
        [
            Card("Bears", MISSING if bears is None else money(bears.cash, 0), limit),
            Card("Earned a year", MISSING if bears is None else money(bears.earned_a_year, 0), "with it"),
            Card("Sharpe", MISSING if bears is None else ratio(bears.sharpe), "with it"),
            Card("Sharpe", ratio(free.sharpe), "where its trades move no price", tone_of(free.sharpe)),
            Card("Impact", f"{found.impact:g}", "× volatility × √(share of the volume)"),
            Card("Participation", percent(found.participation, 0), "of a bar at most"),
        ]
    )


def _figure(found: Capacity) -> Block:
    capitals = np.array([step.cash for step in found.steps])
    lines = [
        _line("Sharpe a year", capitals, [step.sharpe for step in found.steps], "y", "%{y:.2f}"),
        _line("Filled of what was asked", capitals, [step.filled for step in found.steps], "y2", "%{y:.0%}"),
    ]
    halves = [
        {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": upright, "y0": level, "y1": level,
         "line": {"color": NEUTRAL, "width": 1.0, "dash": "dot"}}
        for upright, level in (("y", KEPT * found.free.sharpe), ("y2", KEPT))
    ]  # fmt: skip
    layout = {
        "xaxis": {"type": "log", "anchor": "y2", "title": {"text": "Capital"}},
        "yaxis": {"domain": [0.52, 1], "title": {"text": "Sharpe a year"}},
        "yaxis2": {"domain": [0, 0.42], "title": {"text": "Filled"}, "tickformat": ".0%"},
        "shapes": halves,
        "showlegend": False,
    }
    return figure(lines, layout, height=420)


def _line(name: str, capitals: Any, values: list[float], upright: str, hover: str) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "lines+markers", "name": name, "x": numbers(capitals),
        "y": numbers(np.array(values)), "yaxis": upright, "line": {"color": ACCENT, "width": 1.6},
        "hovertemplate": hover,
    }  # fmt: skip


def _table(found: Capacity) -> Block:
    rows = [_row("moves no price", found.free)]
    rows += [_row("bears" if step is found.bears else "", step) for step in found.steps]
    headers = ("", "Capital", "Return a year", "Earned a year", "Sharpe", "Max drawdown", "Filled")
    return table(headers, rows, text_columns=1)


def _row(name: str, step: Step) -> tuple[str | Cell, ...]:
    return (
        name,
        money(step.cash, 0),
        Cell(percent(step.annual_return, signed=True), tone_of(step.annual_return)),
        money(step.earned_a_year, 0),
        ratio(step.sharpe),
        percent(step.max_drawdown),
        percent(step.filled, 0),
    )

"""The page of a weekly or monthly roll-up of risk, and its files."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from qtm.reports.blocks import (
    ACCENT,
    BAD,
    GOOD,
    Block,
    Card,
    Cell,
    Document,
    Section,
    Tone,
    cards,
    figure,
    numbers,
    paragraph,
    table,
)
from qtm.reports.formats import MISSING, money, percent
from qtm.reports.model_lights import light_cell, lights_paragraph
from qtm.reports.page import render_page, write_report
from qtm.reports.risk_charts import DUST
from qtm.reports.risk_roll_up import Period, RollUp, lights_by_model, read_roll_up
from qtm.risk.lights import Light


def roll_up_document(roll_up: RollUp) -> Document:
    """The roll-up before it becomes a page or a PDF."""
    return Document(
        f"{roll_up.period.value.capitalize()} risk roll-up",
        f"{roll_up.first} to {roll_up.last} · {len(roll_up.bodies)} daily reports",
        roll_up_sections(roll_up),
        footer="Made from the daily risk reports; nothing is measured again. All times UTC.",
    )


def roll_up_sections(roll_up: RollUp) -> list[Section]:
    """The sections of the page, for this report or another."""
    last_lights = [row[-1] for row in lights_by_model(roll_up).values() if row]
    return [
        Section("In short", [_cards(roll_up), *_gaps(roll_up)]),
        Section(
            "Risk and result by day", [_chart(roll_up)], "CVaR against its cap, and the P&L between reports."
        ),
        Section("Limits", [_limits_table(roll_up)], "Every limit: its highest use, and the days beyond it."),
        *_accounts(roll_up),
        Section(
            "Risk models",
            [_lights_table(roll_up), lights_paragraph(last_lights)],
            "The lights of each day; what they ask for is that of the last.",
        ),
        Section("Positions", [_positions_table(roll_up)], "Weights at both ends, largest change first."),
    ]


def write_roll_up(folder: Path, last: date, period: Period) -> tuple[Path, RollUp]:
    """Write `risk-weekly-YYYY-MM-DD.html` and `.json` (or monthly) into `folder`, each atomically.

    Raises
    ------
    DataError
        As `read_roll_up`.
    StoreError
        When the folder cannot be written.
    """
    roll_up = read_roll_up(folder, last, period)
    name = f"risk-{period}-{last.isoformat()}"
    write_report(folder / f"{name}.json", json.dumps(roll_up.body(), indent=1) + "\n")
    return write_report(folder / f"{name}.html", render_page(roll_up_document(roll_up))), roll_up


def _cards(roll_up: RollUp) -> Block:
    cvars, breaches = roll_up.cvars, roll_up.breaches
    known = [pnl for pnl in roll_up.pnl if math.isfinite(pnl)]
    capital = float(roll_up.bodies[-1]["capital"])
    days = sum(len(found) for found in breaches.values())
    return cards(
        [
            Card(
                "CVaR, last day",
                percent(cvars[-1]),
                f"{percent(cvars[-1] - cvars[0], signed=True)} over the period",
            ),
            Card("CVaR, highest", percent(max(cvars)), f"mean {percent(sum(cvars) / len(cvars))}"),
            Card(
                "P&L between reports",
                percent(sum(known), signed=True) if known else MISSING,
                f"{money(sum(known) * capital, signed=True)} USDT" if known else "first report",
                "good" if sum(known) > 0 else "bad" if sum(known) < 0 else "",
            ),
            Card(
                "Limit breaches",
                str(days),
                "; ".join(breaches) or "none",
                "bad" if days else "good",
            ),
        ]
    )


def _gaps(roll_up: RollUp) -> list[Block]:
    if not roll_up.missing:
        return []
    named = ", ".join(day.isoformat() for day in roll_up.missing)
    return [paragraph(f"No daily report for {named}.", "warn")]


def _chart(roll_up: RollUp) -> Block:
    days = [day.isoformat() for day in roll_up.days]
    caps = [_cap(body) for body in roll_up.bodies]
    pnl = [value if math.isfinite(value) else 0.0 for value in roll_up.pnl]
    return figure(
        [
            {
                "type": "bar", "name": "P&L", "x": days, "y": numbers(pnl),
                "marker": {"color": [GOOD if value >= 0 else BAD for value in pnl]}, "opacity": 0.6,
            },
            {
                "type": "scatter", "mode": "lines+markers", "name": "CVaR", "x": days,
                "y": numbers(roll_up.cvars), "line": {"color": ACCENT, "width": 2},
            },
            {
                "type": "scatter", "mode": "lines", "name": "CVaR cap", "x": days, "y": numbers(caps),
                "line": {"color": BAD, "width": 1.4, "dash": "dot"},
            },
        ],
        {"xaxis": {"type": "date"}, "yaxis": {"tickformat": ".1%"}},
    )  # fmt: skip


def _cap(body: Mapping[str, Any]) -> float:
    caps = [limit["limit"] for limit in body["limits"] if limit["name"].startswith("CVaR")]
    return float(caps[0]) if caps else math.nan


def _limits_table(roll_up: RollUp) -> Block:
    highest: dict[str, float] = {}
    for body in roll_up.bodies:
        for limit in body["limits"]:
            use = math.inf if limit["use"] is None else float(limit["use"])
            highest[limit["name"]] = max(highest.get(limit["name"], 0.0), use)
    rows: list[tuple[str | Cell, ...]] = []
    for name, use in highest.items():
        days = roll_up.breaches.get(name, [])
        shown = percent(use, 0) if math.isfinite(use) else "unknown"
        tone: Tone = "bad" if days else "warn" if use > 1.0 + 1e-6 else ""
        rows.append((name, spans(days), str(len(days)) if days else "", Cell(shown, tone)))
    return table(("Limit", "Breached on", "Days", "Highest use"), rows, text_columns=2)


def spans(days: Sequence[date]) -> str:
    """Days in order, runs of them as their first and last."""
    runs: list[list[date]] = []
    for day in days:
        if runs and day - runs[-1][-1] == timedelta(days=1):
            runs[-1].append(day)
        else:
            runs.append([day])
    return ", ".join(f"{run[0]}" if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)


def _accounts(roll_up: RollUp) -> list[Section]:
    """What the running accounts made; nothing where none ran."""
    if not roll_up.accounts:
        return []
    rows: list[tuple[str | Cell, ...]] = [
        (
            name,
            money(path[0]),
            money(path[-1]),
            Cell(money(path[-1] - path[0], signed=True), "good" if path[-1] > path[0] else "bad"),
            percent(path[-1] / path[0] - 1.0, signed=True),
            money(min(path)),
            str(len(path) - 1),
        )
        for name, path in roll_up.accounts.items()
    ]
    headers = ("Account", "Equity before", "Equity", "Change", "of it", "Lowest close", "Reports")
    refused = ", ".join(f"{control} {count:,}" for control, count in roll_up.refusals.items())
    return [
        Section(
            "The running accounts",
            [table(headers, rows), paragraph(f"Orders refused: {refused or 'none'}.", "muted")],
            "Marked at daily closes; an account is in the reports of the days on which it traded or held.",
        )
    ]


def _lights_table(roll_up: RollUp) -> Block:
    lights = lights_by_model(roll_up)
    if not lights:
        return paragraph("No model was judged in this period.", "muted")
    rows: list[tuple[str | Cell, ...]] = [
        (name, *(str(row.count(light)) for light in Light), light_cell(row[-1]))
        for name, row in lights.items()
    ]
    return table(("Model", "Days green", "Days yellow", "Days red", "Last"), rows)


def _positions_table(roll_up: RollUp) -> Block:
    before, now = (_weights(roll_up.bodies[end]) for end in (0, -1))
    held = {name for name, weight in (*before.items(), *now.items()) if abs(weight) > DUST}
    names: Sequence[str] = sorted(
        held, key=lambda name: (-abs(now.get(name, 0.0) - before.get(name, 0.0)), name)
    )
    rows = [
        (
            name,
            percent(before.get(name, 0.0), 1),
            percent(now.get(name, 0.0), 1),
            percent(now.get(name, 0.0) - before.get(name, 0.0), 1, signed=True),
        )
        for name in names
    ]
    return table(("Position", "First report", "Last report", "Change"), rows, tall=True)


def _weights(body: Mapping[str, Any]) -> dict[str, float]:
    return {str(name): float(weight) for name, weight in body["weights"].items()}

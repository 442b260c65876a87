"""Weekly and monthly roll-ups of the daily risk reports: how risk, limits, models and P&L went.

A roll-up reads the JSON that each daily report leaves beside its page, measures nothing again, and names the
days that have no report.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from qtm.errors import DataError
from qtm.reports.blocks import (
    ACCENT,
    BAD,
    GOOD,
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
)
from qtm.reports.formats import MISSING, money, percent
from qtm.reports.model_lights import light_cell, lights_paragraph
from qtm.reports.page import render_page, write_report
from qtm.reports.risk_charts import DUST
from qtm.risk.lights import Light


class Period(StrEnum):
    """How much a roll-up covers, counted back from its last day."""

    WEEKLY = "weekly"
    MONTHLY = "monthly"

    def first_day(self, last: date) -> date:
        """The first day covered: seven days in all, or from the first of the month."""
        return last - timedelta(days=6) if self is Period.WEEKLY else last.replace(day=1)


@dataclass(frozen=True, slots=True)
class RollUp:
    """The daily reports of a period, oldest first, and the days without one."""

    period: Period
    first: date
    last: date
    days: tuple[date, ...]
    bodies: tuple[Mapping[str, Any], ...]
    missing: tuple[date, ...]

    @property
    def cvars(self) -> list[float]:
        """CVaR of each report, fraction of capital."""
        return [float(body["cvar"]) for body in self.bodies]

    @property
    def pnl(self) -> list[float]:
        """P&L each report found since the one before it, fraction of capital; NaN for a first report."""
        changes = (body["change"] for body in self.bodies)
        return [math.nan if change is None else float(change["pnl"]) for change in changes]

    @property
    def breaches(self) -> dict[str, list[date]]:
        """Days on which each limit was exceeded."""
        found: dict[str, list[date]] = {}
        for day, body in zip(self.days, self.bodies, strict=True):
            for limit in body["limits"]:
                if limit["breached"]:
                    found.setdefault(limit["name"], []).append(day)
        return found

    def body(self) -> dict[str, Any]:
        """The roll-up as plain data."""
        known = [pnl for pnl in self.pnl if math.isfinite(pnl)]
        return {
            "period": self.period.value,
            "first": self.first.isoformat(),
            "last": self.last.isoformat(),
            "reports": len(self.bodies),
            "missing": [day.isoformat() for day in self.missing],
            "cvar": {
                "first": self.cvars[0],
                "last": self.cvars[-1],
                "highest": max(self.cvars),
                "mean": sum(self.cvars) / len(self.cvars),
            },
            "pnl": sum(known),
            "breaches": {name: [day.isoformat() for day in days] for name, days in self.breaches.items()},
            "lights": {name: [light.name.lower() for light in row] for name, row in _lights(self).items()},
        }


def read_roll_up(folder: Path, last: date, period: Period) -> RollUp:
    """The daily reports in `folder` from the start of the period to `last`.

    Raises
    ------
    DataError
        If there is no report in the period, or one cannot be read.
    """
    first = period.first_day(last)
    asked = [first + timedelta(days=offset) for offset in range((last - first).days + 1)]
    held: dict[date, Mapping[str, Any]] = {}
    for day in asked:
        file = folder / f"risk-{day.isoformat()}.json"
        if file.is_file():
            held[day] = _read(file)
    if not held:
        raise DataError(
            f"no daily risk report from {first} to {last}",
            where=str(folder),
            remedy="write them first with `qtm report --as-of DAY`",
        )
    return RollUp(
        period, first, last, tuple(held), tuple(held.values()), tuple(day for day in asked if day not in held)
    )


def newest_report(folder: Path) -> date:
    """Day of the newest daily report in `folder`.

    Raises
    ------
    DataError
        If there is none.
    """
    days = []
    for file in folder.glob("risk-????-??-??.json"):
        try:
            days.append(date.fromisoformat(file.stem.removeprefix("risk-")))
        except ValueError:
            continue
    if not days:
        raise DataError(
            "there is no daily risk report", where=str(folder), remedy="write one first with `qtm report`"
        )
    return max(days)


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
    last_lights = [row[-1] for row in _lights(roll_up).values() if row]
    return [
        Section("In short", [_cards(roll_up), *_gaps(roll_up)]),
        Section(
            "Risk and result by day", [_chart(roll_up)], "CVaR against its cap, and the P&L between reports."
        ),
        Section("Limits", [_limits_table(roll_up)], "Every limit: its highest use, and the days beyond it."),
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


def _read(file: Path) -> Mapping[str, Any]:
    try:
        body: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        needed = [key for key in ("cvar", "limits", "models", "weights", "change") if key not in body]
    except (OSError, ValueError) as error:
        raise DataError(
            f"a daily risk report cannot be read: {error}",
            where=str(file),
            remedy="write it again with `qtm report`",
        ) from None
    if needed:
        raise DataError(
            f"a daily risk report has no {needed[0]!r}",
            where=str(file),
            remedy="write it again with `qtm report`",
        )
    return body


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
    rows = [
        (
            name,
            Cell(percent(use, 0) if math.isfinite(use) else "no limit", "bad" if use > 1.0 + 1e-6 else ""),
            ", ".join(day.isoformat() for day in roll_up.breaches.get(name, ())),
        )
        for name, use in highest.items()
    ]
    return table(("Limit", "Highest use", "Breached on"), rows)


def _lights(roll_up: RollUp) -> dict[str, list[Light]]:
    """Worst light of each model on every day it was judged."""
    rows: dict[str, list[Light]] = {}
    for body in roll_up.bodies:
        for model in body["models"]:
            names = [name for name in (model["light"], model["es_light"]) if name is not None]
            worst = max((Light[name.upper()] for name in names), default=Light.RED)
            rows.setdefault(str(model["model"]), []).append(worst)
    return rows


def _lights_table(roll_up: RollUp) -> Block:
    lights = _lights(roll_up)
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

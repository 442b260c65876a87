"""A week or month of daily risk reports, read back: CVaR, P&L, breaches, lights, and the days without one.

A roll-up reads the JSON that each daily report leaves beside its page and measures nothing again.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from qtm.errors import DataError
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

    @property
    def accounts(self) -> dict[str, list[float]]:
        """Equity of each running account: at the close before its first report, then at every one."""
        found: dict[str, list[float]] = {}
        for body in self.bodies:
            for one in body.get("accounts", ()):
                path = found.setdefault(str(one["account"]), [float(one["day_start"])])
                path.append(float(one["equity"]))
        return found

    @property
    def refusals(self) -> dict[str, int]:
        """Orders refused over the period, by control."""
        counted: Counter[str] = Counter()
        for body in self.bodies:
            counted.update(body.get("refusals", {}))
        return dict(sorted(counted.items()))

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
            "accounts": self.accounts,
            "refusals": self.refusals,
            "lights": {
                name: [light.name.lower() for light in row] for name, row in lights_by_model(self).items()
            },
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


def lights_by_model(roll_up: RollUp) -> dict[str, list[Light]]:
    """Worst light of each model on every day it was judged."""
    rows: dict[str, list[Light]] = {}
    for body in roll_up.bodies:
        for model in body["models"]:
            names = [name for name in (model["light"], model["es_light"]) if name is not None]
            worst = max((Light[name.upper()] for name in names), default=Light.RED)
            rows.setdefault(str(model["model"]), []).append(worst)
    return rows


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

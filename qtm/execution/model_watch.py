"""A running gate kept on the newest word of the risk models: the day's scenarios and the models' lights.

Only an account whose limit file has a `[tail]` section is watched. The scenarios come from the table that the
optimiser and the report read, the lights from the table of the daily model back-tests; both count from the
close they were made at, and only for the hours the limit file allows. Scenarios that are too old refuse every
order that adds risk; lights that are too old, or of models nobody could judge, count as red.
"""

from __future__ import annotations

import logging

import polars as pl

from qtm.clock import iso_utc
from qtm.errors import ConfigError
from qtm.market.lake import Lake
from qtm.portfolio.scenarios.storage import load_scenarios, scenario_days
from qtm.risk.gate import Gate, StateChange
from qtm.risk.light_action import obey
from qtm.risk.lights import Light, ModelAction, action_for
from qtm.risk.limit_file import Tail
from qtm.risk.limits import LimitTree
from qtm.risk.marginal import BookCvar
from qtm.risk.tail_limit import TailLimit

log = logging.getLogger(__name__)

LIGHTS = "model_backtests"
"""The lake's table of daily model back-tests, by day and model."""

DRAWS = 5_000
"""Scenarios a reweighted set is resampled to: the evaluator takes equally likely ones."""

_DAY_MS = 86_400_000
_LOOK_EVERY_MS = 60_000


class ModelWatch:
    """The scenarios and lights of one account's gate.

    Parameters
    ----------
    lake
        Where the daily scenarios and model back-tests are kept.
    limits
        The limit tree as loaded, with its `[tail]` section.
    """

    def __init__(self, lake: Lake, limits: LimitTree, terms: Tail) -> None:
        self._lake = lake
        self._limits = limits
        self._terms = terms
        self._max_age_ms = int(terms.max_age_hours * 3_600_000)
        self._scenario_day = -1
        self._looked_ms = -_LOOK_EVERY_MS
        self._action: ModelAction | None = None

    def tail_limit(self, now_ms: int) -> TailLimit:
        """The CVaR budget on the newest scenarios known at `now_ms`.

        Raises
        ------
        ConfigError
            When the lake holds none: a budget nobody can measure stops the run before its first order.
        """
        day_ms = self._newest_day(now_ms)
        if day_ms is None:
            raise ConfigError(
                f"the limit file sets a CVaR budget, and no scenarios were known at {iso_utc(now_ms)}",
                where=f"{self._lake.uri}/scenarios",
                remedy="materialise the asset `scenarios` first, or take [tail] out of the limit file",
            )
        return TailLimit(self._book(day_ms), self._terms.cvar_budget)

    def keep_up(self, gate: Gate, now_ms: int) -> StateChange | None:
        """Take newer scenarios and lights, at most once a minute; returns the gate's change of state."""
        if now_ms - self._looked_ms < _LOOK_EVERY_MS:
            return None
        self._looked_ms = now_ms
        day_ms = self._newest_day(now_ms)
        if gate.tail is not None and day_ms is not None and day_ms != self._scenario_day:
            gate.tail.renew(self._book(day_ms))
            log.info("CVaR budget on the scenarios of %s", iso_utc(day_ms)[:10])
        action = action_for(*self.lights(now_ms))
        if action == self._action:
            return None
        self._action = action
        log.info(
            "risk models ask for limits x %s%s", action.limit_multiplier, ", review" if action.review else ""
        )
        return obey(gate, self._limits, action, now_ms)

    def lights(self, now_ms: int) -> tuple[Light, ...]:
        """The lights of the newest day judged; none when that is too long ago."""
        if not self._lake.tables.exists(LIGHTS):
            return ()
        uris = self._lake.tables.files(LIGHTS)["uri"].to_list()
        known = (
            pl.scan_parquet(uris)
            .filter(pl.col("open_time_ms").is_between(now_ms - _DAY_MS - self._max_age_ms, now_ms - _DAY_MS))
            .filter(pl.col("open_time_ms") == pl.col("open_time_ms").max())
            .select("light")
            .collect()
            if uris
            else pl.DataFrame({"light": []}, schema={"light": pl.String})
        )
        return tuple(Light[name.upper()] for name in known["light"])

    def _newest_day(self, now_ms: int) -> int | None:
        known = [day for day in scenario_days(self._lake) if day + _DAY_MS <= now_ms]
        return known[-1] if known else None

    def _book(self, day_ms: int) -> BookCvar:
        made = load_scenarios(self._lake, day_ms).scenarios.equally_likely(DRAWS)
        self._scenario_day = day_ms
        return BookCvar(
            made.symbols,
            made.returns,
            self._terms.alpha,
            as_of_ms=day_ms + _DAY_MS,
            max_age_ms=self._max_age_ms,
        )

"""Scripted misbehaviour: a file that says which faults are in force and what happens when.

    seed: 7
    faults:
      - {kind: unknown_executed, operation: order.place, nth: 3}
      - {kind: event_duplicated, operation: executionReport, probability: 0.1}
    events:
      - {after_s: 5, do: clock-skew, with: {ms: 3000}}
      - {at_market: 2025-06-01T00:30, do: symbol-status, with: {symbol: BTCUSDT, status: HALT}}

`do` names an admin page (`POST /paper/<do>`), `with` is its body. `after_s` counts wall seconds from the
start, `at_market` is a moment of market time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from qtm.errors import ConfigError
from qtm.paper.faults import FaultRule, Faults
from qtm.paper.klines import Kline
from qtm.paper.pacing import parse_moment
from qtm.paper.venue import MarketTrade, SymbolMarket, Venue

if TYPE_CHECKING:
    from qtm.paper.admin import Admin

log = logging.getLogger(__name__)


class ScenarioEvent(BaseModel):
    """One thing that happens once."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    do: str
    body: dict[str, Any] = Field(default_factory=dict, alias="with")
    after_s: float | None = Field(default=None, ge=0)
    at_market: str | None = None

    @model_validator(mode="after")
    def _one_time(self) -> ScenarioEvent:
        if (self.after_s is None) == (self.at_market is None):
            raise ValueError("an event needs either after_s or at_market")
        return self


class FaultSpec(BaseModel):
    """One fault rule as written in a file."""

    model_config = ConfigDict(extra="forbid")

    kind: str
    operation: str = "*"
    probability: float = 1.0
    nth: int | None = None
    times: int | None = None
    seconds: float = 1.0

    def rule(self) -> FaultRule:
        """The rule."""
        return FaultRule(**self.model_dump())


class Scenario(BaseModel):
    """A parsed scenario file."""

    model_config = ConfigDict(extra="forbid")

    seed: int | None = None
    faults: list[FaultSpec] = Field(default_factory=list)
    events: list[ScenarioEvent] = Field(default_factory=list)


def load_scenario(path: Path) -> Scenario:
    """Read a scenario (YAML or JSON).

    Raises
    ------
    ConfigError
        Naming the first member that is wrong.
    """
    try:
        data = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(
            "the scenario cannot be read", where=str(path), remedy=str(error.strerror)
        ) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"the scenario is not YAML: {error}", where=str(path)) from None
    try:
        return Scenario.model_validate(_texts(data or {}))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"scenario {place}: {first['msg']}", where=str(path)) from None


def _texts(data: Any) -> Any:
    """YAML reads an unquoted moment as a date; take it back to text."""
    if isinstance(data, dict):
        return {name: _texts(value) for name, value in data.items()}
    if isinstance(data, list):
        return [_texts(value) for value in data]
    return data.isoformat() if hasattr(data, "isoformat") else data


class ScenarioPlayer:
    """Plays a scenario on one exchange: its faults at once, each event at its time.

    Raises
    ------
    ConfigError
        When the scenario names an unknown action or fault.
    """

    def __init__(self, scenario: Scenario, admin: Admin, faults: Faults, venue: Venue) -> None:
        for event in scenario.events:
            admin.page(event.do)
        for spec in scenario.faults:
            faults.add(spec.rule())
        self._admin = admin
        self._timed = [event for event in scenario.events if event.after_s is not None]
        self._timers: list[asyncio.TimerHandle] = []
        by_market = [
            (parse_moment(event.at_market, "scenario") or 0, event)
            for event in scenario.events
            if event.at_market is not None
        ]
        if by_market:
            venue.listeners.append(MarketAlarm(sorted(by_market, key=lambda pair: pair[0]), self._happen))

    def start(self) -> None:
        """Start the clock of the events that have a wall time."""
        loop = asyncio.get_running_loop()
        self._timers = [loop.call_later(event.after_s or 0.0, self._happen, event) for event in self._timed]

    def stop(self) -> None:
        """Forget what has not happened yet."""
        for timer in self._timers:
            timer.cancel()

    def _happen(self, event: ScenarioEvent) -> None:
        try:
            answer = self._admin.act(event.do, event.body)
        except ConfigError as error:
            log.error("scenario: %s", error)
        else:
            log.info("scenario: %s %s -> %s", event.do, event.body, answer)


class MarketAlarm:
    """Lets events happen when market time reaches them (a market listener)."""

    def __init__(
        self, alarms: list[tuple[int, ScenarioEvent]], happen: Callable[[ScenarioEvent], None]
    ) -> None:
        self._alarms = alarms
        self._happen = happen

    def clock_moved(self, now_ms: int) -> None:
        """Ring what is due."""
        while self._alarms and self._alarms[0][0] <= now_ms:
            self._happen(self._alarms.pop(0)[1])

    def traded(self, market: SymbolMarket, trade: MarketTrade) -> None:
        """Not of interest."""

    def book_changed(self, market: SymbolMarket) -> None:
        """Not of interest."""

    def bar_changed(
        self, market: SymbolMarket, bar: Kline, *, closed: bool, next_open_ms: int | None
    ) -> None:
        """Not of interest."""

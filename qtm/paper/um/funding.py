"""Funding: at each settlement longs pay shorts `notional * rate`; a negative rate turns it round.

A replay settles the rates that are given (those of the lake), a mirror what was announced last. Others
settle the rate that their premium index has led to (see `mark_price`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from qtm.paper.um.mark_price import INTEREST
from qtm.paper.wire import E8

if TYPE_CHECKING:
    from qtm.paper.um.venue import UmVenue

HOUR_MS = 3_600_000
INTERVALS = (1, 4, 8)
"""Hours that may lie between two settlements."""


class FundingEvent(NamedTuple):
    """One settlement; `rate` in 1e-8, `time_ms` as published (a few milliseconds off the hour)."""

    symbol: str
    time_ms: int
    interval_hours: int
    rate: int

    @property
    def due_ms(self) -> int:
        """When it settles: the whole second it was published in."""
        return self.time_ms // 1000 * 1000


class SettledFunding(NamedTuple):
    """A settlement that has happened, at a mark price."""

    event: FundingEvent
    mark: int


class DueFunding(NamedTuple):
    """A settlement that falls due; `given` is its rate when it was known in advance."""

    symbol: str
    time_ms: int
    interval_hours: int
    given: int | None


class FundingSchedule:
    """The settlements of every symbol: given in advance (a replay), announced, or every so many hours."""

    def __init__(self) -> None:
        self.given: dict[str, list[FundingEvent]] = {}
        self.announced: dict[str, FundingEvent] = {}
        """The next settlement of a symbol that somebody else computes."""
        self.hours: dict[str, int] = {}
        self.settled: dict[str, deque[SettledFunding]] = {}
        self._reached: dict[str, int] = {}

    def give(self, symbol: str, events: Iterable[FundingEvent]) -> None:
        """Set a symbol's settlements."""
        self.given[symbol] = sorted(events, key=lambda event: event.time_ms)

    def recall(self, symbol: str, hours: int, past: Iterable[SettledFunding]) -> None:
        """Take over a contract's interval and the settlements it has had, oldest first."""
        self.hours[symbol] = hours
        self.settled[symbol].extend(past)

    def announce(self, symbol: str, rate: int, time_ms: int) -> None:
        """The next settlement as it stands now; the last word before its time holds."""
        self.announced[symbol] = FundingEvent(symbol, time_ms, self.interval_hours(symbol), rate)

    def list_symbol(self, symbol: str, hours: int = 8) -> None:
        """Know a contract; without given settlements one falls due every `hours`."""
        self.hours[symbol] = hours
        self.settled[symbol] = deque(maxlen=1000)

    def due(self, now_ms: int) -> list[DueFunding]:
        """Settlements since the last call, oldest first; what a contract's first call finds due is past."""
        events: list[DueFunding] = []
        for symbol in self.hours:
            reached = self._reached.get(symbol)
            if reached is None:
                self._begin(symbol, now_ms)
            elif now_ms > reached:
                events.extend(self._between(symbol, reached, now_ms))
                self._reached[symbol] = now_ms
        return sorted(events, key=lambda event: event.time_ms)

    def next_time(self, symbol: str, now_ms: int) -> int:
        """Time of the next settlement; 0 when none is known."""
        event = next(self._between(symbol, now_ms, now_ms + 9 * HOUR_MS), None)
        return event.time_ms // 1000 * 1000 if event is not None else 0

    def interval_hours(self, symbol: str) -> int:
        """Hours between settlements, by the latest one."""
        past = self.settled.get(symbol)
        if past:
            return past[-1].event.interval_hours
        given = self.given.get(symbol)
        return given[0].interval_hours if given else self.hours.get(symbol, 8)

    def last_rate(self, symbol: str) -> int:
        """Rate of the latest settlement; the interest rate before the first."""
        past = self.settled.get(symbol)
        return past[-1].event.rate if past else INTEREST * self.interval_hours(symbol) // 8

    def exchange(self, venue: UmVenue, due: DueFunding) -> None:
        """Exchange one settlement at the present mark price."""
        mark, asset = venue.mark(due.symbol), venue.symbols[due.symbol].asset
        rate = due.given if due.given is not None else venue.funding_rate(due.symbol)
        event = FundingEvent(due.symbol, due.time_ms, due.interval_hours, rate)
        self.settled[due.symbol].append(SettledFunding(event, mark))
        venue.prices.contracts[due.symbol].settle()
        for account in venue.accounts.values():
            for position in account.held(due.symbol):
                payment = funding_payment(position.notional(mark), rate)
                if not payment:
                    continue
                isolated = account.setting(due.symbol).isolated
                if isolated:
                    position.isolated_wallet += payment
                venue.treasury.receive("funding", asset, -payment)
                venue.book_income(account, due.symbol, "FUNDING_FEE", asset, payment)
                venue.events.account(account, "FUNDING_FEE", {asset: payment}, [position] if isolated else [])

    def _begin(self, symbol: str, now_ms: int) -> None:
        self._reached[symbol] = now_ms
        past = [event for event in self.given.get(symbol, ()) if event.due_ms <= now_ms]
        self.settled[symbol].extend(SettledFunding(event, 0) for event in past)

    def _between(self, symbol: str, after_ms: int, until_ms: int) -> Iterator[DueFunding]:
        given, announced = self.given.get(symbol), self.announced.get(symbol)
        if announced is not None:
            if after_ms < announced.due_ms <= until_ms:
                yield DueFunding(symbol, announced.time_ms, announced.interval_hours, announced.rate)
            return
        if given is None:
            hours = self.hours.get(symbol, 8)
            step = hours * HOUR_MS
            for time_ms in range((after_ms // step + 1) * step, until_ms + 1, step):
                yield DueFunding(symbol, time_ms, hours, None)
            return
        low = bisect_right(given, after_ms, key=lambda event: event.due_ms)
        high = bisect_right(given, until_ms, key=lambda event: event.due_ms)
        for event in given[low:high]:
            yield DueFunding(symbol, event.time_ms, event.interval_hours, event.rate)


def funding_payment(notional: int, rate: int) -> int:
    """What a position of signed `notional` receives (negative: pays), truncated to the unit."""
    product = notional * rate
    return -(product // E8) if product >= 0 else -product // E8

"""Funding: at each settlement longs pay shorts `notional * rate`; a negative rate turns it round."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from qtm.paper.wire import E8

if TYPE_CHECKING:
    from qtm.paper.um.venue import UmVenue

HOUR_MS = 3_600_000
INTEREST = 10_000
"""The rate of a market whose premium is nil: 0.01 % per 8 hours, in 1e-8."""


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


class FundingSchedule:
    """The settlements of every symbol: given in advance (a replay), or the interest rate every 8 hours."""

    def __init__(self) -> None:
        self.given: dict[str, list[FundingEvent]] = {}
        self.settled: dict[str, deque[SettledFunding]] = {}
        self._reached: dict[str, int] = {}

    def give(self, symbol: str, events: Iterable[FundingEvent]) -> None:
        """Set a symbol's settlements."""
        self.given[symbol] = sorted(events, key=lambda event: event.time_ms)

    def list_symbol(self, symbol: str, now_ms: int) -> None:
        """Begin at `now_ms`: what was due before is past."""
        self.settled[symbol] = deque(maxlen=1000)
        self._reached[symbol] = now_ms
        for event in self.given.get(symbol, ()):
            if event.due_ms <= now_ms:
                self.settled[symbol].append(SettledFunding(event, 0))

    def due(self, now_ms: int) -> list[FundingEvent]:
        """Settlements since the last call, oldest first."""
        events: list[FundingEvent] = []
        for symbol, reached in self._reached.items():
            if now_ms > reached:
                events.extend(self._between(symbol, reached, now_ms))
                self._reached[symbol] = now_ms
        return sorted(events, key=lambda event: event.time_ms)

    def next_time(self, symbol: str, now_ms: int) -> int:
        """Time of the next settlement; 0 when none is known."""
        event = next(self._between(symbol, now_ms, now_ms + 9 * HOUR_MS), None)
        return event.due_ms if event is not None else 0

    def interval_hours(self, symbol: str) -> int:
        """Hours between settlements, by the latest one."""
        past = self.settled.get(symbol)
        if past:
            return past[-1].event.interval_hours
        given = self.given.get(symbol)
        return given[0].interval_hours if given else 8

    def last_rate(self, symbol: str) -> int:
        """Rate of the latest settlement; the interest rate before the first."""
        past = self.settled.get(symbol)
        return past[-1].event.rate if past else INTEREST

    def exchange(self, venue: UmVenue, event: FundingEvent) -> None:
        """Exchange one settlement at the present mark price."""
        mark, asset = venue.mark(event.symbol), venue.symbols[event.symbol].asset
        self.settled[event.symbol].append(SettledFunding(event, mark))
        for account in venue.accounts.values():
            for position in account.held(event.symbol):
                payment = funding_payment(position.notional(mark), event.rate)
                if not payment:
                    continue
                isolated = account.setting(event.symbol).isolated
                if isolated:
                    position.isolated_wallet += payment
                venue.book_income(account, event.symbol, "FUNDING_FEE", asset, payment)
                venue.publish_account(
                    account, "FUNDING_FEE", asset, position if isolated else None, change=payment
                )

    def _between(self, symbol: str, after_ms: int, until_ms: int) -> Iterator[FundingEvent]:
        given = self.given.get(symbol)
        if given is None:
            step = 8 * HOUR_MS
            for time_ms in range((after_ms // step + 1) * step, until_ms + 1, step):
                yield FundingEvent(symbol, time_ms, 8, INTEREST)
            return
        low = bisect_right(given, after_ms, key=lambda event: event.due_ms)
        high = bisect_right(given, until_ms, key=lambda event: event.due_ms)
        yield from given[low:high]


def funding_payment(notional: int, rate: int) -> int:
    """What a position of signed `notional` receives (negative: pays), truncated to the unit."""
    product = notional * rate
    return -(product // E8) if product >= 0 else -product // E8

"""Request weights and order counts in fixed calendar windows, 429 and then 418.

Windows start at multiples of their length since the epoch (10 s windows at :00, :10 ...; the day at 00:00
UTC). Weight belongs to an IP address, order counts to an account.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from qtm.paper.errors import ApiError

_SECONDS = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86400}
FIRST_BAN_S = 120
LONGEST_BAN_S = 259_200
BAN_AFTER = 10
"""Requests answered 429 in a row before the address is banned."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One entry of exchangeInfo's `rateLimits`."""

    kind: str
    interval: str
    interval_num: int
    limit: int

    @property
    def seconds(self) -> int:
        """Length of the window."""
        return _SECONDS[self.interval] * self.interval_num

    @property
    def letters(self) -> str:
        """`10S`, `1M`, `1D`: how headers name the window."""
        return f"{self.interval_num}{self.interval[0]}"

    def public(self) -> dict[str, str | int]:
        """As shown in exchangeInfo."""
        return {
            "rateLimitType": self.kind,
            "interval": self.interval,
            "intervalNum": self.interval_num,
            "limit": self.limit,
        }


def without_limits(limits: tuple[RateLimit, ...]) -> tuple[RateLimit, ...]:
    """The same windows with room for anything."""
    return tuple(replace(limit, limit=10**12) for limit in limits)


class Counter:
    """A count that starts again with each calendar window."""

    __slots__ = ("limit", "used", "window")

    def __init__(self, limit: RateLimit) -> None:
        self.limit = limit
        self.window = 0
        self.used = 0

    def roll(self, now_s: float) -> int:
        """Move to the window of `now_s`; returns what is used in it."""
        window = int(now_s) // self.limit.seconds
        if window != self.window:
            self.window = window
            self.used = 0
        return self.used

    def add(self, amount: int) -> None:
        """Count `amount` in the present window (never below zero)."""
        self.used = max(0, self.used + amount)

    def retry_after(self, now_s: float) -> int:
        """Seconds until the window ends."""
        return max(1, self.limit.seconds - int(now_s) % self.limit.seconds)


class AddressLimits:
    """Weight, raw requests and bans of one IP address."""

    def __init__(self, limits: tuple[RateLimit, ...]) -> None:
        self.weight = Counter(next(limit for limit in limits if limit.kind == "REQUEST_WEIGHT"))
        self.raw = [Counter(limit) for limit in limits if limit.kind == "RAW_REQUESTS"]
        self.pools: dict[RateLimit, Counter] = {}
        self.banned_until_s = 0.0
        self._refused = 0
        self._bans = 0

    def charge(self, weight: int, now_s: float) -> None:
        """Count a request; raises 429, or 418 for an address that keeps coming."""
        if now_s < self.banned_until_s:
            raise self._banned(now_s)
        self.weight.roll(now_s)
        self.weight.add(weight)
        for counter in self.raw:
            counter.roll(now_s)
            counter.add(1)
        for counter in (self.weight, *self.raw):
            if counter.used > counter.limit.limit:
                raise self._over(counter, now_s)
        self._refused = 0

    def charge_pool(self, limit: RateLimit, now_s: float) -> None:
        """Count a request against a limit of its own; raises 429 when it is used up."""
        counter = self.pools.setdefault(limit, Counter(limit))
        counter.roll(now_s)
        counter.add(1)
        if counter.used > limit.limit:
            raise ApiError(
                -1003,
                f"Too many requests; current limit is {limit.limit} requests per {limit.interval_num} "
                f"{limit.interval.lower()}s. Please use the websocket for live updates to avoid polling the "
                "API.",
                status=429,
                headers=(("Retry-After", str(counter.retry_after(now_s))),),
                data=_retry_data(now_s, now_s + counter.retry_after(now_s)),
            )

    def refund(self, weight: int) -> None:
        """Give back the weight of a request that turned out to be free."""
        self.weight.add(-weight)

    def ban(self, seconds: float, now_s: float) -> None:
        """Ban the address."""
        self.banned_until_s = now_s + seconds

    def _over(self, counter: Counter, now_s: float) -> ApiError:
        self._refused += 1
        if self._refused > BAN_AFTER:
            self.ban(min(FIRST_BAN_S * 4**self._bans, LONGEST_BAN_S), now_s)
            self._bans += 1
            self._refused = 0
            return self._banned(now_s)
        what = "request weight" if counter is self.weight else "raw requests"
        return ApiError(
            -1003,
            f"Too much {what} used; current limit is {counter.limit.limit} {what} per "
            f"{counter.limit.interval_num} {counter.limit.interval}. Please use WebSocket Streams for live "
            "updates to avoid polling the API.",
            status=429,
            headers=(("Retry-After", str(counter.retry_after(now_s))),),
            data=_retry_data(now_s, now_s + counter.retry_after(now_s)),
        )

    def _banned(self, now_s: float) -> ApiError:
        until_ms = int(self.banned_until_s * 1000)
        return ApiError(
            -1003,
            f"Way too much request weight used; IP banned until {until_ms}. Please use WebSocket Streams for "
            "live updates to avoid bans.",
            status=418,
            headers=(("Retry-After", str(max(1, int(self.banned_until_s - now_s)))),),
            data=_retry_data(now_s, self.banned_until_s),
        )


class OrderLimits:
    """Unfilled-order counts of one account.

    `ahead_s` tells how far a replayed market has run ahead of the wall clock: its windows pass as fast as it.
    """

    def __init__(self, limits: tuple[RateLimit, ...], ahead_s: Callable[[], float] = lambda: 0.0) -> None:
        self.counters = [Counter(limit) for limit in limits if limit.kind == "ORDERS"]
        self._ahead_s = ahead_s

    def counts(self, now_s: float) -> list[tuple[RateLimit, int]]:
        """Every window and what is used in it."""
        return [(counter.limit, counter.roll(now_s + self._ahead_s())) for counter in self.counters]

    def charge(self, orders: int, now_s: float) -> None:
        """Count new orders; raises -1015 when a window is full (and then counts nothing)."""
        self.check(orders, now_s)
        for counter in self.counters:
            counter.add(orders)

    def check(self, orders: int, now_s: float) -> None:
        """Raise -1015 when a window has no room for `orders` more."""
        ahead_s = self._ahead_s()
        for counter in self.counters:
            if counter.roll(now_s + ahead_s) + orders > counter.limit.limit:
                limit = counter.limit
                unit = limit.interval + ("S" if limit.interval_num > 1 else "")
                raise ApiError(
                    -1015,
                    f"Too many new orders; current limit is {limit.limit} orders per "
                    f"{limit.interval_num} {unit}.",
                    status=429,
                    headers=(("Retry-After", str(counter.retry_after(now_s + ahead_s))),),
                    data=_retry_data(now_s, now_s + counter.retry_after(now_s + ahead_s)),
                )

    def give_back(self, orders: int, now_s: float) -> None:
        """A fill gives the order's place back."""
        for counter in self.counters:
            if counter.roll(now_s + self._ahead_s()):
                counter.add(-orders)


def _retry_data(now_s: float, until_s: float) -> dict[str, int]:
    return {"serverTime": int(now_s * 1000), "retryAfter": int(until_s * 1000)}

"""Faults on demand: what goes wrong, where, how often; reproducible from a seed.

A rule names a kind, the operations it strikes (`*` for all) and when: with a probability, or at the n-th
matching call; at most `times` times. Rules are added by the admin API or a scenario file. Message faults name
the user event (`executionReport`, `ORDER_TRADE_UPDATE`) or the stream (`btcusdt@depth*`) instead.
"""

from __future__ import annotations

import fnmatch
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from qtm.errors import ConfigError
from qtm.paper.errors import ApiError

log = logging.getLogger(__name__)

REQUEST_KINDS = frozenset(
    {"rate_limited", "banned", "unavailable", "unknown_executed", "unknown_not_executed", "timeout_executed",
     "ack_lost", "request_lost", "delay", "ack_delay", "overloaded"}
)  # fmt: skip
USER, STREAM = "event", "stream"
"""The two families of messages that faults strike: user events, and market data."""
MESSAGE_KINDS = frozenset(
    f"{family}_{fate}" for family in (USER, STREAM) for fate in ("lost", "duplicated", "late", "reordered")
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a struck request experiences, in this order: delay, act or not, delay, drop or error."""

    execute: bool = True
    error: ApiError | None = None
    drop: bool = False
    delay_s: float = 0.0
    delay_after_s: float = 0.0


@dataclass
class FaultRule:
    """One rule; `seconds` is the length of a delay or a ban."""

    kind: str
    operation: str = "*"
    probability: float = 1.0
    nth: int | None = None
    times: int | None = None
    seconds: float = 1.0
    calls: int = field(default=0, init=False)
    struck: int = field(default=0, init=False)

    def strikes(self, name: str, chance: random.Random) -> bool:
        """Whether this call is the one."""
        if not fnmatch.fnmatchcase(name, self.operation):
            return False
        if self.times is not None and self.struck >= self.times:
            return False
        self.calls += 1
        hit = self.calls == self.nth if self.nth is not None else chance.random() < self.probability
        self.struck += hit
        return hit


class Faults:
    """The rules in force, the clock's skew, and their seeded chance."""

    def __init__(self, seed: int = 0, on_strike: Callable[[str, str], None] | None = None) -> None:
        self._chance = random.Random(seed)
        self._on_strike = on_strike
        self.rules: list[FaultRule] = []
        self.clock_skew_ms = 0

    def add(self, rule: FaultRule) -> None:
        """Add a rule; raises ConfigError for an unknown kind or an impossible number."""
        if rule.kind not in REQUEST_KINDS | MESSAGE_KINDS:
            known = ", ".join(sorted(REQUEST_KINDS | MESSAGE_KINDS))
            raise ConfigError(f"unknown fault {rule.kind!r}", where="faults", remedy=f"use one of {known}")
        if not 0 <= rule.probability <= 1 or rule.seconds < 0 or (rule.nth is not None and rule.nth < 1):
            raise ConfigError(
                "a fault's probability lies in 0..1, nth starts at 1, seconds are not negative",
                where=rule.kind,
            )
        self.rules.append(rule)

    def clear(self) -> None:
        """Forget every rule and the skew."""
        self.rules.clear()
        self.clock_skew_ms = 0

    def on_request(self, operation: str) -> Outcome | None:
        """What this request experiences, None for nothing special."""
        if not self.rules:
            return None
        for rule in self.rules:
            if rule.kind in REQUEST_KINDS and rule.strikes(operation, self._chance):
                self._struck(rule, operation)
                return _outcome(rule)
        return None

    def on_message(self, family: str, name: str) -> FaultRule | None:
        """The rule that strikes this message of a family, if any."""
        for rule in self.rules:
            aimed = rule.kind in MESSAGE_KINDS and rule.kind.startswith(family)
            if aimed and rule.strikes(name, self._chance):
                self._struck(rule, name)
                return rule
        return None

    def _struck(self, rule: FaultRule, what: str) -> None:
        log.info("fault %s strikes %s (call %d, strike %d)", rule.kind, what, rule.calls, rule.struck)
        if self._on_strike is not None:
            self._on_strike(rule.kind, what)

    def describe(self) -> list[dict[str, Any]]:
        """The rules with their counts."""
        return [
            {
                "kind": r.kind, "operation": r.operation, "probability": r.probability, "nth": r.nth,
                "times": r.times, "seconds": r.seconds, "calls": r.calls, "struck": r.struck,
            }
            for r in self.rules
        ]  # fmt: skip


def _outcome(rule: FaultRule) -> Outcome:
    unknown = ApiError(-1000, "Unknown error, please check your request or try again later.", status=503)
    timeout = ApiError(
        -1007,
        "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
        status=504,
    )
    retry = (("Retry-After", str(max(1, round(rule.seconds)))),)
    table: dict[str, Outcome] = {
        "rate_limited": Outcome(
            execute=False,
            error=ApiError(-1003, "Too many requests queued.", status=429, headers=retry),
        ),
        "banned": Outcome(
            execute=False,
            error=ApiError(-1003, "Way too much request weight used; IP banned.", status=418, headers=retry),
        ),
        "unavailable": Outcome(execute=False, error=ApiError(-1000, "Service Unavailable.", status=503)),
        "unknown_executed": Outcome(execute=True, error=unknown),
        "unknown_not_executed": Outcome(execute=False, error=unknown),
        "timeout_executed": Outcome(execute=True, error=timeout),
        "overloaded": Outcome(
            execute=False,
            error=ApiError(
                -1008,
                "Server is currently overloaded with other requests. Please try again in a few minutes.",
                status=503,
            ),
        ),
        "ack_lost": Outcome(execute=True, drop=True),
        "request_lost": Outcome(execute=False, drop=True),
        "delay": Outcome(execute=True, delay_s=rule.seconds),
        "ack_delay": Outcome(execute=True, delay_after_s=rule.seconds),
    }
    return table[rule.kind]

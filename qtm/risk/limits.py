"""The limit tree: firm > desk > trader > strategy > instrument, the tighter wins, nothing is assumed.

`qtm.risk.limit_file` says what a limit file may hold. A limit looser than the scope above it refuses the
file. A limit that no scope sets refuses every order it would bound.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from qtm.errors import ConfigError
from qtm.market.instruments import Instrument
from qtm.risk.limit_file import LimitFile, Scope, overlaid, read_file, validated
from qtm.risk.rules import AT_LOSS_LIMIT, HALTED, GateLimits

if TYPE_CHECKING:
    from qtm.settings import RiskSettings

MISSING = Decimal("NaN")
"""Stands for a limit nobody set; every comparison with it refuses."""

CAP = "LIVE_LIMITED (TD-07)"
"""The scope of the caps that a strategy in limited live trading has."""

LIMIT_NAMES = (
    "max_order_value",
    "max_position_value",
    "price_collar",
    "max_drawdown",
    "daily_loss",
    "max_messages",
    "stale_reference_ms",
    "max_order_qty",
)


@dataclass(frozen=True)
class EffectiveLimits:
    """The tightest limit of every name for one strategy and instrument, and the scope that set it."""

    limits: GateLimits
    set_by: Mapping[str, str]
    version: str

    @cached_property
    def origins(self) -> Mapping[str, str]:
        """Where each limit comes from, in words; kept, because every decision names them all."""
        return {name: f"{name} of {scope}, limits {self.version}" for name, scope in self.set_by.items()}


@dataclass(frozen=True)
class LimitTree:
    """All scopes of one firm, validated; `version` names number and content.

    `cap` is the innermost scope of every order under this tree, where there is one: see `capped`.
    """

    file: LimitFile
    version: str
    cap: Scope | None = None
    _cache: dict[tuple[str, str], EffectiveLimits] = field(default_factory=dict, repr=False, compare=False)

    def effective(self, strategy: str, symbol: str) -> EffectiveLimits:
        """The limits an order of `strategy` on `symbol` must keep."""
        key = (strategy, symbol)
        if key not in self._cache:
            self._cache[key] = self._tightest(strategy, symbol)
        return self._cache[key]

    def _tightest(self, strategy: str, symbol: str) -> EffectiveLimits:
        values = dict.fromkeys(LIMIT_NAMES, MISSING)
        set_by = dict.fromkeys(LIMIT_NAMES, "nobody")
        for name, scope in self.scopes(strategy, symbol):
            for limit in LIMIT_NAMES:
                value: Decimal | None = getattr(scope, limit)
                if value is not None and (values[limit].is_nan() or value < values[limit]):
                    values[limit], set_by[limit] = value, name
        window = Decimal(self.file.firm.message_window_ms)
        exact: Any = {
            **values,
            "message_window_ms": window,
            "rounding": Decimal(0),
            "at_loss_limit": self._at_loss_limit(strategy, symbol),
        }
        return EffectiveLimits(GateLimits(**exact), set_by, self.version)

    def _at_loss_limit(self, strategy: str, symbol: str) -> int:
        """The tightest state a loss above its limit leads to; a halt where nobody says."""
        words = (scope.at_loss_limit for _, scope in self.scopes(strategy, symbol))
        return max((AT_LOSS_LIMIT[word] for word in words if word is not None), default=HALTED)

    def signoff(self, venue: str, strategy: str, symbol: str, now_ms: int) -> str:
        """The sign-off under which an order is eligible today (UTC); empty when there is none."""
        today = datetime.fromtimestamp(now_ms / 1000, tz=UTC).date()
        rows = (
            row.signoff
            for row in self.file.eligible
            if row.venue == venue
            and strategy in row.strategies
            and symbol in row.symbols
            and today <= row.until
        )
        return next(rows, "")

    def desks(self) -> dict[str, str]:
        """Desk of every strategy that has one."""
        owner = {trader: desk for desk, scope in self.file.desk.items() for trader in scope.traders}
        return {
            strategy: owner[trader]
            for trader, scope in self.file.trader.items()
            if trader in owner
            for strategy in scope.strategies
        }

    def scopes(self, strategy: str, symbol: str) -> Iterable[tuple[str, Scope]]:
        """The scopes that bind an order, outermost first."""
        yield "firm", self.file.firm
        owner = next(
            (name for name, trader in self.file.trader.items() if strategy in trader.strategies), None
        )
        desk = next((name for name, desk in self.file.desk.items() if owner in desk.traders), None)
        if desk is not None:
            yield f"desk {desk}", self.file.desk[desk]
        if owner is not None:
            yield f"trader {owner}", self.file.trader[owner]
        if strategy in self.file.strategy:
            yield f"strategy {strategy}", self.file.strategy[strategy]
        if symbol in self.file.instrument:
            yield f"instrument {symbol}", self.file.instrument[symbol]
        if self.cap is not None:
            yield CAP, self.cap


def load_limits(
    risk: RiskSettings, instruments: Iterable[Instrument] = (), *, path: Path | None = None
) -> LimitTree:
    """The limit tree of the settings, the venue's own size bounds, and the limit file if one is given.

    Parameters
    ----------
    risk
        Firm-level limits of the settings.
    instruments
        What may be traded; each gets the venue's largest order quantity as its volume limit (PT-04) unless
        the file sets a tighter one. An instrument not listed here and not in the file has none.
    path
        A `.toml`, `.yaml` or `.yml` limit file.

    Raises
    ------
    ConfigError
        For an unreadable file, an unknown key, a value that is no positive number, a limit looser than the
        scope above it, or an owner that is not unique.
    """
    base: dict[str, Any] = {
        "firm": {
            "max_order_value": risk.max_order_value,
            "max_position_value": risk.max_position_value,
            "price_collar": risk.price_collar,
            "max_drawdown": risk.max_drawdown,
            "daily_loss": risk.daily_loss,
            "max_messages": risk.messages_per_10s,
            "stale_reference_ms": 5_000,
            "at_loss_limit": risk.at_loss_limit,
        },
        "instrument": {one.symbol: {"max_order_qty": one.max_qty} for one in instruments},
    }
    where = str(path) if path else "settings.risk"
    outer = validated(base, where)
    given = read_file(path) if path else {}
    inner = validated(given, where)
    _refuse_looser(outer.firm, inner.firm, "firm", where)
    for symbol, scope in inner.instrument.items():
        _refuse_looser(outer.instrument.get(symbol, Scope()), scope, f"instrument {symbol}", where)
    file = validated(overlaid(base, given), where)
    _check_tree(file, where)
    digest = hashlib.sha256(file.model_dump_json().encode()).hexdigest()[:8]
    return LimitTree(file, f"{file.version}-{digest}")


def capped(tree: LimitTree, cap: Scope) -> LimitTree:
    """The same tree with a cap on every order: wherever a scope sets a tighter limit, that one holds."""
    digest = hashlib.sha256(cap.model_dump_json().encode()).hexdigest()[:8]
    return LimitTree(tree.file, f"{tree.version}+limited-{digest}", cap)


def _refuse_looser(outer: Scope, inner: Scope, name: str, where: str) -> None:
    """The settings and the venue bound the file: it may only tighten them."""
    for limit in LIMIT_NAMES:
        bound, value = getattr(outer, limit), getattr(inner, limit)
        if bound is not None and value is not None:
            _check_tighter(value, bound, f"{name}.{limit}", "the settings", where)
    if outer.at_loss_limit == "halt" and inner.at_loss_limit == "reduce":
        raise _halts_above(name, "the settings", where)


def _check_tighter(value: Decimal, bound: Decimal, name: str, above: str, where: str) -> None:
    if value > bound:
        raise ConfigError(
            f"limit {name} = {value} is looser than {bound} set by {above}",
            where=where,
            remedy="tighten it, or loosen the outer scope first",
        )


def _halts_above(name: str, above: str, where: str) -> ConfigError:
    return ConfigError(
        f"limit {name}.at_loss_limit = reduce is looser than halt set by {above}",
        where=where,
        remedy="let it halt, or loosen the outer scope first",
    )


def _check_tree(file: LimitFile, where: str) -> None:
    owners: dict[tuple[Literal["desk", "trader"], str], str] = {}
    for desk, scope in file.desk.items():
        for trader in scope.traders:
            _one_owner(owners, ("desk", trader), desk, where)
            if trader not in file.trader:
                raise ConfigError(f"desk {desk} names unknown trader {trader!r}", where=where)
    for trader, scope_ in file.trader.items():
        for strategy in scope_.strategies:
            _one_owner(owners, ("trader", strategy), trader, where)
    tree = LimitTree(file, "")
    chains = [tree.scopes(name, "") for name in file.strategy]
    chains += [tree.scopes(name, "") for trader in file.trader.values() for name in trader.strategies]
    chains += [tree.scopes("", symbol) for symbol in file.instrument]
    for chain in chains:
        tightest: dict[str, tuple[Decimal, str]] = {}
        halted_by = ""
        for name, level in chain:
            if level.at_loss_limit == "reduce" and halted_by:
                raise _halts_above(name, halted_by, where)
            if level.at_loss_limit == "halt":
                halted_by = name
            for limit in LIMIT_NAMES:
                value: Decimal | None = getattr(level, limit)
                if value is None:
                    continue
                if limit in tightest:
                    _check_tighter(value, tightest[limit][0], f"{name}.{limit}", tightest[limit][1], where)
                tightest[limit] = (value, name)


def _one_owner(
    owners: dict[tuple[Literal["desk", "trader"], str], str],
    key: tuple[Literal["desk", "trader"], str],
    owner: str,
    where: str,
) -> None:
    if owners.setdefault(key, owner) != owner:
        raise ConfigError(f"{key[1]!r} belongs to both {owners[key]} and {owner}", where=where)

"""The limit tree: firm > desk > trader > strategy > instrument, the tighter wins, nothing is assumed.

A limit file (TOML or YAML) overlays the firm limits of the settings:

    version = 12
    [firm]
    max_order_value = 50000
    [desk.D1]
    max_position_value = 40000
    traders = ["T1"]
    [trader.T1]
    strategies = ["trend"]
    [strategy.trend]
    max_order_value = 20000
    [instrument.BTCUSDT]
    max_order_qty = 5
    price_collar = 0.02
    [[eligible]]
    venue = "binance"
    strategies = ["trend"]
    symbols = ["BTCUSDT"]
    signoff = "LEGAL-31"
    until = 2027-12-31

An unknown key refuses the file, and so does a limit looser than the scope above it. A limit that no scope
sets refuses every order it would bound.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qtm.errors import ConfigError
from qtm.market.instruments import Instrument
from qtm.risk.rules import GateLimits
from qtm.settings import RiskSettings
from qtm.trading.orders import OrderType, TimeInForce

MISSING = Decimal("NaN")
"""Stands for a limit nobody set; every comparison with it refuses."""

Positive = Annotated[Decimal, Field(gt=0, allow_inf_nan=False)]

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


class Scope(BaseModel):
    """Limits of one scope; what is left out is left to the scopes above."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_order_value: Positive | None = None
    max_position_value: Positive | None = None
    price_collar: Positive | None = None
    max_drawdown: Positive | None = None
    daily_loss: Positive | None = None
    max_messages: Positive | None = None
    stale_reference_ms: Positive | None = None
    max_order_qty: Positive | None = None


class Desk(Scope):
    """A desk and the traders on it."""

    traders: tuple[str, ...] = ()


class Trader(Scope):
    """A trader and the strategies they own."""

    strategies: tuple[str, ...] = ()


class Firm(Scope):
    """The firm: its limits, its order types (PT-16), and how often a strategy may repeat itself (PT-06)."""

    message_window_ms: int = Field(default=10_000, ge=100)
    repeat_orders: int = Field(default=20, ge=1)
    repeat_window_ms: int = Field(default=60_000, ge=1000)
    order_types: tuple[OrderType, ...] = (OrderType.LIMIT, OrderType.LIMIT_MAKER)
    time_in_force: tuple[TimeInForce, ...] = (TimeInForce.IOC, TimeInForce.GTC, TimeInForce.FOK)


class Eligible(BaseModel):
    """Who may trade what where, signed off by whom, until when (PT-08, PT-15); only paper needs none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    venue: str
    strategies: tuple[str, ...]
    symbols: tuple[str, ...]
    signoff: str = Field(min_length=1)
    until: date


class LimitFile(BaseModel):
    """A limit file as written; see the module docstring."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = Field(default=0, ge=0)
    firm: Firm = Firm()
    desk: dict[str, Desk] = Field(default_factory=dict)
    trader: dict[str, Trader] = Field(default_factory=dict)
    strategy: dict[str, Scope] = Field(default_factory=dict)
    instrument: dict[str, Scope] = Field(default_factory=dict)
    eligible: tuple[Eligible, ...] = ()


@dataclass(frozen=True)
class EffectiveLimits:
    """The tightest limit of every name for one strategy and instrument, and the scope that set it."""

    limits: GateLimits
    set_by: Mapping[str, str]
    version: str


@dataclass(frozen=True)
class LimitTree:
    """All scopes of one firm, validated; `version` names number and content."""

    file: LimitFile
    version: str
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
        exact: Any = {**values, "message_window_ms": window, "rounding": Decimal(0)}
        return EffectiveLimits(GateLimits(**exact), set_by, self.version)

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
        },
        "instrument": {one.symbol: {"max_order_qty": one.max_qty} for one in instruments},
    }
    where = str(path) if path else "settings.risk"
    outer = _validated(base, where)
    given = _read(path) if path else {}
    inner = _validated(given, where)
    _refuse_looser(outer.firm, inner.firm, "firm", where)
    for symbol, scope in inner.instrument.items():
        _refuse_looser(outer.instrument.get(symbol, Scope()), scope, f"instrument {symbol}", where)
    file = _validated(_merged(base, given), where)
    _check_tree(file, where)
    digest = hashlib.sha256(file.model_dump_json().encode()).hexdigest()[:8]
    return LimitTree(file, f"{file.version}-{digest}")


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text) if path.suffix == ".toml" else yaml.safe_load(text)
    except OSError as error:
        raise ConfigError(f"the limit file cannot be read: {error.strerror}", where=str(path)) from error
    except (tomllib.TOMLDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"the limit file cannot be parsed: {error}", where=str(path)) from error
    if not isinstance(content, dict):
        raise ConfigError("the limit file holds no sections", where=str(path))
    return content


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _validated(content: Mapping[str, Any], where: str) -> LimitFile:
    try:
        return LimitFile.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            f"limit {'.'.join(str(part) for part in first['loc'])}: {first['msg']}",
            where=where,
            remedy="correct the file; no part of it was used",
        ) from None


def _refuse_looser(outer: Scope, inner: Scope, name: str, where: str) -> None:
    """The settings and the venue bound the file: it may only tighten them."""
    for limit in LIMIT_NAMES:
        bound, value = getattr(outer, limit), getattr(inner, limit)
        if bound is not None and value is not None:
            _check_tighter(value, bound, f"{name}.{limit}", "the settings", where)


def _check_tighter(value: Decimal, bound: Decimal, name: str, above: str, where: str) -> None:
    if value > bound:
        raise ConfigError(
            f"limit {name} = {value} is looser than {bound} set by {above}",
            where=where,
            remedy="tighten it, or loosen the outer scope first",
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
        for name, level in chain:
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

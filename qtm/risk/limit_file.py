"""What a limit file may say, and reading one.

A limit file (TOML or YAML) overlays the firm limits of the settings:

    version = 12
    [firm]
    max_order_value = 50000
    at_loss_limit = "halt"
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
    [tail]
    cvar_budget = 0.03
    [[eligible]]
    venue = "binance"
    strategies = ["trend"]
    symbols = ["BTCUSDT"]
    signoff = "LEGAL-31"
    until = 2027-12-31

`at_loss_limit` says what a loss above `max_drawdown` or `daily_loss` leads to: "halt" lets no order pass,
"reduce" those that shrink a position. An unknown key refuses the file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qtm.errors import ConfigError
from qtm.trading.orders import OrderType, TimeInForce

Positive = Annotated[Decimal, Field(gt=0, allow_inf_nan=False)]


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
    at_loss_limit: Literal["reduce", "halt"] | None = None


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


class Tail(BaseModel):
    """The account's CVaR budget (PT-09); without this section there is none.

    `cvar_budget` is a fraction of equity at confidence `alpha` over one day. Scenarios, and the verdicts on
    the risk models, count for `max_age_hours` after the close they were made at.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    cvar_budget: Decimal = Field(gt=0, le=1, allow_inf_nan=False)
    alpha: float = Field(default=0.975, gt=0.5, lt=1)
    max_age_hours: Decimal = Field(default=Decimal(36), gt=0, allow_inf_nan=False)


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
    tail: Tail | None = None


def read_file(path: Path) -> dict[str, Any]:
    """The sections of a limit file as written; ConfigError when it cannot be read or parsed."""
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


def overlaid(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` on top of `base`, section by section."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = overlaid(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def validated(content: Mapping[str, Any], where: str) -> LimitFile:
    """Sections as limits; ConfigError names the first key that is unknown or out of range."""
    try:
        return LimitFile.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            f"limit {'.'.join(str(part) for part in first['loc'])}: {first['msg']}",
            where=where,
            remedy="correct the file; no part of it was used",
        ) from None

"""How numbers read in reports: one way for percentages, money, ratios and times."""

from __future__ import annotations

import math

MISSING = "\N{EN DASH}"
"""Shown where there is no figure."""


def percent(value: float, digits: int = 2, *, signed: bool = False) -> str:
    """`0.0123` as `1.23 %`."""
    if not math.isfinite(value):
        return MISSING
    return _minus(f"{value * 100:{'+' if signed else ''},.{digits}f}") + "\N{NO-BREAK SPACE}%"


def money(value: float, digits: int = 0, *, signed: bool = False) -> str:
    """`1234567.8` as `1,234,568`."""
    return _minus(f"{value:{'+' if signed else ''},.{digits}f}") if math.isfinite(value) else MISSING


def ratio(value: float, digits: int = 2) -> str:
    """A plain number with `digits` decimals."""
    return _minus(f"{value:,.{digits}f}") if math.isfinite(value) else MISSING


SHARES = frozenset(
    (
        "total_return",
        "annual_return",
        "volatility",
        "max_drawdown",
        "var_95",
        "cvar_95",
        "exposure",
        "win_rate",
    )
)
"""Figures of `qtm.backtest.statistics` that are parts of one."""

SUMS = frozenset(("final_equity", "fees", "funding", "average_trade"))
"""Those in quote currency."""


def statistic(name: str, value: float | None) -> str:
    """A figure of `qtm.backtest.statistics` by its name: `12.3 %` of shares, `1,234` of sums, else `1.23`."""
    if value is None:
        return MISSING
    if name in SHARES:
        return percent(value, 1, signed=name.endswith("return"))
    if name in SUMS:
        return money(value)
    return f"{value:,}" if isinstance(value, int) else ratio(value)


def price(value: float) -> str:
    """A price with up to eight significant decimals and no trailing zeros."""
    if not math.isfinite(value):
        return MISSING
    text = f"{value:,.8f}".rstrip("0").rstrip(".")
    return _minus(text)


def duration(value: float) -> str:
    """Seconds in the largest unit that they fill."""
    for size, unit in ((86_400.0, "days"), (3_600.0, "hours"), (60.0, "minutes")):
        if value >= size:
            return f"{value / size:,.1f} {unit}"
    return f"{value:,.3g} seconds"


def _minus(text: str) -> str:
    """A true minus sign, and no sign before a zero."""
    if text.startswith(("-", "+")) and not text.strip("-+0.,"):
        return text[1:]
    return text.replace("-", "\N{MINUS SIGN}")

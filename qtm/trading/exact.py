"""Money in whole units of 1e-8, prices in ticks and quantities in lots: arithmetic without a rounding error.

The integer twin of the float rules in `qtm.trading.costs`, for engines in which an order may hang on the last
unit. Everything truncates as Binance does; what an account must set aside rounds up.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np

from qtm.compiled import compiled
from qtm.errors import DataError
from qtm.market.instruments import Instrument

UNITS = 100_000_000
"""Units in one of any asset."""


class Scale(NamedTuple):
    """What a tick and a lot of an instrument are worth, in units.

    Attributes
    ----------
    tick, step
        Units of quote currency in a tick, units of base currency in a lot.
    value, per
        A lot at one tick is worth `value / per` units of quote currency.
    """

    tick: int
    step: int
    value: int
    per: int


def units_of(amount: Decimal | float | int) -> int:
    """`amount` of an asset in whole units, the nearest one for a float."""
    return round(Decimal(str(amount)) * UNITS)


def scale_of(instrument: Instrument) -> Scale:
    """The scale of an instrument.

    Raises
    ------
    DataError
        When its tick or lot is not a whole number of units.
    """
    tick, step = instrument.tick_size * UNITS, instrument.step_size * UNITS
    if tick != int(tick) or step != int(step) or tick <= 0 or step <= 0:
        raise DataError(
            "the tick or lot size is not a whole number of 1e-8",
            where=instrument.key,
            remedy="fetch the instrument's filters again",
        )
    value, per = (instrument.tick_size * instrument.step_size * UNITS).as_integer_ratio()
    return Scale(int(tick), int(step), value, per)


@compiled
def value_of(lots: int, ticks: int, rules: Any) -> int:
    """Quote units that `lots` cost at `ticks`, truncated towards zero; `rules` has the fields of `Scale`."""
    value = lots * ticks * rules.value
    if rules.per == 1:
        return value  # type: ignore[no-any-return]
    return value // rules.per if value >= 0 else -(-value // rules.per)  # type: ignore[no-any-return]


@compiled
def value_up(lots: int, ticks: int, rules: Any) -> int:
    """Quote units to set aside for a positive number of `lots` at `ticks`: rounded up."""
    value = lots * ticks * rules.value
    return value if rules.per == 1 else -(-value // rules.per)  # type: ignore[no-any-return]


@compiled
def share_of(amount: int, rate: int) -> int:
    """`amount * rate / UNITS` towards zero, without leaving 64 bits; the amount is not negative."""
    size = abs(rate)
    share = (amount // UNITS) * size + (amount % UNITS) * size // UNITS
    return share if rate >= 0 else -share


@compiled
def is_too_large(lots: int, ticks: int, rules: Any) -> bool:
    """True when the value of an order does not fit into 64 bits of units (about 40 thousand million)."""
    return bool(float(lots) * float(ticks) * float(rules.value) > 4e18)


def lots_from(qty: Decimal | float, instrument: Instrument) -> int:
    """Whole lots in `qty`, towards zero."""
    return int(Decimal(str(qty)) / instrument.step_size)


def as_amount(units: np.ndarray | np.int64 | int) -> np.ndarray | float:
    """Units as a float amount of the asset."""
    return units / UNITS

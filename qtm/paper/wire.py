"""Numbers and JSON on the wire: whole numbers of 1e-8 units inside, strings with 8 decimals outside.

Binance spot keeps every asset to eight decimals, so one integer unit (`E8`) serves prices, quantities and
balances alike and no sum is ever rounded by accident.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import orjson

E8 = 100_000_000
"""Units in one whole coin."""

_NUMBER = re.compile(r"^[0-9]{1,20}(\.[0-9]{1,20})?$")


def text_of(units: int) -> str:
    """`61234.56000000` for 6123456000000 units; negative amounts keep their sign."""
    if units < 0:
        return "-" + text_of(-units)
    return f"{units // E8}.{units % E8:08d}"


def price_text(value: float) -> str:
    """A float from a bar, with eight decimals."""
    return f"{value:.8f}"


def units_of(value: Decimal | float | int | str) -> int:
    """Units in an amount, truncated towards zero beyond eight decimals.

    A float is read by its shortest decimal text, so 61234.56 means exactly that.
    """
    return int(Decimal(repr(value) if isinstance(value, float) else str(value)) * E8)


def parse_amount(text: str) -> tuple[int, int] | None:
    """Read a plain decimal number from a request.

    Returns
    -------
    (units, decimals)
        The amount truncated to eight decimals, and how many decimals are significant (trailing zeros do not
        count); None when the text is not a plain non-negative decimal number.
    """
    if not _NUMBER.match(text):
        return None
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    return int(whole) * E8 + int((fraction[:8]).ljust(8, "0")), len(fraction)


def dumps(value: Any) -> bytes:
    """Compact JSON."""
    return orjson.dumps(value)

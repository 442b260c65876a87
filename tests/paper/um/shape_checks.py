"""Shapes of answers and events: the names of members in their order, and what each may hold.

A shape is a dict (exactly these members, in this order), a list of one shape (any number of rows), a type, a
`Decimals`, or a set of the values allowed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Decimals:
    """A number as text with so many decimals (None: any number)."""

    places: int | None = None

    def fits(self, value: Any) -> bool:
        """Whether a value is such a text."""
        count = "*" if self.places is None else f"{{{self.places}}}"
        fraction = rf"(\.[0-9]{count})?" if not self.places else rf"\.[0-9]{count}"
        return isinstance(value, str) and re.fullmatch(rf"-?[0-9]+{fraction}", value) is not None


AMOUNT = Decimals(8)
MILLISECONDS = range(1_500_000_000_000, 2_500_000_000_000)


def check(value: Any, shape: Any, where: str = "answer") -> None:
    """Assert that a value has a shape; the message names the member that has not."""
    if isinstance(shape, dict):
        assert isinstance(value, dict), f"{where} is no object: {value!r}"
        assert list(value) == list(shape), f"{where} has other members: {list(value)} != {list(shape)}"
        for name, inner in shape.items():
            check(value[name], inner, f"{where}.{name}")
    elif isinstance(shape, list):
        assert isinstance(value, list), f"{where} is no list: {value!r}"
        for number, row in enumerate(value):
            check(row, shape[0], f"{where}[{number}]")
    elif isinstance(shape, tuple):
        assert len(value) == len(shape), f"{where} has another length: {value!r}"
        for number, (item, inner) in enumerate(zip(value, shape, strict=True)):
            check(item, inner, f"{where}[{number}]")
    elif isinstance(shape, Decimals):
        assert shape.fits(value), f"{where} is no text of {shape}: {value!r}"
    elif isinstance(shape, set | frozenset | range):
        assert value in shape, f"{where} holds {value!r}"
    else:
        assert type(value) is shape, f"{where} is no {shape.__name__}: {value!r}"

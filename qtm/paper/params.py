"""Request parameters: parsed once, read by name, with the venue's errors for what is missing or malformed.

`Params` remembers which names were read, because the venue refuses a request with parameters it does not know
(-1104).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

from qtm.paper.errors import ApiError, illegal, mandatory, precision
from qtm.paper.wire import parse_amount

_ID = re.compile(r"^[.A-Z:/a-z0-9_-]{1,36}$")
_INT = re.compile(r"^-?[0-9]{1,20}$")
_LARGEST = 2**63 - 1
_DECIMAL = "^([0-9]{1,20})(\\.[0-9]{1,20})?$"


class Params(dict[str, str]):
    """Parameters by name, all as text."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.used: set[str] = set()

    def text(self, name: str) -> str | None:
        """The text of an optional parameter, None when absent."""
        self.used.add(name)
        return self.get(name)

    def _given(self, name: str) -> str | None:
        """The text of a parameter that may be left out, but not be empty."""
        value = self.text(name)
        if value == "":
            raise ApiError(-1105, f"Parameter '{name}' was empty.")
        return value

    def required(self, name: str) -> str:
        """The text of a parameter that must be there and not empty."""
        self.used.add(name)
        value = self.get(name)
        if not value:
            raise mandatory(name)
        return value

    def integer(self, name: str, default: int | None = None) -> int | None:
        """A whole number; -1100 for anything else."""
        value = self._given(name)
        if value is None:
            return default
        if not _INT.match(value):
            raise illegal(name, "^[0-9]{1,20}$")
        return _fitting(name, int(value))

    def limit(self, default: int, maximum: int) -> int:
        """The `limit` parameter: at least 1, capped at `maximum` without complaint."""
        value = self.integer("limit", default)
        assert value is not None
        if value < 1:
            raise illegal("limit", "^[1-9][0-9]*$")
        return min(value, maximum)

    def amount(self, name: str, decimals: int = 8) -> int | None:
        """A decimal amount in 1e-8 units; -1100 when malformed, -1111 beyond `decimals` decimals."""
        value = self._given(name)
        if value is None:
            return None
        parsed = parse_amount(value)
        if parsed is None:
            raise illegal(name, _DECIMAL)
        units, significant = parsed
        if significant > decimals:
            raise precision(name)
        return _fitting(name, units)

    def client_id(self, name: str) -> str | None:
        """A client order id."""
        value = self._given(name)
        if value is None:
            return None
        if not _ID.match(value):
            raise illegal(name, "^[.A-Z:/a-z0-9_-]{1,36}$")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """`true` or `false`, in any case: some clients send Python's `True`."""
        self.used.add(name)
        value = self.get(name)
        if value is None:
            return default
        if value.lower() not in ("true", "false"):
            raise illegal(name, "true|false")
        return value.lower() == "true"

    def finish(self) -> None:
        """Refuse parameters nobody read."""
        sent = len(self)
        read = sum(1 for name in self if name in self.used)
        if read != sent:
            raise ApiError(
                -1104,
                f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'.",
            )


def _fitting(name: str, value: int) -> int:
    """`value`, unless the venue's 64-bit numbers cannot hold it (-1108)."""
    if not -_LARGEST - 1 <= value <= _LARGEST:
        raise ApiError(-1108, f"Parameter '{name}' overflowed.")
    return value


def parse_form(query: str, body: str) -> Params:
    """Parameters of a REST request; a name in both query and body takes the query's value.

    Raises
    ------
    ApiError
        -1101 when a name is repeated inside the query or inside the body.
    """
    values = _pairs(body) if body else {}
    if query:
        values.update(_pairs(query))
    return Params(values)


def params_of(values: Mapping[str, Any]) -> Params:
    """Parameters of a WebSocket request: JSON scalars as text.

    Raises
    ------
    ApiError
        -1100 for a value that is neither text, number, boolean nor a list of those.
    """
    return Params({name: _scalar(name, value) for name, value in values.items() if value is not None})


def _scalar(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        text = f"{value:.20f}".rstrip("0")
        return repr(value) if "e" not in repr(value) else text.rstrip(".")
    if isinstance(value, list) and all(isinstance(v, str | int | float) for v in value):
        return "[" + ",".join(f'"{v}"' if isinstance(v, str) else str(v) for v in value) + "]"
    raise illegal(name, "string, number, boolean")


def _pairs(text: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for part in text.split("&"):
        if not part:
            continue
        name, _, value = part.partition("=")
        if "%" in value or "+" in value:
            value = unquote_plus(value)
        if "%" in name or "+" in name:
            name = unquote_plus(name)
        if name in values:
            raise ApiError(-1101, "Duplicate values for a parameter detected.")
        values[name] = value
    return values

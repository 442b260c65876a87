"""Instruments as rows of text: every filter is kept as the exact decimal the venue sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from decimal import Decimal
from typing import Any

import polars as pl

from qtm.market.instruments import Instrument, Market

_DECIMAL_FIELDS = frozenset(f.name for f in fields(Instrument) if f.type in ("Decimal", Decimal))


def rows_of(instruments: Iterable[Instrument]) -> pl.DataFrame:
    """One row of text per (market, symbol), sorted; of several of one symbol the last is kept."""
    rows = [{f.name: str(getattr(one, f.name)) for f in fields(Instrument)} for one in instruments]
    frame = pl.DataFrame(rows, schema={f.name: pl.String for f in fields(Instrument)})
    return frame.unique(["market", "symbol"], keep="last").sort("market", "symbol")


def instrument_of(row: Mapping[str, Any]) -> Instrument:
    """The instrument of a row."""
    values: dict[str, Any] = {
        name: Decimal(value) if name in _DECIMAL_FIELDS else value for name, value in row.items()
    }
    values["market"] = Market(row["market"])
    return Instrument(**values)

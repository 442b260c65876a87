"""Venue filters packaged with the platform, for when exchangeInfo cannot be reached.

They cover the default universe, carry the date they were true in `filters_source`, and give way to the
venue's own answer at the first ingestion that can reach it. A symbol that is not among them has no filters
here, and an instrument without exact filters is never traded.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import orjson

from qtm.errors import DataError
from qtm.market.instruments import PACKAGED, Instrument, Market, instrument_from_exchange_info


@cache
def packaged_instruments(market: Market) -> dict[str, Instrument]:
    """Every packaged instrument of a market, by symbol."""
    text = files("qtm.market").joinpath(f"defaults/{market}.json").read_bytes()
    return {
        row["symbol"]: instrument_from_exchange_info(market, row, source=f"{PACKAGED}: {row['as_of']}")
        for row in orjson.loads(text)["symbols"]
    }


def packaged_instrument(market: Market, symbol: str) -> Instrument:
    """One packaged instrument.

    Raises
    ------
    DataError
        When the symbol is not in the default universe.
    """
    held = packaged_instruments(market)
    if symbol not in held:
        raise DataError(
            f"the filters of {symbol} on {market.label} are not known",
            where="packaged defaults",
            remedy=f"ingest instruments with the venue reachable; packaged are {', '.join(sorted(held))}",
        )
    return held[symbol]

"""Instruments and the venue filters their orders must obey, read exactly from Binance's exchangeInfo.

Prices count in ticks and quantities in lots wherever they are compared, so that no comparison depends on a
float. Source: Binance spot `filters.md` and the USD-M exchangeInfo reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum
from typing import Any

from qtm.errors import DataError

PACKAGED = "packaged defaults"
"""How `filters_source` starts when the filters came with the platform and not from the venue."""


class Market(StrEnum):
    """A Binance market, named as the public archive and this platform name it."""

    SPOT = "spot"
    UM = "um"

    @property
    def label(self) -> str:
        """The market's name as a person says it."""
        return {"spot": "Spot", "um": "USD-M Futures"}[self.value]


@dataclass(frozen=True, slots=True)
class Instrument:
    """One tradable symbol with its exact filters.

    `tick_size` is in quote currency per base unit, `step_size`, `min_qty` and `max_qty` in base units (a
    USD-M contract is one base unit), `min_notional` in quote currency. `market_*` bounds apply to MARKET
    orders.
    """

    market: Market
    symbol: str
    base: str
    quote: str
    tick_size: Decimal
    step_size: Decimal
    min_qty: Decimal
    max_qty: Decimal
    min_notional: Decimal
    min_price: Decimal = Decimal(0)
    max_price: Decimal = Decimal(0)
    max_notional: Decimal = Decimal(0)
    market_step_size: Decimal = Decimal(0)
    market_max_qty: Decimal = Decimal(0)
    status: str = "TRADING"
    filters_source: str = ""

    @property
    def key(self) -> str:
        """`spot:BTCUSDT`: unique over markets."""
        return f"{self.market}:{self.symbol}"

    @property
    def is_packaged(self) -> bool:
        """True when the filters came with the platform: good for research, not for live orders."""
        return self.filters_source.startswith(PACKAGED)

    def ticks(self, price: Decimal, *, up: bool = False) -> int:
        """Whole ticks in `price`, rounded down (or up)."""
        return int((price / self.tick_size).to_integral_value(ROUND_CEILING if up else ROUND_FLOOR))

    def price(self, ticks: int) -> Decimal:
        """The exact price of a number of ticks."""
        return ticks * self.tick_size

    def lots(self, qty: Decimal) -> int:
        """Whole lots in `qty`, rounded towards zero."""
        return int(qty / self.step_size)

    def qty(self, lots: int) -> Decimal:
        """The exact quantity of a number of lots."""
        return lots * self.step_size


def instrument_from_exchange_info(market: Market, row: Mapping[str, Any], *, source: str = "") -> Instrument:
    """Build an `Instrument` from one entry of exchangeInfo's `symbols`.

    Raises
    ------
    DataError
        When PRICE_FILTER or LOT_SIZE is missing or a field is not a number.
    """
    symbol = str(row.get("symbol", "?"))
    filters: dict[str, Mapping[str, Any]] = {f["filterType"]: f for f in row.get("filters", [])}
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or {}
    try:
        price, lot = filters["PRICE_FILTER"], filters["LOT_SIZE"]
        market_lot = filters.get("MARKET_LOT_SIZE", {})
        return Instrument(
            market=market,
            symbol=symbol,
            base=str(row["baseAsset"]),
            quote=str(row["quoteAsset"]),
            tick_size=Decimal(price["tickSize"]).normalize(),
            step_size=Decimal(lot["stepSize"]).normalize(),
            min_qty=Decimal(lot["minQty"]),
            max_qty=Decimal(lot["maxQty"]),
            min_notional=Decimal(notional.get("minNotional") or notional.get("notional") or "0"),
            min_price=Decimal(price["minPrice"]),
            max_price=Decimal(price["maxPrice"]),
            max_notional=Decimal(notional.get("maxNotional", "0")),
            market_step_size=Decimal(market_lot.get("stepSize", "0")),
            market_max_qty=Decimal(market_lot.get("maxQty", "0")),
            status=str(row.get("status", row.get("contractStatus", "TRADING"))),
            filters_source=source,
        )
    except (KeyError, ArithmeticError, TypeError) as error:
        raise DataError(
            f"exchangeInfo entry cannot be used: {type(error).__name__} {error}",
            where=f"{market} {symbol}",
            remedy="fetch exchangeInfo again; an instrument without exact filters is never traded",
        ) from error

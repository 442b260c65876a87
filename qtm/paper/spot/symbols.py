"""A spot symbol: what exchangeInfo shows of it, and its filters as exact integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from qtm.market.instruments import Instrument
from qtm.paper.wire import text_of, units_of

STP_MODES = ("EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT", "TRANSFER")
"""Modes a request may name; a listing allows some of them."""

ALLOWED_STP = ("EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT")
ORDER_TYPES = (
    "LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT",
)  # fmt: skip

FEATURES = {
    "icebergAllowed": True,
    "ocoAllowed": True,
    "otoAllowed": True,
    "opoAllowed": True,
    "quoteOrderQtyMarketAllowed": True,
    "allowTrailingStop": True,
    "cancelReplaceAllowed": True,
    "amendAllowed": True,
    "pegInstructionsAllowed": True,
    "isSpotTradingAllowed": True,
    "isMarginTradingAllowed": False,
}
"""What a listing offers beyond its order types, in the order exchangeInfo shows it."""


def default_filters(instrument: Instrument) -> list[dict[str, Any]]:
    """The filters of a listing: the instrument's own grid with the venue's usual caps, in its order."""

    def text(value: Decimal) -> str:
        return text_of(units_of(value))

    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": text(instrument.min_price or instrument.tick_size),
            "maxPrice": text(instrument.max_price or Decimal(1_000_000)),
            "tickSize": text(instrument.tick_size),
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": text(instrument.min_qty),
            "maxQty": text(instrument.max_qty),
            "stepSize": text(instrument.step_size),
        },
        {"filterType": "ICEBERG_PARTS", "limit": 100},
        {
            "filterType": "MARKET_LOT_SIZE",
            "minQty": "0.00000000",
            "maxQty": text(instrument.market_max_qty or instrument.max_qty),
            "stepSize": text(instrument.market_step_size),
        },
        {
            "filterType": "TRAILING_DELTA",
            "minTrailingAboveDelta": 10,
            "maxTrailingAboveDelta": 2000,
            "minTrailingBelowDelta": 10,
            "maxTrailingBelowDelta": 2000,
        },
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": "5",
            "bidMultiplierDown": "0.2",
            "askMultiplierUp": "5",
            "askMultiplierDown": "0.2",
            "avgPriceMins": 5,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": text(instrument.min_notional),
            "applyMinToMarket": True,
            "maxNotional": text(instrument.max_notional or Decimal(9_000_000)),
            "applyMaxToMarket": False,
            "avgPriceMins": 5,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
        {"filterType": "MAX_NUM_ORDER_LISTS", "maxNumOrderLists": 20},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
        {"filterType": "MAX_NUM_ORDER_AMENDS", "maxNumOrderAmends": 10},
    ]


@dataclass
class SpotSymbol:
    """One listing. `filters` are the public ones; `filter` gives their numbers."""

    instrument: Instrument
    filters: list[dict[str, Any]] = field(default_factory=list)
    permission_sets: list[list[str]] = field(default_factory=lambda: [["SPOT"]])
    default_stp: str = "EXPIRE_MAKER"
    allowed_stp: tuple[str, ...] = ALLOWED_STP
    order_types: tuple[str, ...] = ORDER_TYPES
    features: dict[str, bool] = field(default_factory=lambda: dict(FEATURES))

    def __post_init__(self) -> None:
        if not self.filters:
            self.filters = default_filters(self.instrument)
        self.set_filters(self.filters)
        self.base = self.instrument.base
        self.quote = self.instrument.quote

    def set_filters(self, filters: list[dict[str, Any]]) -> None:
        """Replace the filters."""
        self.filters = filters
        self.by_type: dict[str, dict[str, int]] = {
            str(entry["filterType"]): {
                name: units_of(value) if isinstance(value, str) else int(value)
                for name, value in entry.items()
                if name != "filterType"
            }
            for entry in filters
        }

    def change_filters(self, filters: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Replace filters by type; a new type joins the others. Returns all of them."""
        changed = {str(entry["filterType"]): dict(entry) for entry in filters}
        kept = [changed.pop(entry["filterType"], entry) for entry in self.filters]
        self.set_filters([*kept, *changed.values()])
        return self.filters

    def relist(self, listing: Mapping[str, Any]) -> None:
        """Become what another venue's exchangeInfo says of the symbol; what it omits is not offered."""
        self.set_filters([dict(entry) for entry in listing["filters"]])
        self.order_types = tuple(listing.get("orderTypes", self.order_types))
        self.features = {name: bool(listing.get(name, False)) for name in FEATURES}
        self.permission_sets = [list(group) for group in listing.get("permissionSets", self.permission_sets)]
        self.default_stp = str(listing.get("defaultSelfTradePreventionMode", self.default_stp))
        self.allowed_stp = tuple(listing.get("allowedSelfTradePreventionModes", self.allowed_stp))

    def filter(self, name: str) -> dict[str, int] | None:
        """A filter's numbers: decimals in 1e-8 units, counts and flags as they are."""
        return self.by_type.get(name)

    def public(self, status: str, *, show_permission_sets: bool = True) -> dict[str, Any]:
        """The entry in exchangeInfo's `symbols`."""
        return {
            "symbol": self.instrument.symbol,
            "status": status,
            "baseAsset": self.base,
            "baseAssetPrecision": 8,
            "quoteAsset": self.quote,
            "quotePrecision": 8,
            "quoteAssetPrecision": 8,
            "baseCommissionPrecision": 8,
            "quoteCommissionPrecision": 8,
            "orderTypes": list(self.order_types),
            **self.features,
            "filters": self.filters,
            "permissions": [],
            "permissionSets": self.permission_sets if show_permission_sets else [],
            "defaultSelfTradePreventionMode": self.default_stp,
            "allowedSelfTradePreventionModes": list(self.allowed_stp),
        }

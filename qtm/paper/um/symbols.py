"""A perpetual contract: its grid, its limits, what exchangeInfo shows, and the refusals of futures orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from typing import Any

from qtm.market.instruments import Instrument
from qtm.paper.errors import ApiError
from qtm.paper.um.brackets import Bracket, brackets_of
from qtm.paper.wire import E8, text_of, units_of

ORDER_TYPES = (
    "LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET",
)  # fmt: skip
TIFS = ("GTC", "IOC", "FOK", "GTX", "GTD")
MAX_ORDERS = 200
LIQUIDATION_FEE = 1_250_000
"""Share of notional an account pays to the insurance fund when it is liquidated, in 1e-8."""


_RULES = {
    ("PRICE_FILTER", "minPrice"): "min_price",
    ("PRICE_FILTER", "maxPrice"): "max_price",
    ("PRICE_FILTER", "tickSize"): "tick_size",
    ("LOT_SIZE", "minQty"): "min_qty",
    ("LOT_SIZE", "maxQty"): "max_qty",
    ("LOT_SIZE", "stepSize"): "step_size",
    ("MARKET_LOT_SIZE", "maxQty"): "market_max_qty",
    ("MIN_NOTIONAL", "notional"): "min_notional",
}
"""Which field of the instrument a member of a filter shows."""
_OWN_RULES = {("MAX_NUM_ORDERS", "limit"), ("PERCENT_PRICE", "multiplierUp")}
_LISTED = frozenset({
    "pair", "contractType", "deliveryDate", "onboardDate", "maintMarginPercent", "requiredMarginPercent",
    "underlyingType", "underlyingSubType", "maxMoveOrderLimit", "permissionSets",
})  # fmt: skip
"""What is shown as another venue lists it; the other members are what this exchange does."""


def decimals(value: Decimal) -> int:
    """Decimals a grid has."""
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def fixed(units: int, places: int) -> str:
    """Units as a decimal with `places` decimals, rounded to the nearest."""
    scale = 10 ** (8 - places)
    whole = (abs(units) + scale // 2) // scale * scale
    text = text_of(whole)
    text = text[: len(text) - (8 - places)] if places else text[:-9]
    return "-" + text if units < 0 and whole else text


@dataclass(frozen=True)
class UmSymbol:
    """One contract; numbers in 1e-8 units."""

    instrument: Instrument
    brackets: tuple[Bracket, ...]
    percent: int = 5_000_000
    """How far a limit price may lie from the mark price, how far a market order takes, and how far last and
    mark price may be apart for a protected conditional order to fire; in 1e-8."""
    max_orders: int = MAX_ORDERS
    listing: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What another venue's exchangeInfo says of the contract, when it is mirrored."""

    @classmethod
    def of(cls, instrument: Instrument, brackets: tuple[Bracket, ...] = ()) -> UmSymbol:
        """The contract of an instrument, with its own brackets or those of its size."""
        return cls(instrument, brackets or brackets_of(instrument.base))

    @property
    def name(self) -> str:
        """The symbol."""
        return self.instrument.symbol

    @property
    def asset(self) -> str:
        """The margin asset."""
        return self.instrument.quote

    @cached_property
    def tick(self) -> int:
        """Tick size."""
        return units_of(self.instrument.tick_size)

    @cached_property
    def step(self) -> int:
        """Lot size."""
        return units_of(self.instrument.step_size)

    @cached_property
    def price_places(self) -> int:
        """Decimals of prices on the wire."""
        return int(self.listing.get("pricePrecision", max(2, decimals(self.instrument.tick_size))))

    @cached_property
    def qty_places(self) -> int:
        """Decimals of quantities on the wire."""
        return int(self.listing.get("quantityPrecision", decimals(self.instrument.step_size)))

    @property
    def funding_cap(self) -> int:
        """The largest funding rate: three quarters of the lowest maintenance margin rate, in 1e-8."""
        return self.brackets[0].rate * 3 // 4

    @cached_property
    def liquidation_fee(self) -> int:
        """Share of notional that a liquidation costs, in 1e-8."""
        return (
            units_of(str(self.listing["liquidationFee"]))
            if "liquidationFee" in self.listing
            else LIQUIDATION_FEE
        )

    def band(self, mark: int) -> tuple[int, int]:
        """The lowest and the highest price that a sell and a buy may have at a mark price."""
        return -(-mark * (E8 - self.percent) // E8), mark * (E8 + self.percent) // E8

    def price(self, units: int) -> str:
        """A price as shown."""
        return fixed(units, self.price_places)

    def qty(self, units: int) -> str:
        """A quantity as shown."""
        return fixed(units, self.qty_places)

    def check_price(self, price: int, mark: int, *, buy: bool) -> None:
        """Grid and band of a limit price; raises -1111, -4001, -4002, -4013, -4014, -4016, -4024."""
        self.check_grid(price)
        lowest, highest = self.band(mark)
        if mark and buy and price > highest:
            raise ApiError(-4016, f"Limit price can't be higher than {self.price(highest)}.")
        if mark and not buy and price < lowest:
            raise ApiError(-4024, f"Limit price can't be lower than {self.price(lowest)}.")

    def check_grid(self, price: int) -> None:
        """Range and tick of a price; raises -1111, -4001, -4002, -4013, -4014."""
        if price <= 0:
            raise ApiError(-4001, "Price less than 0.")
        if price % 10 ** (8 - self.price_places):
            raise ApiError(-1111, "Precision is over the maximum defined for this asset.")
        rules = self.instrument
        if rules.max_price and price > units_of(rules.max_price):
            raise ApiError(-4002, "Price greater than max price.")
        if price < units_of(rules.min_price):
            raise ApiError(-4013, "Price less than min price.")
        if price % self.tick:
            raise ApiError(-4014, "Price not increased by tick size.")

    def check_trigger(self, price: int) -> None:
        """Range and tick of a trigger or activation price; raises -4006, -4007, -4014."""
        if price <= 0:
            raise ApiError(-4006, "Stop price less than zero.")
        most = self.instrument.max_price
        if most and price > units_of(most):
            raise ApiError(-4007, "Stop price greater than max price.")
        if price % self.tick:
            raise ApiError(-4014, "Price not increased by tick size.")

    def check_qty(self, qty: int, *, market: bool) -> None:
        """Lot limits of a quantity; raises -1111, -4003, -4004, -4005, -4023."""
        rules = self.instrument
        if qty <= 0:
            raise ApiError(-4003, "Quantity less than or equal to zero.")
        if qty % 10 ** (8 - self.qty_places):
            raise ApiError(-1111, "Precision is over the maximum defined for this asset.")
        if qty < units_of(rules.min_qty):
            raise ApiError(-4004, "Quantity less than min quantity.")
        most = units_of((market and rules.market_max_qty) or rules.max_qty)
        if most and qty > most:
            raise ApiError(-4005, "Quantity greater than max quantity.")
        if qty % self.step:
            raise ApiError(-4023, "Qty not increased by step size.")

    def check_notional(self, notional: int) -> None:
        """MIN_NOTIONAL; raises -4164."""
        least = self.instrument.min_notional
        if notional < units_of(least):
            raise ApiError(
                -4164,
                f"Order's notional must be no smaller than {least.normalize():f} "
                "(unless you choose reduce only).",
            )

    def filters(self) -> list[dict[str, Any]]:
        """The filters as exchangeInfo writes them, members in the venue's order."""
        rules = self.instrument
        return [
            {
                "minPrice": self.price(units_of(rules.min_price) or self.tick),
                "maxPrice": f"{(rules.max_price or Decimal(1_000_000)).normalize():f}",
                "filterType": "PRICE_FILTER",
                "tickSize": self.price(self.tick),
            },
            *(
                {
                    "stepSize": self.qty(self.step),
                    "filterType": kind,
                    "maxQty": f"{most.normalize():f}",
                    "minQty": self.qty(units_of(rules.min_qty)),
                }
                for kind, most in (
                    ("LOT_SIZE", rules.max_qty),
                    ("MARKET_LOT_SIZE", rules.market_max_qty or rules.max_qty),
                )
            ),
            {"limit": self.max_orders, "filterType": "MAX_NUM_ORDERS"},
            {"notional": f"{rules.min_notional.normalize():f}", "filterType": "MIN_NOTIONAL"},
            {
                "multiplierDown": fixed(E8 - self.percent, 4),
                "multiplierUp": fixed(E8 + self.percent, 4),
                "multiplierDecimal": "4",
                "filterType": "PERCENT_PRICE",
            },
            {
                "filterType": "POSITION_RISK_CONTROL",
                "positionControlSide": "NONE",
            },
        ]

    def with_filters(self, filters: Sequence[Mapping[str, Any]]) -> UmSymbol:
        """The contract with some filters replaced.

        Raises
        ------
        ValueError
            For a filter the contract does not have, or a member it does not know.
        """
        rules: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for entry in filters:
            kind = str(entry["filterType"])
            for name, value in entry.items():
                if (kind, name) in _RULES:
                    rules[_RULES[kind, name]] = Decimal(str(value))
                elif (kind, name) == ("MAX_NUM_ORDERS", "limit"):
                    own["max_orders"] = int(value)
                elif (kind, name) == ("PERCENT_PRICE", "multiplierUp"):
                    own["percent"] = units_of(str(value)) - E8
                elif name != "filterType":
                    raise ValueError(f"{kind}.{name} of a contract cannot be changed")
        return replace(self, instrument=replace(self.instrument, **rules), **own)

    def relisted(self, listing: Mapping[str, Any]) -> UmSymbol:
        """The contract as another venue's exchangeInfo has it; other members than `_RULES` stay its own."""
        known = {kind for kind, _ in _RULES} | {"MAX_NUM_ORDERS", "PERCENT_PRICE"}
        filters = [
            {
                name: value
                for name, value in entry.items()
                if (entry["filterType"], name) in {*_RULES, *_OWN_RULES} or name == "filterType"
            }
            for entry in listing["filters"]
            if entry["filterType"] in known
        ]
        return replace(self.with_filters(filters), listing=listing)

    def public(self, status: str) -> dict[str, Any]:
        """The entry in exchangeInfo's `symbols`."""
        rules = self.instrument
        shown = {
            "symbol": self.name,
            "pair": self.name,
            "contractType": "PERPETUAL",
            "deliveryDate": 4133404800000,
            "onboardDate": 1569398400000,
            "status": status,
            "maintMarginPercent": "2.5000",
            "requiredMarginPercent": "5.0000",
            "baseAsset": rules.base,
            "quoteAsset": rules.quote,
            "marginAsset": rules.quote,
            "pricePrecision": self.price_places,
            "quantityPrecision": self.qty_places,
            "baseAssetPrecision": 8,
            "quotePrecision": 8,
            "underlyingType": "COIN",
            "underlyingSubType": [],
            "triggerProtect": fixed(self.percent, 4),
            "liquidationFee": fixed(self.liquidation_fee, 6),
            "marketTakeBound": fixed(self.percent, 2),
            "maxMoveOrderLimit": 10000,
            "filters": self.filters(),
            "orderTypes": list(ORDER_TYPES),
            "timeInForce": list(TIFS),
            "permissionSets": ["GRID", "COPY"],
        }
        return {name: self.listing.get(name, own) if name in _LISTED else own for name, own in shown.items()}

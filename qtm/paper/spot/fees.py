"""What an account pays for its trades: its tier's rates, from what it receives or in BNB at a discount."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtm.market.instruments import Market
from qtm.paper.wire import E8, text_of, units_of
from qtm.trading.costs import FEE_IN_BNB, CostModel
from qtm.trading.fee_tiers import BNB_DISCOUNT

if TYPE_CHECKING:
    from qtm.paper.spot.accounts import SpotAccount
    from qtm.paper.spot.symbols import SpotSymbol
    from qtm.paper.spot.venue import SpotVenue

KEPT = units_of(1.0 - BNB_DISCOUNT[Market.SPOT])
"""Part of the commission that is left when it is paid in BNB, in 1e-8."""

NOTHING = {"maker": "0.00000000", "taker": "0.00000000", "buyer": "0.00000000", "seller": "0.00000000"}


@dataclass(slots=True)
class FeeRates:
    """Commission rates in 1e-8 of notional; `bnb_discount` pays in BNB at `discount` of the rate."""

    maker: int
    taker: int
    bnb_discount: bool = False
    discount: int = KEPT

    @classmethod
    def of(cls, costs: CostModel) -> FeeRates:
        """The rates of a cost model; one that pays in BNB names its rates after the discount."""
        in_bnb = costs.fee_in == FEE_IN_BNB
        share = KEPT / E8 if in_bnb else 1.0
        return cls(round(costs.maker_rate / share * E8), round(costs.taker_rate / share * E8), in_bnb)

    def standard(self) -> dict[str, str]:
        """As `standardCommission` and `commissionRates` show them."""
        return {**NOTHING, "maker": text_of(self.maker), "taker": text_of(self.taker)}

    def discount_view(self) -> dict[str, Any]:
        """As `discount` shows it."""
        return {
            "enabledForAccount": self.bnb_discount,
            "enabledForSymbol": True,
            "discountAsset": "BNB",
            "discount": text_of(self.discount),
        }


def commission(
    venue: SpotVenue,
    account: SpotAccount,
    symbol: SpotSymbol,
    buy: bool,
    got: int,
    quote: int,
    *,
    is_maker: bool,
) -> tuple[str, int]:
    """Commission asset and units of a fill that brought `got` and was worth `quote`.

    Taken from the asset received and truncated, or in BNB at the discount when the account chose that, a
    price of BNB is known and it holds enough of it; otherwise the full commission comes out of what it
    received.
    """
    fees = account.fees
    rate = fees.maker if is_maker else fees.taker
    received = symbol.base if buy else symbol.quote
    if fees.bnb_discount and rate:
        if received == "BNB":
            return "BNB", got * rate * fees.discount // (E8 * E8)
        price = _bnb_price(venue, symbol.quote)
        if price:
            fee = quote * rate * fees.discount // (E8 * price)
            if account.balance("BNB").free >= fee:
                return "BNB", fee
    return received, got * rate // E8


def _bnb_price(venue: SpotVenue, quote_asset: str) -> int:
    """What a BNB costs in an asset: the last trade, else what the cost model says; 0 when nobody knows."""
    if quote_asset == "BNB":
        return E8
    market = venue.markets.get(f"BNB{quote_asset}")
    if market is not None and market.last_price:
        return market.last_price
    return units_of(venue.costs.bnb_price)

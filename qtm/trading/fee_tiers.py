"""Binance's fee schedule: the VIP tiers of spot and USD-M futures as cost models.

The rates are the standing tiers without promotions. What an account really pays is its own:
`GET /api/v3/account/commission` and `GET /fapi/v1/commissionRate` say it.
"""

from __future__ import annotations

from types import MappingProxyType

from qtm.errors import ConfigError
from qtm.market.instruments import Market
from qtm.trading.costs import FEE_IN_BNB, FEE_IN_QUOTE, FEE_IN_RECEIVED_ASSET, CostModel

SOURCE = "https://www.binance.com/en/fee/schedule, as quoted by public comparisons"
READ_ON = "2026-11-21"

TIERS = MappingProxyType(
    {
        Market.SPOT: (
            (10.0, 10.0), (9.0, 10.0), (8.0, 10.0), (4.2, 6.0), (4.2, 5.4),
            (3.6, 4.8), (3.0, 4.2), (2.4, 3.6), (1.8, 3.0), (1.2, 2.4),
        ),
        Market.UM: (
            (2.0, 5.0), (1.6, 4.0), (1.4, 3.5), (1.2, 3.2), (1.0, 3.0),
            (0.8, 2.7), (0.6, 2.5), (0.4, 2.2), (0.2, 2.0), (0.0, 1.7),
        ),
    }
)  # fmt: skip
"""(maker, taker) in basis points of regular users and VIP 1 to 9; the margined contracts are USDT's."""

BNB_DISCOUNT = MappingProxyType({Market.SPOT: 0.25, Market.UM: 0.10})
"""Part of the commission that is waived when it is paid in BNB."""


def fee_schedule(
    market: Market | str,
    tier: int = 0,
    *,
    bnb: float | None = None,
    slippage_bps: float = 1.0,
    impact: float = 0.0,
    participation: float = 0.0,
) -> CostModel:
    """The costs of a VIP tier.

    Parameters
    ----------
    market, tier
        Spot or USD-M; 0 for a regular user, 1 to 9 for VIP.
    bnb
        Price of a BNB in quote currency when commission is paid in BNB, which earns the discount.
    slippage_bps, impact, participation
        As in `CostModel`.

    Raises
    ------
    ConfigError
        For a tier that does not exist, or a BNB price that is not positive.
    """
    venue = Market(market)
    tiers = TIERS[venue]
    if not 0 <= tier < len(tiers):
        raise ConfigError(f"there is no VIP tier {tier}", remedy=f"give 0 (regular) to {len(tiers) - 1}")
    if bnb is not None and not 0.0 < bnb < float("inf"):
        raise ConfigError(f"a BNB price of {bnb} cannot pay commission", remedy="give what a BNB costs")
    maker, taker = (rate / 1e4 for rate in tiers[tier])
    plain = FEE_IN_RECEIVED_ASSET if venue is Market.SPOT else FEE_IN_QUOTE
    kept = 1.0 if bnb is None else 1.0 - BNB_DISCOUNT[venue]
    return CostModel(
        maker_rate=maker * kept,
        taker_rate=taker * kept,
        slippage_bps=slippage_bps,
        fee_in=plain if bnb is None else FEE_IN_BNB,
        impact=impact,
        participation=participation,
        bnb_price=0.0 if bnb is None else float(bnb),
    )

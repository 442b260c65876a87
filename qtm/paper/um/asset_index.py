"""What an asset is worth as margin in multi-assets mode: its USD index with a buffer on either side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtm.paper.wire import E8, text_of

if TYPE_CHECKING:
    from qtm.paper.um.venue import UmVenue

DOLLARS = frozenset({"USDT", "USDC", "FDUSD", "BFUSD", "USD1"})
"""Assets worth a dollar, without buffer."""
BUFFER = 5_000_000
"""What a coin's value is marked down (owned) or up (owed), in 1e-8."""


def asset_index(venue: UmVenue, asset: str) -> int:
    """USD index of an asset in 1e-8: that of its USDT contract; 0 for an asset that is no margin."""
    if asset in DOLLARS:
        return E8
    prices = venue.prices.contracts.get(f"{asset}USDT")
    return prices.index if prices is not None else 0


def collateral_rate(venue: UmVenue, asset: str, amount: int) -> int:
    """USD per unit of an amount that is owned (or owed, when negative), in 1e-8."""
    index = asset_index(venue, asset)
    buffer = 0 if asset in DOLLARS else BUFFER
    return index * (E8 - buffer if amount >= 0 else E8 + buffer) // E8


def asset_index_view(venue: UmVenue, asset: str) -> dict[str, Any]:
    """One row of GET assetIndex; assets are exchanged automatically at the same rates."""
    buffer = text_of(0 if asset in DOLLARS else BUFFER)
    bid, ask = (text_of(collateral_rate(venue, asset, sign)) for sign in (1, -1))
    return {
        "symbol": f"{asset}USD", "time": venue.clock.now_ms(), "index": text_of(asset_index(venue, asset)),
        "bidBuffer": buffer, "askBuffer": buffer, "bidRate": bid, "askRate": ask,
        "autoExchangeBidBuffer": buffer, "autoExchangeAskBuffer": buffer, "autoExchangeBidRate": bid,
        "autoExchangeAskRate": ask,
    }  # fmt: skip

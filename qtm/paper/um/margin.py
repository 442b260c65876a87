"""Margin of an account: what positions and orders tie up, what is available, where liquidation begins.

Initial margin of a position is its notional at the mark price over the leverage. Open orders need the margin
of the larger position they could lead to, beyond what the position itself needs; orders that only reduce need
none. In multi-assets mode every wallet, valued by its asset index, backs every cross position. Source:
Binance, "How to calculate margin" and "Leverage and maintenance margin" of USD-M futures.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qtm.paper.um.accounts import UmAccount
from qtm.paper.um.asset_index import collateral_rate
from qtm.paper.um.brackets import bracket_at, maintenance
from qtm.paper.um.positions import Position
from qtm.paper.wire import E8

if TYPE_CHECKING:
    from qtm.paper.um.venue import UmVenue


@dataclass(slots=True)
class AssetMargin:
    """Margin of one asset, 1e-8 units."""

    wallet: int = 0
    isolated_wallets: int = 0
    unrealised: int = 0
    cross_unrealised: int = 0
    maintenance: int = 0
    cross_maintenance: int = 0
    position_initial: int = 0
    cross_position_initial: int = 0
    order_initial: int = 0
    positions: list[Position] = field(default_factory=list)

    def add(self, other: AssetMargin, rate: int) -> None:
        """Join another asset, its wallet valued at `rate` (1e-8 USD)."""
        self.wallet += other.wallet * rate // E8
        self.positions.extend(other.positions)
        for name in (
            "isolated_wallets", "unrealised", "cross_unrealised", "maintenance", "cross_maintenance",
            "position_initial", "cross_position_initial", "order_initial",
        ):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def cross_wallet(self) -> int:
        """The wallet without what isolated positions hold."""
        return self.wallet - self.isolated_wallets

    @property
    def balance(self) -> int:
        """Wallet plus unrealised profit."""
        return self.wallet + self.unrealised

    @property
    def initial(self) -> int:
        """Initial margin of positions and orders."""
        return self.position_initial + self.order_initial

    @property
    def available(self) -> int:
        """What new orders may use."""
        free = self.cross_wallet + self.cross_unrealised - self.cross_position_initial - self.order_initial
        return max(0, free)

    @property
    def withdrawable(self) -> int:
        """What may leave the account: unrealised profit stays."""
        return max(0, min(self.available, self.cross_wallet))


def order_notionals(
    account: UmAccount, symbol: str, side: str, extra: tuple[bool, int] | None = None
) -> tuple[int, int]:
    """Notional of open buys and sells of one position side; `extra` (buy, notional) joins them."""
    bids = asks = 0
    for order in account.open_orders.values():
        if order.symbol == symbol and order.request.position_side == side and not order.closes:
            value = order.price * order.remaining // E8
            bids, asks = (bids + value, asks) if order.buy else (bids, asks + value)
    if extra is not None:
        bids, asks = (bids + extra[1], asks) if extra[0] else (bids, asks + extra[1])
    return bids, asks


def orders_initial(
    venue: UmVenue, account: UmAccount, symbol: str, side: str, extra: tuple[bool, int] | None = None
) -> int:
    """Initial margin that the open orders of one position side need beyond the position's own."""
    held = account.positions.get((symbol, side))
    value = held.notional(venue.mark(symbol)) if held is not None else 0
    bids, asks = order_notionals(account, symbol, side, extra)
    worst = max(abs(value + bids), abs(value - asks)) if side == "BOTH" else abs(value) + bids + asks
    leverage = account.setting(symbol).leverage
    return max(0, -(-worst // leverage) - position_initial(venue, account, symbol, value))


def position_initial(venue: UmVenue, account: UmAccount, symbol: str, value: int) -> int:
    """Initial margin of a position of signed value `value`."""
    return -(-abs(value) // account.setting(symbol).leverage)


def asset_margin(venue: UmVenue, account: UmAccount, asset: str) -> AssetMargin:
    """What backs positions in a margin asset: its own wallet, or every wallet in multi-assets mode."""
    if not account.multi_assets:
        return own_margin(venue, account, asset)
    pool = AssetMargin()
    for name in sorted({*account.wallets, *(symbol.asset for symbol in venue.symbols.values())}):
        pool.add(own_margin(venue, account, name), collateral_rate(venue, name, account.wallets.get(name, 0)))
    return pool


def own_margin(venue: UmVenue, account: UmAccount, asset: str) -> AssetMargin:
    """Everything about one margin asset alone."""
    total = AssetMargin(wallet=account.wallets.get(asset, 0))
    for position in account.positions.values():
        symbol = venue.symbols[position.symbol]
        if not position.qty or symbol.asset != asset:
            continue
        mark = venue.mark(position.symbol)
        value, profit = position.notional(mark), position.unrealised(mark)
        needed, initial = (
            maintenance(symbol.brackets, value),
            position_initial(venue, account, position.symbol, value),
        )
        total.positions.append(position)
        total.unrealised += profit
        total.maintenance += needed
        total.position_initial += initial
        if account.setting(position.symbol).isolated:
            total.isolated_wallets += position.isolated_wallet
        else:
            total.cross_unrealised += profit
            total.cross_maintenance += needed
            total.cross_position_initial += initial
    for name, side in {(o.symbol, o.request.position_side) for o in account.open_orders.values()}:
        if venue.symbols[name].asset == asset:
            total.order_initial += orders_initial(venue, account, name, side)
    return total


def liquidation_price(venue: UmVenue, account: UmAccount, position: Position) -> int:
    """The mark price at which the position is liquidated, all else unchanged; 0 when there is none."""
    if not position.qty:
        return 0
    symbol = venue.symbols[position.symbol]
    mark = venue.mark(position.symbol)
    if account.setting(position.symbol).isolated:
        backing = position.isolated_wallet
    else:
        total = asset_margin(venue, account, symbol.asset)
        value = position.notional(mark)
        others = total.cross_unrealised - position.unrealised(mark)
        backing = (
            total.cross_wallet + others - (total.cross_maintenance - maintenance(symbol.brackets, value))
        )
    bracket = bracket_at(symbol.brackets, abs(position.notional(mark)))
    # backing + qty * p - cost = |qty| * p * rate - cum, solved for p
    slope = position.qty * E8 - abs(position.qty) * bracket.rate
    price = (position.cost - backing - bracket.cum) * E8 * E8 // slope
    return max(0, price)

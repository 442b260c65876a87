"""Futures accounts: wallets, positions, settings, orders, and the income ledger that explains every wallet.

The wallet of an asset is exactly the sum of the account's income in that asset.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from qtm.paper.limits import OrderLimits
from qtm.paper.um.orders import AlgoOrder, Amendment, UmOrder, UmTrade
from qtm.paper.um.positions import Position

HISTORY = 5_000
"""Closed orders, trades and income entries kept per account."""


@dataclass(slots=True)
class SymbolSettings:
    """Leverage and margin type of one symbol."""

    leverage: int = 20
    isolated: bool = False


class Income(NamedTuple):
    """One entry of the ledger."""

    symbol: str
    kind: str
    amount: int
    asset: str
    time_us: int
    transaction: int
    trade_id: int | None


class MarginChange(NamedTuple):
    """Margin put into (type 1) or taken from (type 2) an isolated position by the account."""

    symbol: str
    side: str
    type: int
    amount: int
    asset: str
    time_us: int


@dataclass
class UmAccount:
    """One account; rates are in 1e-8 of notional."""

    name: str
    uid: int
    maker: int
    taker: int
    limits: OrderLimits
    wallets: dict[str, int] = field(default_factory=dict)
    positions: dict[tuple[str, str], Position] = field(default_factory=dict)
    settings: dict[str, SymbolSettings] = field(default_factory=dict)
    hedge: bool = False
    multi_assets: bool = False
    fee_burn: bool = False
    """Whether commissions are paid in BNB as long as there is any."""
    open_orders: dict[int, UmOrder] = field(default_factory=dict)
    open_client_ids: dict[str, UmOrder] = field(default_factory=dict)
    orders: dict[int, UmOrder] = field(default_factory=dict)
    algos: dict[int, AlgoOrder] = field(default_factory=dict)
    open_algos: dict[int, AlgoOrder] = field(default_factory=dict)
    trades: deque[UmTrade] = field(default_factory=lambda: deque(maxlen=HISTORY))
    income: deque[Income] = field(default_factory=lambda: deque(maxlen=HISTORY))
    amendments: deque[Amendment] = field(default_factory=lambda: deque(maxlen=HISTORY))
    margin_changes: deque[MarginChange] = field(default_factory=lambda: deque(maxlen=HISTORY))
    warned: set[str] = field(default_factory=set)
    """Symbols (isolated) and margin assets (cross) whose margin call stands."""
    slack: dict[str, int] = field(default_factory=dict)
    """How far cross margin of an asset is from a margin call at least, in 1e-8; forgotten when anything but a
    mark price changes."""
    slack_marks: dict[str, int] = field(default_factory=dict)
    """The mark prices that `slack` knows of."""
    listeners: list[Callable[[dict[str, Any]], None]] = field(default_factory=list)
    update_us: int = 0

    def position(self, symbol: str, side: str) -> Position:
        """A position, flat when there was none."""
        found = self.positions.get((symbol, side))
        if found is None:
            found = self.positions[symbol, side] = Position(symbol, side)
        return found

    def setting(self, symbol: str) -> SymbolSettings:
        """Leverage and margin type of a symbol."""
        found = self.settings.get(symbol)
        if found is None:
            found = self.settings[symbol] = SymbolSettings()
        return found

    def held(self, symbol: str) -> list[Position]:
        """Positions of a symbol that are not flat."""
        return [p for p in self.positions.values() if p.symbol == symbol and p.qty]

    def publish(self, event: dict[str, Any]) -> None:
        """Tell the user streams."""
        for listener in list(self.listeners):
            listener(event)

    def forget_oldest(self) -> None:
        """Keep the closed orders, conditional ones included, bounded."""
        _bound(self.orders, self.open_orders)
        _bound(self.algos, self.open_algos)


def _bound(kept: dict[int, Any], opened: dict[int, Any]) -> None:
    while len(kept) > HISTORY + len(opened):
        oldest = next(iter(kept))
        if oldest in opened:
            kept[oldest] = kept.pop(oldest)
        else:
            del kept[oldest]

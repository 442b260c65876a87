"""Futures accounts: wallets, positions, settings, orders, and the income ledger that explains every wallet.

A position keeps its signed quantity and its signed cost, both in 1e-8 units, so that profit is always the
difference of whole numbers: unrealised = quantity * mark - cost. The wallet of an asset is exactly the sum of
the account's income in that asset.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from qtm.paper.limits import OrderLimits
from qtm.paper.um.orders import AlgoOrder, UmOrder, UmTrade
from qtm.paper.wire import E8

HISTORY = 5_000
"""Closed orders, trades and income entries kept per account."""


@dataclass(slots=True)
class Position:
    """One position: `side` is BOTH in one-way mode, LONG or SHORT in hedge mode."""

    symbol: str
    side: str
    qty: int = 0
    cost: int = 0
    isolated_wallet: int = 0
    realised: int = 0
    fees: int = 0
    update_us: int = 0

    def notional(self, mark: int) -> int:
        """Signed value at the mark price."""
        return self.qty * mark // E8

    def unrealised(self, mark: int) -> int:
        """Profit not yet realised."""
        return self.notional(mark) - self.cost if self.qty else 0

    @property
    def entry(self) -> int:
        """Average entry price, to the nearest unit."""
        return (self.cost * E8 * 2 + self.qty) // (2 * self.qty) if self.qty else 0

    @property
    def break_even(self) -> int:
        """Entry price with the commissions paid since the position was opened."""
        return (self.cost + self.fees) * E8 // self.qty if self.qty else 0


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
    open_orders: dict[int, UmOrder] = field(default_factory=dict)
    open_client_ids: dict[str, UmOrder] = field(default_factory=dict)
    orders: dict[int, UmOrder] = field(default_factory=dict)
    algos: dict[int, AlgoOrder] = field(default_factory=dict)
    open_algos: dict[int, AlgoOrder] = field(default_factory=dict)
    trades: deque[UmTrade] = field(default_factory=lambda: deque(maxlen=HISTORY))
    income: deque[Income] = field(default_factory=lambda: deque(maxlen=HISTORY))
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
        """Keep the closed orders bounded."""
        while len(self.orders) > HISTORY + len(self.open_orders):
            oldest = next(iter(self.orders))
            if oldest in self.open_orders:
                self.orders[oldest] = self.orders.pop(oldest)
            else:
                del self.orders[oldest]

"""Spot accounts: balances in whole 1e-8 units, open orders, trades, and the listeners of the user stream.

Every movement goes through `Balance` or `Treasury`, which together never lose a unit: what accounts hold plus
what the market and the fee pot hold always equals what was deposited.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from qtm.paper.limits import OrderLimits
from qtm.paper.spot.archive import OrderArchive
from qtm.paper.spot.fees import FeeRates
from qtm.paper.spot.history import SymbolHistory
from qtm.paper.spot.orders import SpotOrder

UserListener = Callable[[dict[str, Any]], None]


class Balance:
    """Free and locked units of one asset."""

    __slots__ = ("free", "locked")

    def __init__(self, free: int = 0) -> None:
        self.free = free
        self.locked = 0


class SpotAccount:
    """One account."""

    def __init__(
        self, name: str, uid: int, fees: FeeRates, limits: OrderLimits, archive: OrderArchive
    ) -> None:
        self.name = name
        self.uid = uid
        self.fees = fees
        self.limits = limits
        self.balances: dict[str, Balance] = {}
        self.open_orders: dict[int, SpotOrder] = {}
        self.open_client_ids: dict[tuple[str, str], SpotOrder] = {}
        self.history: dict[str, SymbolHistory] = {}
        self.listeners: list[UserListener] = []
        self.update_time_ms = 0
        self._archive = archive
        self.changed: set[str] = set()
        """Assets whose balance changed since the last outboundAccountPosition."""

    def balance(self, asset: str) -> Balance:
        """The balance of `asset`, made when missing."""
        found = self.balances.get(asset)
        if found is None:
            found = self.balances[asset] = Balance()
        return found

    def symbol(self, symbol: str) -> SymbolHistory:
        """The account's history on `symbol`, made when missing."""
        found = self.history.get(symbol)
        if found is None:
            found = self.history[symbol] = SymbolHistory(self.name, symbol, self._archive)
        return found

    def lock(self, asset: str, units: int) -> None:
        """Move free units to locked."""
        balance = self.balance(asset)
        balance.free -= units
        balance.locked += units
        self.changed.add(asset)

    def unlock(self, asset: str, units: int) -> None:
        """Move locked units back to free."""
        balance = self.balance(asset)
        balance.locked -= units
        balance.free += units
        self.changed.add(asset)

    def pay_locked(self, asset: str, units: int) -> None:
        """Take locked units out of the account."""
        self.balance(asset).locked -= units
        self.changed.add(asset)

    def receive(self, asset: str, units: int) -> None:
        """Add free units (negative takes them)."""
        self.balance(asset).free += units
        self.changed.add(asset)

    def publish(self, event: dict[str, Any]) -> None:
        """Tell the user stream."""
        for listener in self.listeners:
            listener(event)


@dataclass
class Treasury:
    """The other side of every movement: the market (may owe), the fees taken, what was deposited."""

    market: dict[str, int] = field(default_factory=dict)
    fees: dict[str, int] = field(default_factory=dict)
    deposited: dict[str, int] = field(default_factory=dict)

    @staticmethod
    def move(pot: dict[str, int], asset: str, units: int) -> None:
        """Add units to a pot."""
        pot[asset] = pot.get(asset, 0) + units

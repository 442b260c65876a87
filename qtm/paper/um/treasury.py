"""Where the money of a futures venue is: deposits, commissions, the market's trades, the insurance fund.

Cash of a party is its wallet less the cost of what it holds. Per asset, the cash of all accounts, the fund
and the pots here always adds up to what was deposited (`UmVenue.imbalance`).
"""

from __future__ import annotations

from collections import defaultdict

from qtm.paper.um.positions import Position

ENDOWMENT = 1_000_000
"""What the insurance fund of each margin asset begins with, in whole units."""


class Treasury:
    """Pots by (name, asset), in 1e-8 units: `deposited`, `commission`, `market` (trades) and `funding`."""

    def __init__(self) -> None:
        self.pots: defaultdict[tuple[str, str], int] = defaultdict(int)

    def receive(self, pot: str, asset: str, amount: int) -> None:
        """Put an amount into a pot (negative: take)."""
        self.pots[pot, asset] += amount

    def holds(self, asset: str) -> int:
        """Everything in the pots but the deposits."""
        return sum(
            amount for (name, held), amount in self.pots.items() if held == asset and name != "deposited"
        )


class InsuranceFund:
    """Takes over what liquidations leave, at the bankruptcy price, and bears the difference."""

    def __init__(self, endowment: int) -> None:
        self.endowment = endowment
        self.cash: dict[str, int] = {}
        self.positions: dict[str, Position] = {}

    def balance(self, asset: str) -> int:
        """Wallet in one asset; each asset has a fund of its own."""
        return self.cash.setdefault(asset, self.endowment)

    def receive(self, asset: str, amount: int) -> None:
        """Change the wallet."""
        self.cash[asset] = self.balance(asset) + amount

    def position(self, symbol: str) -> Position:
        """What the fund holds of a contract."""
        found = self.positions.get(symbol)
        if found is None:
            found = self.positions[symbol] = Position(symbol, "BOTH")
        return found

    def trade(self, symbol: str, asset: str, buy: bool, price: int, qty: int) -> None:
        """Book a trade of the fund."""
        self.receive(asset, self.position(symbol).apply(buy, price, qty))

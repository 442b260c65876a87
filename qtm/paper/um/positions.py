"""One futures position: what a fill does to it, and what it is worth.

A position keeps its signed quantity and its signed cost, both in 1e-8 units, so that profit is always the
difference of whole numbers: unrealised = quantity * mark - cost.
"""

from __future__ import annotations

from dataclasses import dataclass

from qtm.paper.wire import E8


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

    def bankruptcy(self, backing: int) -> int:
        """The price at which `backing` is used up; 0 when no price can use it up."""
        return max(0, (self.cost - backing) * E8 // self.qty) if self.qty else 0

    def apply(self, buy: bool, price: int, qty: int, isolated_leverage: int = 0) -> int:
        """Put a fill into the position; returns the profit it realises.

        The cost of what is closed leaves in proportion; what exceeds the position opens the other way round.
        With `isolated_leverage` what is opened brings its initial margin into the isolated wallet.
        """
        sign = 1 if buy else -1
        realised, quote = 0, price * qty // E8
        closed = min(abs(self.qty), qty) if self.qty * sign < 0 else 0
        if closed:
            received = price * closed // E8
            released = self.cost * closed // abs(self.qty)
            margin_back = self.isolated_wallet * closed // abs(self.qty)
            realised = -sign * received - released
            self.qty += sign * closed
            self.cost -= released
            self.isolated_wallet -= margin_back
            self.realised += realised
            quote -= received
        if qty > closed:
            self.qty += sign * (qty - closed)
            self.cost += sign * quote
            if isolated_leverage:
                self.isolated_wallet += -(-quote // isolated_leverage)
        return realised

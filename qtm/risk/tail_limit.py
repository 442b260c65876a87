"""The gate's CVaR budget (PT-09): what an order would make of the account's tail, judged before it is sent.

The evaluator is `marginal.BookCvar`; this module keeps it in step with the gate's exposure and turns its
answer into a finding. An order passes when the book's CVaR with it stays within the budget, when it adds no
CVaR, or when it can only shrink a position. A CVaR that is not known refuses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from decimal import Decimal

from qtm.errors import RiskError
from qtm.risk.decisions import Finding
from qtm.risk.exposure import Exposure
from qtm.risk.marginal import BookCvar
from qtm.trading.orders import OrderIntent, Side

CONTROL = "PT-09"
_ZERO = Decimal(0)


@dataclass(slots=True)
class TailLimit:
    """A budget for the account's CVaR.

    Attributes
    ----------
    book
        The live evaluator with its scenarios.
    budget
        Largest CVaR as a fraction of equity.
    """

    book: BookCvar
    budget: Decimal
    _seen: dict[str, tuple[Decimal, Decimal, Decimal, Decimal | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.budget > 0:
            raise RiskError(
                "a CVaR budget must be above zero", where=f"{self.budget}", remedy="use a fraction of equity"
            )

    def finding(
        self, intent: OrderIntent, exposure: Exposure, now_ms: int, *, shrinks: bool = False
    ) -> Finding:
        """Judge one order against the budget.

        Parameters
        ----------
        exposure
            The account before the order.
        shrinks
            The order can only bring its position towards zero, and is exempt as from every exposure limit.
        """
        self._follow(exposure)
        mark = exposure.marks.get(intent.symbol)
        value = math.nan if mark is None else float(intent.qty * mark[0]) * intent.side.sign
        risk = self.book.order(intent.symbol, value, now_ms)
        allowed = float(self.budget * exposure.equity())
        passed = shrinks or risk.after <= allowed or risk.after <= risk.before
        return Finding(CONTROL, passed, _text(risk.after), _text(allowed), self._origin(now_ms))

    def _follow(self, exposure: Exposure) -> None:
        """Bring the evaluator to the exposure's positions and working orders, at their marks."""
        buys: dict[str, Decimal] = {}
        sells: dict[str, Decimal] = {}
        for one in exposure.working.values():
            side = buys if one.side is Side.BUY else sells
            side[one.symbol] = side.get(one.symbol, _ZERO) + one.qty
        for symbol in exposure.positions.keys() | buys.keys() | sells.keys() | self._seen.keys():
            mark = exposure.marks.get(symbol)
            now = (
                exposure.positions.get(symbol, _ZERO),
                buys.get(symbol, _ZERO),
                sells.get(symbol, _ZERO),
                None if mark is None else mark[0],
            )
            if now != self._seen.get(symbol):
                self._value(symbol, *now)
                self._seen[symbol] = now

    def _value(
        self, symbol: str, held: Decimal, buying: Decimal, selling: Decimal, price: Decimal | None
    ) -> None:
        unit = math.nan if price is None else float(price)
        self.book.set_position(symbol, float(held) * unit if held else 0.0)
        self.book.set_working(
            symbol,
            buys=float(buying) * unit if buying else 0.0,
            sells=float(selling) * unit if selling else 0.0,
        )

    def _origin(self, now_ms: int) -> str:
        age = (now_ms - self.book.as_of_ms) / 1000
        return (
            f"CVaR {self.book.alpha * 100:g} % budget of {self.budget:f} of equity, scenarios {age:.0f} s old"
        )


def _text(value: float) -> str:
    return "missing" if math.isnan(value) else f"{value:.2f}"

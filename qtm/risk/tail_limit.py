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
    _values: dict[str, tuple[float, float, float]] = field(default_factory=dict)

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
        held = {symbol for symbol, qty in exposure.positions.items() if qty}
        working = {one.symbol for one in exposure.working.values()}
        for symbol in held | working | self._values.keys():
            mark = exposure.marks.get(symbol)
            price = math.nan if mark is None else float(mark[0])
            sizes = (
                exposure.positions.get(symbol, Decimal(0)),
                exposure.working_qty(symbol, Side.BUY),
                exposure.working_qty(symbol, Side.SELL),
            )
            values = tuple(float(size) * price if size else 0.0 for size in sizes)
            if values != self._values.get(symbol):
                position, buys, sells = values
                self.book.set_position(symbol, position)
                self.book.set_working(symbol, buys=buys, sells=sells)
                self._values[symbol] = (position, buys, sells)

    def _origin(self, now_ms: int) -> str:
        age = (now_ms - self.book.as_of_ms) / 1000
        return (
            f"CVaR {self.book.alpha * 100:g} % budget of {self.budget:f} of equity, scenarios {age:.0f} s old"
        )


def _text(value: float) -> str:
    return "missing" if math.isnan(value) else f"{value:.2f}"

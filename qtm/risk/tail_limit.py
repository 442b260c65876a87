"""The gate's CVaR budget (PT-09): what an order would make of the account's tail, judged before it is sent.

The evaluator is `marginal.BookCvar`; this module keeps it in step with the gate's exposure and turns its
answer into a finding. An order passes when the book's CVaR with it stays within the budget, when it adds no
CVaR, or when it can only shrink a position. A CVaR that is not known refuses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
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
    _valued: Exposure | None = None

    def __post_init__(self) -> None:
        if not self.budget > 0:
            raise RiskError(
                "a CVaR budget must be above zero", where=f"{self.budget}", remedy="use a fraction of equity"
            )

    def renew(self, book: BookCvar) -> None:
        """Go on with newer scenarios; the account is valued afresh at the next order."""
        self.book = book
        self._valued = None

    def finding(
        self, intent: OrderIntent, exposure: Exposure, equity: Decimal, now_ms: int, *, shrinks: bool = False
    ) -> Finding:
        """Judge one order against the budget.

        Parameters
        ----------
        exposure
            The account before the order.
        equity
            Its equity; the budget is a fraction of that.
        shrinks
            The order can only bring its position towards zero, and is exempt as from every exposure limit.
        """
        self._follow(exposure)
        mark = exposure.marks.get(intent.symbol)
        value = math.nan if mark is None else float(intent.qty * mark[0]) * intent.side.sign
        after = self.book.after(intent.symbol, value, now_ms)
        allowed = float(self.budget * equity)
        passed = shrinks or after <= allowed or after <= self.book.cvar(now_ms)
        return Finding(CONTROL, passed, _text(after), _text(allowed), self._origin(now_ms))

    def _follow(self, exposure: Exposure) -> None:
        """Bring the evaluator to the exposure's positions and working orders, at their marks."""
        if self._valued is exposure:
            changed = exposure.touched
        else:
            changed = {one.symbol for one in exposure.working.values()} | exposure.positions.keys()
            self._valued = exposure
        if not changed:
            return
        buys = dict.fromkeys(changed, _ZERO)
        sells = dict.fromkeys(changed, _ZERO)
        for one in exposure.working.values():
            if one.symbol in changed:
                side = buys if one.side is Side.BUY else sells
                side[one.symbol] += one.qty
        for symbol in changed:
            mark = exposure.marks.get(symbol)
            self._value(
                symbol,
                exposure.positions.get(symbol, _ZERO),
                buys[symbol],
                sells[symbol],
                None if mark is None else mark[0],
            )
        exposure.touched.clear()

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

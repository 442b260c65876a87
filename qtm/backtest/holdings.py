"""What a finished run held through each bar, and what it was worth at the bars' worst prices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qtm.backtest.account.result import AccountResult
from qtm.backtest.conditions.contract import Result
from qtm.backtest.tape.result import SymbolResult

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Holdings:
    """Position (base units) held through each bar, after its open, and cash (quote currency) at its close."""

    qty: Floats
    cash: Floats

    @classmethod
    def of(cls, result: SymbolResult) -> Holdings:
        """Carry the position after each finished order forward over the bars; cash is what else there is."""
        qty = carried(result.order_rows, result.start[0], len(result.bars))
        return cls(qty, result.equity - qty * result.bars.close)

    def worst_equity(self, low: Floats, high: Floats) -> Floats:
        """Equity at the worst price of each bar: the low for a long position, the high for a short one."""
        return self.cash + self.qty * np.where(self.qty >= 0.0, low, high)


@dataclass(frozen=True, slots=True)
class LegHoldings:
    """One leg of an account: the coin it is of, and position and prices at each bar, shape (T,).

    A bar that does not exist has the close before it as its low, high and close, and zeros before the first.
    """

    coin: str
    qty: Floats
    low: Floats
    high: Floats
    close: Floats

    @classmethod
    def each(cls, result: AccountResult) -> Iterator[LegHoldings]:
        """Every leg that ever held anything, one at a time."""
        panel, rows = result.panel, result.order_rows
        for s, leg in enumerate(result.legs):
            n = int(leg["instrument"])
            qty = carried(rows[rows["leg"] == s], float(result.start_qty[s]), len(panel))
            if not qty.any():
                continue
            exists = np.isfinite(panel.close[:, n])
            last = np.maximum.accumulate(np.where(exists, np.arange(exists.size), -1))
            close = np.where(last >= 0, panel.close[np.maximum(last, 0), n], 0.0)
            low, high = (np.where(exists, table[:, n], close) for table in (panel.low, panel.high))
            yield cls(panel.instruments[n].base, qty, low, high, close)


def carried(rows: npt.NDArray[np.void], start: float, bars: int) -> Floats:
    """The position after each of the order `rows` carried forward over the bars, shape (T,)."""
    qty = np.full(bars, start)
    changed = np.minimum(rows["bar"] + 1, bars)
    last = np.append(changed[1:] != changed[:-1], True) if rows.size else np.zeros(0, bool)
    edges = np.append(changed[last], bars)
    for begin, end, after in zip(edges[:-1], edges[1:], rows["qty_after"][last], strict=True):
        qty[begin:end] = after
    return qty


def worst_equity(result: Result) -> Floats:
    """Equity at the worst prices of each bar, shape (T,).

    Positions in one coin (spot and perpetual) meet its low or its high together; different coins are each
    taken at their own worst price, though not all reach it at once.
    """
    if not isinstance(result, AccountResult):
        bars = result.bars
        return Holdings.of(result).worst_equity(bars.low, bars.high)
    falls: dict[str, tuple[Floats, Floats]] = {}
    nothing = np.zeros(len(result.panel))
    for leg in LegHoldings.each(result):
        down, up = falls.get(leg.coin, (nothing, nothing))
        falls[leg.coin] = (
            down + leg.qty * (leg.low - leg.close),
            up + leg.qty * (leg.high - leg.close),
        )
    worst = result.equity.copy()
    for down, up in falls.values():
        worst += np.minimum(np.minimum(down, up), 0.0)
    return np.asarray(worst)

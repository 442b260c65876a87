"""What an account run writes down: equity, exposure, and every order of every leg."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from qtm.backtest.sinks import ORDER_ROW
from qtm.compiled import either_way

ACCOUNT_ORDER_ROW = np.dtype(
    [
        *((name, ORDER_ROW.fields[name][0]) for name in ORDER_ROW.names),  # type: ignore[index,union-attr]
        ("leg", "i8"),
        ("crossed_lots", "f8"),
        ("flow_after", "f8"),
    ],
    align=True,
)
"""One finished order of a leg: the columns of `ORDER_ROW` and what many legs add.

`crossed_lots` of the lots filled came from other sleeves and not from the venue. `cash_after` is the sleeve's
purse, `flow_after` the leg's own cash flow.
"""

ROWS_PER_LEG = 4
"""Most orders of a leg that one bar finishes."""


class AccountLedger(NamedTuple):
    """Arrays that take a run over T bars, K strategies and S legs.

    `equity` and `gross` (sum of absolute positions in quote currency) are (T,); `sleeves` is (T, K), or (0,
    K) when there is one strategy; `signals` is (T, S), or (0, S) when targets are not kept.
    """

    equity: npt.NDArray[np.float64]
    gross: npt.NDArray[np.float64]
    sleeves: npt.NDArray[np.float64]
    signals: npt.NDArray[np.float64]
    orders: npt.NDArray[np.void]

    def with_room(self) -> AccountLedger:
        """The same with twice the room for orders."""
        orders = np.empty(2 * len(self.orders), ACCOUNT_ORDER_ROW)
        orders[: len(self.orders)] = self.orders
        return self._replace(orders=orders)


def new_account_ledger(bars: int, strategies: int, legs: int, *, keep_signals: bool) -> AccountLedger:
    """Room for a run; the orders grow as they come, beyond the pages a usual run touches."""
    return AccountLedger(
        np.empty(bars),
        np.empty(bars),
        np.empty((bars if strategies > 1 else 0, strategies)),
        np.full((bars if keep_signals else 0, legs), np.nan),
        np.empty(max(1024, 4 * ROWS_PER_LEG * legs, 2 * bars), ACCOUNT_ORDER_ROW),
    )


@either_way
def note_order(
    account: Any,
    orders: Any,
    bar: int,
    decided_ms: int,
    lots: float,
    filled: float,
    limit_ticks: float,
    status: int,
    cause: int,
    breached: int,
    fill_price: float,
    fee: float,
    crossed: float,
    which: int,
    leg: Any,
    purse: float,
) -> None:
    """Append a finished order of leg number `which`."""
    row = orders[account.written]
    row.bar = bar
    row.decided_ms = decided_ms
    row.sequence = leg.working_sequence
    row.lots = lots
    row.filled_lots = filled
    row.limit_ticks = limit_ticks
    row.status = status
    row.cause = cause
    row.breached = breached
    row.fill_price = fill_price
    row.fee = fee
    row.qty_after = leg.qty
    row.cash_after = purse
    row.entry_after = leg.entry_price
    row.leg = which
    row.crossed_lots = crossed
    row.flow_after = leg.flow
    account.written += 1

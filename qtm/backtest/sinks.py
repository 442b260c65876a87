"""What the event loop writes down: every order and close of a run, or a sweep's running figures only."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from qtm.compiled import inlined

ORDER_ROW = np.dtype(
    [
        ("bar", "i8"),
        ("decided_ms", "i8"),
        ("sequence", "i8"),
        ("lots", "f8"),
        ("filled_lots", "f8"),
        ("limit_ticks", "f8"),
        ("status", "i8"),
        ("cause", "i8"),
        ("breached", "i8"),
        ("fill_price", "f8"),
        ("fee", "f8"),
        ("qty_after", "f8"),
        ("cash_after", "f8"),
        ("entry_after", "f8"),
    ],
    align=True,
)
"""One finished order: `bar` is the last one closed when it was made, so a fill happens inside bar + 1.

`lots` is what was ordered and `filled_lots` what was done of it, both signed. `sequence` is the sub-book's
order number (an exit carries that of the last order before it), `limit_ticks` is NaN for an exit at the
market, `cause` counts `qtm.backtest.intrabar.CAUSES`, `fee` is in quote currency.
"""


class Ledger(NamedTuple):
    """Arrays that take a whole run: targets and equity (T,), finished orders, and their number (1,)."""

    signals: npt.NDArray[np.float64]
    equity: npt.NDArray[np.float64]
    orders: npt.NDArray[np.void]
    written: npt.NDArray[np.int64]


_ORDERS_OF_A_BAR = 3
_ROOM = 16_384


def new_ledger(bars: int) -> Ledger:
    """Room for a run over `bars` bars, and for its first orders."""
    signals, equity = np.empty((2, bars))  # one block: the system hands out large ones in large pages
    return Ledger(signals, equity, np.empty(_ROOM, ORDER_ROW), np.zeros(1, np.int64))


def with_more_room(ledger: Ledger) -> Ledger:
    """The ledger with room for twice as many orders."""
    orders = np.empty(2 * len(ledger.orders), ORDER_ROW)
    orders[: len(ledger.orders)] = ledger.orders
    return ledger._replace(orders=orders)


def written_orders(ledger: Ledger) -> npt.NDArray[np.void]:
    """The orders of a run that is over."""
    return ledger.orders[: ledger.written[0]].copy()


@inlined
def lacks_room(ledger: Any) -> bool:
    """True when the orders of another bar may not fit."""
    return bool(ledger.written[0] + _ORDERS_OF_A_BAR > ledger.orders.size)


@inlined
def write_order(
    ledger: Any,
    bar: int,
    decided_ms: int,
    sequence: int,
    lots: float,
    filled: float,
    limit_ticks: float,
    status: int,
    cause: int,
    breached: int,
    fill_price: float,
    fee: float,
    book: Any,
) -> None:
    """Append a finished order."""
    row = ledger.orders[ledger.written[0]]
    row.bar = bar
    row.decided_ms = decided_ms
    row.sequence = sequence
    row.lots = lots
    row.filled_lots = filled
    row.limit_ticks = limit_ticks
    row.status = status
    row.cause = cause
    row.breached = breached
    row.fill_price = fill_price
    row.fee = fee
    row.qty_after = book.qty
    row.cash_after = book.cash
    row.entry_after = book.entry_price
    ledger.written[0] += 1


@inlined
def write_close(ledger: Any, i: int, target: float, equity: float) -> None:
    """Write a bar's target and equity."""
    ledger.signals[i] = target
    ledger.equity[i] = equity


@inlined
def write_day(ledger: Any, before: float, after: float) -> None:
    """Days are read off the equity of a whole run."""


TALLY = np.dtype(
    [
        ("days", "i8"),
        ("mean", "f8"),
        ("squares", "f8"),
        ("downside", "f8"),
        ("orders", "i8"),
        ("trades", "i8"),
        ("wins", "i8"),
        ("gains", "f8"),
        ("losses", "f8"),
        ("trade_flow", "f8"),
        ("trade_side", "i8"),
        ("qty", "f8"),
        ("cash", "f8"),
        ("step_size", "f8"),
    ],
    align=True,
)
"""Running figures of one combination of a sweep: nothing here grows with the number of bars.

Equity, drawdown and exposure are in the session.
"""


def new_tallies(count: int, cash: float, step_size: float) -> npt.NDArray[np.void]:
    """Tallies of `count` runs that start flat with `cash`."""
    tallies = np.zeros(count, TALLY)
    tallies["step_size"] = step_size
    tallies["cash"] = cash
    return tallies


@inlined
def tally_day(tally: Any, before: float, after: float) -> None:
    """Add the return of the day that is over, by Welford's update."""
    daily = after / before - 1.0
    tally.days += 1
    change = daily - tally.mean
    tally.mean += change / tally.days
    tally.squares += change * (daily - tally.mean)
    if daily < 0.0:
        tally.downside += daily * daily


@inlined
def tally_close(tally: Any, i: int, target: float, equity: float) -> None:
    """A sweep keeps no bar."""


@inlined
def never_full(tally: Any) -> bool:
    """A sweep's figures take no room."""
    return False


@inlined
def tally_order(
    tally: Any,
    bar: int,
    decided_ms: int,
    sequence: int,
    lots: float,
    filled: float,
    limit_ticks: float,
    status: int,
    cause: int,
    breached: int,
    fill_price: float,
    fee: float,
    book: Any,
) -> None:
    """Count an order and the round trip it closes, by the same rule as `qtm.backtest.statistics`."""
    tally.orders += 1
    if filled == 0.0:
        return
    before, after, moved = tally.qty, book.qty, book.cash - tally.cash
    tally.qty, tally.cash = after, book.cash
    was_flat, is_flat = abs(before) < tally.step_size, abs(after) < tally.step_size
    opening = 1.0 if was_flat else 0.0
    if not was_flat and not is_flat and before * after < 0.0:
        opening = abs(after) / (abs(before) + abs(after))
    if tally.trade_side != 0 and opening < 1.0:
        tally.trade_flow += moved * (1.0 - opening)
        if is_flat or opening > 0.0:
            profit = tally.trade_flow + (after * fill_price if is_flat else 0.0)
            tally.trades += 1
            tally.trade_side = 0
            if profit > 0.0:
                tally.wins += 1
                tally.gains += profit
            else:
                tally.losses -= profit
    if opening > 0.0:
        tally.trade_side = 1 if lots > 0.0 else -1
        tally.trade_flow = moved * opening - (before * fill_price if was_flat else 0.0)

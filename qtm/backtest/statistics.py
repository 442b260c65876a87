"""Performance figures of an equity curve and its orders.

Returns are simple. Sharpe, Sortino, volatility, VaR and CVaR are taken from daily returns: equity sampled at
the last close of each UTC day (or at every bar, where bars are longer than a day), annualised over 365 days
with a zero risk-free rate. Drawdown is taken at every bar's close. One definition of the tail serves the
whole platform: `qtm.risk.measures`.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qtm.backtest.session import DAY_MS
from qtm.compiled import compiled
from qtm.risk.measures import historical_cvar, historical_var

DAYS_PER_YEAR = 365.0

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Statistics:
    """Figures of one run; fractions unless the name says otherwise, NaN where there is too little data."""

    final_equity: float
    total_return: float
    annual_return: float
    volatility: float
    sharpe: float
    sortino: float
    max_drawdown: float
    max_drawdown_days: float
    """Longest time from a peak until it was reached again, or until the end."""
    calmar: float
    var_95: float
    cvar_95: float
    exposure: float
    turnover: float
    """Traded notional per year over average equity."""
    fees: float
    funding: float
    """Funding paid, in quote currency; negative when received."""
    orders: int
    fills: int
    trades: int
    """Round trips: from flat to flat, or to the other side."""
    win_rate: float
    profit_factor: float
    average_trade: float
    """Mean net profit of a round trip, in quote currency."""
    days: float

    def as_dict(self) -> dict[str, float]:
        """Name to value, in the order shown above."""
        return dataclasses.asdict(self)


TRADE = np.dtype(
    [
        ("entry_bar", "i8"),
        ("exit_bar", "i8"),
        ("entry_ms", "i8"),
        ("exit_ms", "i8"),
        ("side", "i8"),
        ("qty", "f8"),
        ("entry_price", "f8"),
        ("exit_price", "f8"),
        ("fees", "f8"),
        ("profit", "f8"),
    ],
    align=True,
)
"""A round trip: average prices, total fees, net profit in quote currency.

Bars are those of the fills. `entry_ms` and `exit_ms` are when the orders behind them were decided; on a tape,
when they filled.
"""


def daily_equity(open_time_ms: npt.NDArray[np.int64], equity: Floats) -> tuple[npt.NDArray[np.int64], Floats]:
    """Equity at the last close of each UTC day: (day numbers since the epoch, equity), each (D,).

    A bar belongs to the day it opens on.
    """
    first, last = int(open_time_ms[0]) // DAY_MS, int(open_time_ms[-1]) // DAY_MS
    days = np.arange(first, last + 1)
    # Times are sorted: a search for each day costs less than a division for each bar.
    ends = np.searchsorted(open_time_ms, (days + 1) * DAY_MS) - 1
    traded = np.diff(ends, prepend=-1) > 0
    return days[traded], equity[ends[traded]]


def daily_returns(open_time_ms: npt.NDArray[np.int64], equity: Floats, cash: float) -> Floats:
    """Simple returns between daily equities, the first against the starting cash; shape (D,).

    Nothing is earned on a day that begins with nothing left.
    """
    _, closing = daily_equity(open_time_ms, equity)
    before = np.concatenate(([cash], closing[:-1]))
    return np.asarray(np.divide(closing, before, out=np.ones_like(closing), where=before > 0.0) - 1.0)


def sharpe_ratio(returns: Floats, periods_per_year: float = DAYS_PER_YEAR) -> float:
    """Annualised mean over sample standard deviation; NaN for fewer than two returns or none that move."""
    if returns.size < 2:
        return math.nan
    deviation = float(returns.std(ddof=1))
    return float(returns.mean()) / deviation * math.sqrt(periods_per_year) if deviation > 0.0 else math.nan


def sortino_ratio(returns: Floats, periods_per_year: float = DAYS_PER_YEAR) -> float:
    """Annualised mean over the root mean square of the negative returns (target zero)."""
    if returns.size < 2:
        return math.nan
    downside = math.sqrt(float(np.mean(np.minimum(returns, 0.0) ** 2)))
    return float(returns.mean()) / downside * math.sqrt(periods_per_year) if downside > 0.0 else math.nan


def annual_return(growth: float, days: float) -> float:
    """The return of a year at the pace of `days`, in which 1.0 became `growth`; NaN for less than a day."""
    return growth ** (DAYS_PER_YEAR / days) - 1.0 if growth > 0.0 and days >= 1.0 else math.nan


@compiled
def drawdown_of(
    open_time_ms: npt.NDArray[np.int64], interval_ms: int, equity: Floats, cash: float
) -> tuple[float, int]:
    """Deepest fall from a peak as a fraction, and the longest time from a peak until it was reached again.

    That time, in ms, runs from close to close by the clock, whatever bars are missing in between; a fall from
    the starting cash begins with the first bar, and one that never recovered lasts until the end.
    """
    peak, lowest, deepest = cash, cash, 0.0
    peak_ms, longest = open_time_ms[0] - interval_ms, np.int64(0)
    for at in range(equity.size):
        worth = equity[at]
        lowest = worth if worth < lowest else lowest
        if worth >= peak:
            if lowest < peak:
                longest = max(longest, open_time_ms[at] - peak_ms)
                deepest = max(deepest, 1.0 - lowest / peak)
            peak = lowest = worth
            peak_ms = open_time_ms[at]
    if lowest < peak:
        longest = max(longest, open_time_ms[-1] - peak_ms)
    return max(deepest, 1.0 - lowest / peak), int(longest)


_OPEN_TRIP = np.dtype(
    [
        ("step_size", "f8"),
        ("qty", "f8"),
        ("cash", "f8"),
        ("side", "i8"),
        ("entry_bar", "i8"),
        ("entry_ms", "i8"),
        *((name, "f8") for name in ("flow", "fees", "entered", "entry_value", "left", "exit_value")),
    ],
    align=True,
)
"""A book between two fills: what it holds, and the round trip it is on (`side` 0: none)."""


@compiled
def _pair_fills(rows: Any, cash_after: Any, books: Any, whose: Any, trades: Any, owners: Any) -> int:
    """Fold the fills of many books into round trips; a position below one lot counts as flat.

    Profit is the cash that moved, with what is left below one lot marked at the price of the fill. `whose`
    names the book of each row; the trades come in the order of their ends, those of one bar in the order of
    the books.
    """
    count = 0
    for number in range(rows.size):
        row = rows[number]
        if row.filled_lots == 0.0:
            continue
        book = books[whose[number]]
        before, moved = book.qty, cash_after[number] - book.cash
        book.qty, book.cash = row.qty_after, cash_after[number]
        qty, step_size = row.qty_after, book.step_size
        traded, price = abs(row.filled_lots) * step_size, row.fill_price
        was_flat, is_flat = abs(before) < step_size, abs(qty) < step_size
        if book.side == 0 and not was_flat:
            continue  # the position is older than these orders
        opening = 1.0 if was_flat else 0.0
        if not was_flat and not is_flat and before * qty < 0.0:
            opening = abs(qty) / (abs(before) + abs(qty))
        growing = row.lots * book.side > 0.0
        if book.side != 0 and opening < 1.0:
            share = 1.0 - opening
            book.flow += moved * share
            book.fees += row.fee * share
            if growing:
                book.entered += traded
                book.entry_value += traded * price
            else:
                book.left += traded * share
                book.exit_value += traded * share * price
            if is_flat or opening > 0.0:
                at, ended = count, row.bar + 1
                while at > 0 and (
                    trades[at - 1].exit_bar > ended
                    or (trades[at - 1].exit_bar == ended and owners[at - 1] > whose[number])
                ):
                    trades[at], owners[at] = trades[at - 1], owners[at - 1]
                    at -= 1
                owners[at] = whose[number]
                trade = trades[at]
                trade.entry_bar, trade.exit_bar, trade.side = book.entry_bar, ended, book.side
                trade.entry_ms, trade.exit_ms = book.entry_ms, row.decided_ms
                trade.qty = book.left
                trade.entry_price = book.entry_value / book.entered
                trade.exit_price = book.exit_value / book.left
                trade.fees = book.fees
                trade.profit = book.flow + (qty * price if is_flat else 0.0)
                count += 1
                book.side = 0
        if opening > 0.0:
            book.side, book.entry_bar = (1 if row.lots > 0.0 else -1), row.bar + 1
            book.entry_ms = row.decided_ms
            book.flow = moved * opening - (before * price if was_flat else 0.0)
            book.fees, book.left, book.exit_value = row.fee * opening, 0.0, 0.0
            book.entered = traded * opening
            book.entry_value = book.entered * price
    return count


def round_trips(rows: Any, step_size: float, start_qty: float, start_cash: float) -> npt.NDArray[np.void]:
    """The closed trades of one book in order `rows`, as an array of `TRADE`; an open position is left out."""
    alone = np.zeros(len(rows), np.int64)
    return round_trips_of_books(
        rows, "cash_after", alone, np.array([step_size]), np.array([start_qty]), np.array([start_cash])
    )[0]


def round_trips_of_books(
    rows: Any,
    cash_in: str,
    whose: npt.NDArray[np.int64],
    step_size: Floats,
    start_qty: Floats,
    start_cash: Floats,
) -> tuple[npt.NDArray[np.void], npt.NDArray[np.int64]]:
    """The closed trades of B books in order `rows`, and whose each is; an open position is left out.

    Parameters
    ----------
    rows, cash_in
        Finished orders in time order, and the name of their column with the book's cash after them.
    whose
        The book of each row, as a number below B.
    step_size, start_qty, start_cash
        Each book's lot, and its position and cash before the first row, shape (B,).

    Returns
    -------
    An array of `TRADE` in the order of the trades' ends, those of one bar in the order of the books; and the
    number of each trade's book.
    """
    books = np.zeros(len(step_size), _OPEN_TRIP)
    books["step_size"], books["qty"], books["cash"] = step_size, start_qty, start_cash
    trades, owners = np.empty(len(rows) + 1, TRADE), np.empty(len(rows) + 1, np.int64)
    made = _pair_fills(rows, rows[cash_in], books, whose, trades, owners)
    for table in (trades, owners):
        table.resize(made, refcheck=False)  # in place: nobody else has them yet
    return trades, owners


def statistics_of(
    open_time_ms: npt.NDArray[np.int64],
    interval_ms: int,
    equity: Floats,
    cash: float,
    rows: Any,
    trades: npt.NDArray[np.void],
    *,
    fees: float,
    traded_notional: float,
    exposure: float,
    funding: float = 0.0,
) -> Statistics:
    """All figures of a run that started with `cash`; `exposure` is the share of bars with a position."""
    returns = daily_returns(open_time_ms, equity, cash)
    days = (int(open_time_ms[-1]) - int(open_time_ms[0]) + interval_ms) / DAY_MS
    growth = float(equity[-1]) / cash
    annual = annual_return(growth, days)
    deepest, longest = drawdown_of(open_time_ms, interval_ms, equity, cash)
    profits = trades["profit"]
    gains, losses = float(profits[profits > 0.0].sum()), -float(profits[profits < 0.0].sum())
    return Statistics(
        final_equity=float(equity[-1]),
        total_return=growth - 1.0,
        annual_return=annual,
        volatility=float(returns.std(ddof=1)) * math.sqrt(DAYS_PER_YEAR) if returns.size > 1 else math.nan,
        sharpe=sharpe_ratio(returns),
        sortino=sortino_ratio(returns),
        max_drawdown=deepest,
        max_drawdown_days=longest / DAY_MS,
        calmar=annual / deepest if deepest > 0.0 else math.nan,
        var_95=historical_var(returns, 0.95),
        cvar_95=historical_cvar(returns, 0.95),
        exposure=exposure,
        turnover=traded_notional / float(equity.mean()) * DAYS_PER_YEAR / days,
        fees=fees,
        funding=funding,
        orders=len(rows),
        fills=int((rows["filled_lots"] != 0.0).sum()),
        trades=len(trades),
        win_rate=float((profits > 0.0).mean()) if len(trades) else math.nan,
        profit_factor=gains / losses if losses > 0.0 else math.nan,
        average_trade=float(profits.mean()) if len(trades) else math.nan,
        days=days,
    )

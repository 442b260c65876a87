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
        ("side", "i8"),
        ("qty", "f8"),
        ("entry_price", "f8"),
        ("exit_price", "f8"),
        ("fees", "f8"),
        ("profit", "f8"),
    ],
    align=True,
)
"""A round trip: average prices, total fees, net profit in quote currency; bars are those of the fills."""


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


@compiled
def _pair_fills(
    rows: Any, cash_after: Any, chosen: Any, step_size: float, qty: float, cash: float, trades: Any
) -> int:
    """Fold the `chosen` fills into round trips; a position below one lot counts as flat.

    Profit is the cash that moved, with what is left below one lot marked at the price of the fill.
    """
    count, side, entry_bar = 0, 0, 0
    flow, fees, entered, entry_value, left, exit_value = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for at in chosen:
        row = rows[at]
        if row.filled_lots == 0.0:
            continue
        before, qty, moved, cash = qty, row.qty_after, cash_after[at] - cash, cash_after[at]
        traded, price = abs(row.filled_lots) * step_size, row.fill_price
        was_flat, is_flat = abs(before) < step_size, abs(qty) < step_size
        if side == 0 and not was_flat:
            continue  # the position is older than these orders
        opening = 1.0 if was_flat else 0.0
        if not was_flat and not is_flat and before * qty < 0.0:
            opening = abs(qty) / (abs(before) + abs(qty))
        growing = row.lots * side > 0.0
        if side != 0 and opening < 1.0:
            share = 1.0 - opening
            flow += moved * share
            fees += row.fee * share
            if growing:
                entered += traded
                entry_value += traded * price
            else:
                left += traded * share
                exit_value += traded * share * price
            if is_flat or opening > 0.0:
                trade = trades[count]
                trade.entry_bar, trade.exit_bar, trade.side = entry_bar, row.bar + 1, side
                trade.qty = left
                trade.entry_price, trade.exit_price = entry_value / entered, exit_value / left
                trade.fees = fees
                trade.profit = flow + (qty * price if is_flat else 0.0)
                count += 1
                side = 0
        if opening > 0.0:
            side, entry_bar = (1 if row.lots > 0.0 else -1), row.bar + 1
            flow = moved * opening - (before * price if was_flat else 0.0)
            fees, left, exit_value = row.fee * opening, 0.0, 0.0
            entered = traded * opening
            entry_value = entered * price
    return count


def round_trips(
    rows: Any,
    step_size: float,
    start_qty: float,
    start_cash: float,
    *,
    cash_in: str = "cash_after",
    chosen: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.void]:
    """The closed trades in order `rows`, as an array of `TRADE`; an open position at the end is left out.

    `cash_in` names the column with the cash after an order; `chosen` are the rows of one book among many.
    """
    chosen = np.arange(len(rows)) if chosen is None else chosen
    trades = np.empty(len(chosen) + 1, TRADE)
    made = _pair_fills(rows, rows[cash_in], chosen, step_size, start_qty, start_cash, trades)
    return trades[:made].copy()


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
    annual = growth ** (DAYS_PER_YEAR / days) - 1.0 if growth > 0.0 and days >= 1.0 else math.nan
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

"""The end of a run in which its loss limits let no order pass, and what the run was like before it.

A run that stood still for most of its time shows ratios of that time: returns of zero make volatility,
drawdown and tail look small. Whoever reads them has to see beside them what was measured while it traded.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from qtm.backtest.session import DAY_MS, LossLimit
from qtm.backtest.statistics import annual_return, daily_returns, drawdown_of, sharpe_ratio
from qtm.clock import iso_utc
from qtm.risk.rules import KS_03, PT_09

Floats = npt.NDArray[np.float64]

_LEAST_SHARE: Final = 0.01
"""A shorter end says nothing: the loss of a day ends with the day."""


class Standstill(NamedTuple):
    """When a run's loss limits stopped it for good, and its figures up to then.

    Attributes
    ----------
    since_ms
        The close from which on no order passed, or the time of the first that was refused.
    share, flat
        Share of the run's bars that closed after it, and of those that closed without a position.
    days
        Length of the part that was traded, by the clock.
    sharpe, annual_return, max_drawdown
        Of that part; NaN where it is too short.
    """

    since_ms: int
    share: float
    flat: float
    days: float
    sharpe: float
    annual_return: float
    max_drawdown: float

    @property
    def since(self) -> str:
        """The day in words."""
        return iso_utc(self.since_ms)[:10]

    @property
    def aftermath(self) -> str:
        """How much of the run came after it, and with what: `83 % of the time, flat`."""
        held = "flat" if self.flat > 0.0 else "holding what it had"
        partly = f" for {_percent(self.flat)} of it" if 0.0 < self.flat < self.share else ""
        return f"{_percent(self.share)} of the time, {held}{partly}"

    def in_words(self) -> str:
        """One sentence without its full stop."""
        return (
            f"trading stopped on {self.since} by a loss limit (PT-09): nothing traded since, {self.aftermath}"
        )


def _percent(share: float) -> str:
    return f"{100.0 * share:.0f} %"


def standstill_of(
    open_time_ms: npt.NDArray[np.int64],
    interval_ms: int,
    equity: Floats,
    cash: float,
    rows: Any,
    loss_limits: Iterable[LossLimit],
    *,
    is_flat: bool,
) -> Standstill | None:
    """How a run ended that its loss limits stopped; None for one that could trade to its end.

    Parameters
    ----------
    rows
        Finished orders in time order (`qtm.backtest.sinks.ORDER_ROW`).
    loss_limits
        What became of the limits of every strategy of the run.
    is_flat
        Whether the run ended without a position of one lot or more.
    """
    filled = np.flatnonzero(rows["filled_lots"] != 0.0)
    after = int(filled[-1]) + 1 if filled.size else 0
    since_ms = _stopped_ms(rows[after:], list(loss_limits), is_flat=is_flat)
    if since_ms is None:
        return None
    bars = len(equity)
    traded = int(np.searchsorted(open_time_ms + interval_ms, since_ms, side="right"))
    share = (bars - traded) / bars
    if share < _LEAST_SHARE:
        return None
    # An order decided at a bar's close fills in the next one; an exit may have filled after the limit.
    flat_from = max(traded, int(rows["bar"][after - 1]) + 1 if after else 0) if is_flat else bars
    before, known = equity[:traded], traded > 0
    days = (int(open_time_ms[traded - 1] - open_time_ms[0]) + interval_ms) / DAY_MS if known else 0.0
    return Standstill(
        since_ms=since_ms,
        share=share,
        flat=(bars - flat_from) / bars,
        days=days,
        sharpe=sharpe_ratio(daily_returns(open_time_ms[:traded], before, cash)) if known else math.nan,
        annual_return=annual_return(float(before[-1]) / cash, days) if known else math.nan,
        max_drawdown=drawdown_of(open_time_ms[:traded], interval_ms, before, cash)[0] if known else math.nan,
    )


def _stopped_ms(unfilled: Any, loss_limits: list[LossLimit], *, is_flat: bool) -> int | None:
    """Since when nothing passed: a halt of all strategies, or refusals (`unfilled`) that no fill came after.

    Without a halt a position may still be closed: who only holds one was not stopped.
    """
    if all(limit.passed_ms != 0 and limit.halts for limit in loss_limits):
        return max(limit.passed_ms for limit in loss_limits)
    stopping = PT_09 | KS_03 if is_flat else KS_03
    refused = np.flatnonzero((unfilled["breached"] & stopping) != 0)
    return int(unfilled["decided_ms"][refused[0]]) if refused.size else None

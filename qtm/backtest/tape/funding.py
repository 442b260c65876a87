"""Funding payments as events of a tape; a missing one is an error, never zero."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from qtm.backtest.funding import FundingRates, due_payments
from qtm.backtest.tape.events import FUNDING, Tape, timed_events
from qtm.trading.exact import UNITS

_NS = 1_000_000


def funding_events(tape: Tape, funding: FundingRates) -> npt.NDArray[np.void]:
    """The payments due within a tape; on a tape of bars at the open of the bar they fall into.

    Raises
    ------
    DataError
        Naming the first payment that is missing.
    """
    times, rates = due_payments(tape.symbol, tape.start_ns // _NS, tape.end_ns // _NS, funding)
    at_ns = times * _NS
    if tape.of_bars:
        opens = tape.events["ts_ns"]
        at_ns = opens[np.searchsorted(opens, at_ns, side="right") - 1]
    return timed_events(at_ns, FUNDING, 0, np.rint(rates * UNITS).astype(np.int64))

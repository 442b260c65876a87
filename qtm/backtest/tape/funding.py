"""Funding payments and mark prices as events of a tape; a missing payment is an error, never zero."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from qtm.backtest.funding import FundingRates, due_payments
from qtm.backtest.tape.events import FUNDING, MARK, Tape, merge, timed_events
from qtm.trading.exact import UNITS

_NS = 1_000_000

Marks = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""Times in ns and mark prices in ticks."""


def with_payments(tape: Tape, funding: FundingRates | None, marks: Marks | None = None) -> Tape:
    """The tape with funding payments and mark prices; itself when neither is given.

    Raises
    ------
    DataError
        Naming the first payment that is missing.
    """
    if funding is None and marks is None:
        return tape
    added = []
    if funding is not None:
        added.append(funding_events(tape, funding))
    if marks is not None:
        added.append(timed_events(marks[0], MARK, marks[1], 0))
    return dataclasses.replace(
        merge(tape, *added),
        funding=tape.funding if funding is None else funding.digest,
        marked=tape.marked or marks is not None,
    )


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
        at_ns = opens[np.maximum(np.searchsorted(opens, at_ns, side="right") - 1, 0)]
    return timed_events(at_ns, FUNDING, 0, np.rint(rates * UNITS).astype(np.int64))

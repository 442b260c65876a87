"""The round trips of a run as a table, newest first."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qtm.clock import iso_utc
from qtm.market.instruments import Instrument
from qtm.reports.blocks import Cell, Section, paragraph, table, tone_of
from qtm.reports.formats import money, percent, price

LISTED = 250
"""Most round trips of a table."""


@dataclass(frozen=True, slots=True)
class Traded:
    """The round trips in one instrument (an array of `TRADE`); `owner` are words in front of each row."""

    instrument: Instrument
    trades: npt.NDArray[np.void]
    owner: tuple[str, ...] = ()


def trades_section(
    found: Iterable[Traded], opened_ms: npt.NDArray[np.int64], owners: tuple[str, ...] = ()
) -> Section:
    """The table; `opened_ms` are the opens of the bars that trades name, `owners` the words' headers."""
    found = list(found)
    total = sum(len(one.trades) for one in found)
    if total == 0:
        return Section("Trades", [paragraph("No round trip was closed.", "muted")])
    listed = [(trade, one) for one in found for trade in one.trades[-LISTED:]]
    listed.sort(key=lambda pair: int(pair[0]["exit_bar"]), reverse=True)
    rows = [_row(trade, one, opened_ms) for trade, one in listed[:LISTED]]
    headers = (*owners, "Entered", "Left", "Side", "Quantity", "Entry", "Exit", "Fees", "Profit", "Return")
    note = f"The latest {LISTED} of {total:,} round trips." if total > LISTED else f"{total:,} round trips."
    return Section("Trades", [table(headers, rows, text_columns=3 + len(owners), tall=True)], note)


def _row(trade: np.void, one: Traded, opened_ms: npt.NDArray[np.int64]) -> tuple[str | Cell, ...]:
    # An average of several fills lies between the ticks; two more places are enough to see where.
    places = 2 - int(one.instrument.tick_size.normalize().as_tuple().exponent)
    profit = float(trade["profit"])
    invested = float(trade["qty"] * trade["entry_price"])
    return (
        *one.owner,
        _minute(int(opened_ms[trade["entry_bar"]])),
        _minute(int(opened_ms[trade["exit_bar"]])),
        "long" if trade["side"] > 0 else "short",
        price(float(trade["qty"])),
        price(round(float(trade["entry_price"]), places)),
        price(round(float(trade["exit_price"]), places)),
        money(float(trade["fees"]), 2),
        Cell(money(profit, 2, signed=True), tone_of(profit)),
        Cell(percent(profit / invested if invested else math.nan, signed=True), tone_of(profit)),
    )


def _minute(ts_ms: int) -> str:
    return iso_utc(ts_ms)[:16].replace("T", " ")

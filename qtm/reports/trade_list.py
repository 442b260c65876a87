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
    found: Iterable[Traded], opened_ms: npt.NDArray[np.int64] | None, owners: tuple[str, ...] = ()
) -> Section:
    """The table.

    Parameters
    ----------
    opened_ms
        Opens of the bars that trades name; None for the trades of a tape, which name their own milliseconds.
    owners
        The words' headers.
    """
    found = list(found)
    total = sum(len(one.trades) for one in found)
    if total == 0:
        return Section("Trades", [paragraph("No round trip was closed.", "muted")])
    listed = [(trade, one) for one in found for trade in one.trades[-LISTED:]]
    newest = "exit_bar" if opened_ms is not None else "exit_ms"
    listed.sort(key=lambda pair: int(pair[0][newest]), reverse=True)
    rows = [_row(trade, one, opened_ms) for trade, one in listed[:LISTED]]
    headers = (*owners, "Entered", "Left", "Side", "Quantity", "Entry", "Exit", "Fees", "Profit", "Return")
    trips = "1 round trip" if total == 1 else f"{total:,} round trips"
    note = f"The latest {LISTED} of {trips}." if total > LISTED else f"{trips}."
    return Section("Trades", [table(headers, rows, text_columns=3 + len(owners), tall=True)], note)


def _row(trade: np.void, one: Traded, opened_ms: npt.NDArray[np.int64] | None) -> tuple[str | Cell, ...]:
    # An average of several fills lies between the ticks; two more places are enough to see where.
    places = 2 - int(one.instrument.tick_size.normalize().as_tuple().exponent)
    profit = float(trade["profit"])
    invested = float(trade["qty"] * trade["entry_price"])
    return (
        *one.owner,
        *(_when(trade, side, opened_ms) for side in ("entry", "exit")),
        "long" if trade["side"] > 0 else "short",
        price(float(trade["qty"])),
        price(round(float(trade["entry_price"]), places)),
        price(round(float(trade["exit_price"]), places)),
        money(float(trade["fees"]), 2),
        Cell(money(profit, 2, signed=True), tone_of(profit)),
        Cell(percent(profit / invested if invested else math.nan, signed=True), tone_of(profit)),
    )


def _when(trade: np.void, side: str, opened_ms: npt.NDArray[np.int64] | None) -> str:
    """The bar's open to the minute, or the moment of the fill to the millisecond."""
    if opened_ms is not None:
        return iso_utc(int(opened_ms[trade[f"{side}_bar"]]))[:16].replace("T", " ")
    at_ms = int(trade[f"{side}_ms"])
    return f"{iso_utc(at_ms)[:19].replace('T', ' ')}.{at_ms % 1_000:03d}"

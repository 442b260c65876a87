"""A part of a tape as a market of its own, which begins where the market stood and not out of nothing.

A run over a window begins with an account that holds nothing, but the venue it meets has a book, a last price
and a volatility. Cutting the events alone would leave a strategy without prices to quote around until the
feed has named each level again, and a taker without impact until the volatility has been measured anew.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from qtm.backtest.tape.events import (
    BUY_TRADE,
    CLEAR,
    FUNDING,
    MARK,
    NO_DEPTH,
    SELL_TRADE,
    Standing,
    Tape,
)
from qtm.backtest.tape.kernels import engine_calls
from qtm.backtest.tape.ledger import END_ROW, FILL_ROW, ROOM
from qtm.backtest.tape.memory import fresh_desk
from qtm.backtest.tape.rules import Latency, Queue, make_rules
from qtm.market.instruments import Instrument
from qtm.trading.costs import CostModel
from qtm.trading.margin import NO_MARGIN

MARKET_FIELDS = (
    "bid_ticks", "ask_ticks", "last_ticks", "traded_ticks", "mark_ticks", "budget", "volume",
    "volume_so_far", "variance", "sampled_ticks",
)  # fmt: skip
"""What of a desk is the market's."""


def window_of(tape: Tape, instrument: Instrument, costs: CostModel, start_ns: int, end_ns: int) -> Tape:
    """The tape between two moments on its grid, the market standing at the first as it did there."""
    if tape.start_ns < start_ns < tape.end_ns:
        before, tape = tape.split(start_ns)
        tape = dataclasses.replace(tape, standing=standing_after(before, instrument, costs))
        if not tape.of_bars:  # the levels of the whole
            tape.__dict__["price_range"] = before.price_range
    return tape.split(end_ns)[0] if tape.start_ns < end_ns < tape.end_ns else tape


def has_market(tape: Tape, start_ns: int, end_ns: int) -> bool:
    """Whether anything but payments and mark prices happens in a span."""
    first, stop = np.searchsorted(tape.events["ts_ns"], (start_ns, end_ns))
    inside = dataclasses.replace(tape, events=tape.events[first:stop])
    return any(not np.isin(part["kind"], (FUNDING, MARK, CLEAR)).all() for part in inside.parts())


def standing_after(tape: Tape, instrument: Instrument, costs: CostModel) -> Standing | None:
    """Where the market stands after a tape: the engine lives it asking nobody; None before a trade."""
    rules = make_rules(
        tape, instrument, costs, Latency(), Queue(), None, NO_MARGIN,
        wakes=0, period_ns=0, trade_from_ns=0, marked=tape.marked,
    )  # fmt: skip
    desk, levels = fresh_desk(tape, rules, 1.0)
    fills, ends = np.empty(ROOM, FILL_ROW), np.empty(ROOM, END_ROW)
    remembers = tape.depth != NO_DEPTH or tape.of_bars or costs.impact > 0.0
    events = tape.events if remembers else _last_prices(tape)
    nothing = np.empty(0)
    engine_calls().call_advance(desk[0], rules[0], levels, events, tape.bars, fills, ends, nothing)
    while desk["next_sample_ns"][0] < tape.end_ns:
        engine_calls().call_take_sample(desk[0], rules[0], ends, nothing)
    if desk["last_ticks"][0] == 0:
        return None
    values = {name: desk[name][0].item() for name in MARKET_FIELDS}
    return Standing(values, levels, int(rules["base_ticks"][0]))


def _last_prices(tape: Tape) -> npt.NDArray[np.void]:
    """The last trade and the last mark price, found from the end: all there is to know without a book."""
    found = []
    for kinds in ((BUY_TRADE, SELL_TRADE), (MARK,) if tape.marked else ()):
        for part in tape.parts(backwards=True):
            rows = np.flatnonzero(np.isin(part["kind"], kinds)) if kinds else np.empty(0, np.int64)
            if rows.size:
                found.append(part[rows[-1:]])
                break
    return np.ascontiguousarray(np.concatenate(found)) if found else tape.events[:0]

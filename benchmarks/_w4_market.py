"""The market and the quoting strategies of W4, for both engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks._peers import FOLDER
from qtm.backtest.tape.events import ASK, BID, BUY_TRADE, FULL_DEPTH, SELL_TRADE, TAPE_EVENT, Tape, make_tape
from qtm.market.intervals import Interval
from qtm.strategies.order_contract import order_strategy
from qtm.trading.desk import BUY, SELL, cancel, find, nth, post_only, ticks_of

TRADES = 1_000_000
FIRST_MID = 300_000
LEVEL_LOTS = 10_000
_SPACING_NS = 20_000_000
START_NS = 1_700_000_000_000_000_000


def events(trades: int = TRADES, seed: int = 7, level_lots: int = LEVEL_LOTS) -> npt.NDArray[np.void]:
    """A mid price that walks by ticks, a trade each 20 ms; a move shifts both sides (four updates)."""
    rng = np.random.default_rng(seed)
    move = rng.choice([-1, 0, 0, 0, 0, 0, 0, 0, 0, 1], trades)
    mid = FIRST_MID + np.cumsum(move)
    buys = rng.integers(0, 2, trades)
    lots = np.rint((rng.gamma(1, 0.1, trades) + 0.001) * 1_000).astype(np.int64)
    updates = np.abs(move) * 4
    made = np.zeros(trades + int(updates.sum()) + 20, TAPE_EVENT)
    for depth in range(10):
        made[2 * depth] = (START_NS, FIRST_MID - depth, level_lots, BID)
        made[2 * depth + 1] = (START_NS, FIRST_MID + 1 + depth, level_lots, ASK)
    at = np.concatenate(([0], np.cumsum(updates)))[:-1] + np.arange(trades) + 20
    time = START_NS + np.arange(1, trades + 1) * _SPACING_NS
    trade = at + updates
    made["ts_ns"][trade], made["ticks"][trade], made["lots"][trade] = time, mid + buys, lots
    made["kind"][trade] = np.where(buys == 1, BUY_TRADE, SELL_TRADE)
    for way in (1, -1):
        moved = np.flatnonzero(move == way)
        m = mid[moved]
        rows = (
            ((ASK, m, 0), (BID, m, level_lots), (ASK, m + 10, level_lots), (BID, m - 10, 0))
            if way > 0
            else ((BID, m + 1, 0), (ASK, m + 1, level_lots), (BID, m - 9, level_lots), (ASK, m + 11, 0))
        )
        for number, (kind, ticks, quantity) in enumerate(rows):
            row = at[moved] + number
            made["ts_ns"][row], made["ticks"][row], made["lots"][row] = time[moved], ticks, quantity
            made["kind"][row] = kind
    return made


def saved_events(
    trades: int = TRADES, *, level_lots: int = LEVEL_LOTS, name: str = "w4"
) -> tuple[Tape, Path]:
    """The tape, and the file of it that the peers read."""
    made = events(trades, level_lots=level_lots)
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.npz"
    np.savez(path, **{name: made[name] for name in ("ts_ns", "ticks", "lots", "kind")})
    return make_tape("BTCUSDT", made, depth=FULL_DEPTH, interval=Interval.M1), path


class Params(NamedTuple):
    """Lots of a quote, the largest position long and short, how many ticks behind the best to stand."""

    lots: int = 1_000
    most: int = 10_000
    most_short: int = 10_000
    behind: int = 1


def _quote(params: Any, state: Any, event: Any, account: Any, desk: Any) -> None:
    """One quote behind the best price on each side; those elsewhere are cancelled."""
    bid, ask = desk.bid_ticks - params.behind, desk.ask_ticks + params.behind
    for k in range(desk.count):
        handle = nth(desk, k)
        if ticks_of(desk, handle) != bid and ticks_of(desk, handle) != ask:
            cancel(desk, handle)
    if account.lots < params.most and find(desk, BUY, bid) == 0:
        post_only(desk, BUY, params.lots, bid)
    if account.lots > -params.most_short and find(desk, SELL, ask) == 0:
        post_only(desk, SELL, params.lots, ask)


timed = order_strategy(
    name="w4-timed", summary="Quotes every 100 ms.", params=Params, bounds={}, state={"unused": "i8"},
    period_ms=100.0,
)(_quote)  # fmt: skip
per_trade = order_strategy(
    name="w4-per-trade", summary="Quotes on every trade.", params=Params, bounds={}, state={"unused": "i8"},
    wakes=("trade",),
)(_quote)  # fmt: skip

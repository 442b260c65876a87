"""Made-up markets that are consistent: a trade takes from the best level, and the book follows it."""

from __future__ import annotations

import numpy as np

from qtm.backtest.tape.events import (
    ASK,
    BID,
    BUY_TRADE,
    FULL_DEPTH,
    NO_DEPTH,
    SELL_TRADE,
    TAPE_EVENT,
    Tape,
    make_tape,
)
from qtm.market.bars import BarSeries
from qtm.market.intervals import Interval
from tests.backtest.tape.scripted import START_NS


def random_tape(trades: int, *, deep: bool, seed: int, spacing_ms: int = 100) -> Tape:
    """Trades every `spacing_ms` around a walking price; `deep` adds three levels a side and their changes."""
    rng = np.random.default_rng(seed)
    bid, events = 10_000, []
    book: dict[int, int] = {}

    def show(now: int, ticks: int, lots: int) -> None:
        kind = BID if ticks <= bid else ASK
        if deep:
            events.append((now, ticks, lots, kind))
        book[ticks] = lots

    now = START_NS
    for level in range(6):
        show(now, bid - level, int(rng.integers(20, 200)))
        show(now, bid + 1 + level, int(rng.integers(20, 200)))
    for _ in range(trades):
        now += spacing_ms * 1_000_000
        buys = bool(rng.random() < 0.5)
        ticks = bid + 1 if buys else bid
        lots = int(min(rng.integers(1, 60), book[ticks]))
        events.append((now, ticks, lots, BUY_TRADE if buys else SELL_TRADE))
        now += 1_000_000
        left = book[ticks] - lots
        if left > 0 and rng.random() > 0.25:
            show(now, ticks, left)
            continue
        # the level goes and its side steps back; the other follows
        step = int(rng.integers(1, 4))
        gone = [ticks + k if buys else ticks - k for k in range(step)]
        for price in gone:
            kind = ASK if buys else BID
            if deep:
                events.append((now, price, 0, kind))
            book[price] = 0
        bid += step if buys else -step
        for level in range(6):
            for price in (bid - level, bid + 1 + level):
                if book.get(price, 0) == 0 or rng.random() < 0.3:
                    show(now, price, int(rng.integers(20, 200)))
        for price in (bid - 6, bid + 7):
            show(now, price, 0)
    table = np.array(events, dtype=TAPE_EVENT)
    return make_tape("BTCUSDT", table, depth=FULL_DEPTH if deep else NO_DEPTH, interval=Interval.S1)


def walking_bars(count: int, seed: int) -> BarSeries:
    """Minute bars of a walking price, in cents."""
    rng = np.random.default_rng(seed)
    moves = rng.integers(-15, 16, count)
    close = 10_000 + np.cumsum(moves)
    opened = np.concatenate(([10_000], close[:-1])) + rng.integers(-2, 3, count)
    high = np.maximum(opened, close) + rng.integers(0, 12, count)
    low = np.minimum(opened, close) - rng.integers(0, 12, count)
    times = START_NS // 1_000_000 + np.arange(count, dtype=np.int64) * 60_000
    volume = rng.integers(1, 400, count) / 1000
    return BarSeries(
        "BTCUSDT", Interval.M1, times, *(np.asarray(x) / 100 for x in (opened, high, low, close)), volume
    )

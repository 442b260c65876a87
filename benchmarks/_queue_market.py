"""A market of ten levels a side whose depth follows its trades, for comparing queues."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchmarks._w4_market import START_NS
from qtm.backtest.tape.events import ASK, BID, BUY_TRADE, SELL_TRADE, TAPE_EVENT

LEVELS = 10
_SPACING_NS = 20_000_000
_FIRST_BID = 300_000


def events(trades: int, *, seed: int = 7, told: bool = True, least: int = 200) -> npt.NDArray[np.void]:
    """A trade each 20 ms at the best price, then the depth it leaves, then changes of other levels.

    A trade that takes a whole level moves the market by a tick. With `told` false the feed is silent about
    what trades take from a level that stays: an order that joins it is then told of a longer queue.
    A level begins with `least` to 900 lots.
    """
    random = np.random.default_rng(seed)
    bids = {_FIRST_BID - k: int(random.integers(least, 900)) for k in range(LEVELS)}
    asks = {_FIRST_BID + 1 + k: int(random.integers(least, 900)) for k in range(LEVELS)}
    rows = [(START_NS, ticks, lots, BID) for ticks, lots in bids.items()]
    rows += [(START_NS, ticks, lots, ASK) for ticks, lots in asks.items()]
    for number in range(1, trades + 1):
        now = START_NS + number * _SPACING_NS
        buys = bool(random.integers(0, 2))
        hit, hit_kind, way = (asks, ASK, 1) if buys else (bids, BID, -1)
        best = min(asks) if buys else max(bids)
        lots = min(hit[best], int(random.gamma(1.0, 120.0)) + 1)
        rows.append((now, best, lots, BUY_TRADE if buys else SELL_TRADE))
        hit[best] -= lots
        if hit[best] == 0:
            rows += _moved(now, bids, asks, best, way, random, least)
        elif told:
            rows.append((now, best, hit[best], hit_kind))
        for _ in range(int(random.integers(0, 3))):
            side, kind = (bids, BID) if random.integers(0, 2) else (asks, ASK)
            ticks = list(side)[int(random.integers(0, LEVELS))]
            side[ticks] = max(20, side[ticks] + int(random.integers(-150, 160)))
            rows.append((now, ticks, side[ticks], kind))
    return np.array(rows, TAPE_EVENT)


def _moved(
    now: int,
    bids: dict[int, int],
    asks: dict[int, int],
    gone: int,
    way: int,
    random: np.random.Generator,
    least: int,
) -> list[tuple[int, int, int, int]]:
    """A best level has gone: its price becomes the other side's best, both sides keep ten levels."""
    lost, lost_kind, won, won_kind = (asks, ASK, bids, BID) if way > 0 else (bids, BID, asks, ASK)
    del lost[gone]
    far, behind = gone + way * LEVELS, gone - way * LEVELS
    lost[far] = int(random.integers(least, 900))
    won[gone] = int(random.integers(least, 900))
    del won[behind]
    return [
        (now, gone, 0, lost_kind), (now, gone, won[gone], won_kind),
        (now, far, lost[far], lost_kind), (now, behind, 0, won_kind),
    ]  # fmt: skip

"""Quotes in the queue here and in hftbacktest on one market, fill by fill, and what each difference costs."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import numpy as np

from benchmarks import w4
from benchmarks._peer_fills import FEED_NS, Fill, agreement, fills_here, fills_there
from benchmarks._peers import FOLDER
from benchmarks._queue_market import events
from benchmarks._w4_market import timed
from qtm.backtest.tape.events import FULL_DEPTH, make_tape
from qtm.backtest.tape.rules import PROPORTIONAL, Queue
from qtm.market.intervals import Interval

TRADES = 50_000
STEP_NS = 100_000_000
Fills = Counter[Fill]

_NONE = 10**9
_PARTLY = {"lots": 400, "partial": True, "most": _NONE, "most_short": _NONE}
_BUYS = {"least": 500, "most_short": -_NONE}

CASES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("one lot, the queue moves by trades", {}),
    ("one lot, withdrawals shared out by the square", {"queue_power": 2.0}),
    ("400 lots, bought only, filled in part, levels of more than 400", _PARTLY | _BUYS),
    ("it looks at the step's end, before what has just happened is known", {"late_ns": 0}),
    ("the feed is silent about what trades take from a level", {"told": False}),
    ("400 lots, filled in part, what own orders took stays in its book", _PARTLY | {"least": 500}),
    ("400 lots, it fills whole what the queue reaches", {"lots": 400}),
    ("400 lots, filled in part, a thinner level fills it whole", _PARTLY),
    ("400 lots, filled in part, its position counts the last part only", {"lots": 400, "partial": True}),
)
"""The first three are set alike; each of the others differs in one thing."""
ALIKE = 3


def main() -> int:
    """Print the comparison; 1 when engines that are set alike disagree."""
    worst = 0
    for number, (words, options) in enumerate(CASES):
        mine, theirs = compared(**options)
        if theirs is None:
            return 1
        print(f"{words}\n    {agreement(mine, theirs)}")
        print(f"    lots: {lots_of(mine):,} here, {lots_of(theirs):,} there")
        if number < ALIKE and mine != theirs:
            worst = 1
    return worst


def compared(
    *,
    lots: int = 1,
    told: bool = True,
    partial: bool = False,
    queue_power: float = 0.0,
    late_ns: int = FEED_NS,
    most: int = 10_000,
    most_short: int = 10_000,
    least: int = 200,
) -> tuple[Fills, Fills | None]:
    """The fills of both engines, quoting `lots` at the best prices every 100 ms."""
    made = events(TRADES, told=told, least=least)
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / "queue.npz"
    np.savez(path, **{name: made[name] for name in ("ts_ns", "ticks", "lots", "kind")})
    tape = make_tape("BTCUSDT", made, depth=FULL_DEPTH, interval=Interval.M1)
    queue = Queue(PROPORTIONAL, queue_power) if queue_power else Queue()
    run = w4.ours(
        timed, tape, params={"lots": lots, "behind": 0, "most": most, "most_short": most_short}, queue=queue
    )
    there = fills_there(
        path,
        step_ns=STEP_NS,
        lots=lots,
        most=most,
        most_short=most_short,
        behind=0,
        partial=partial,
        queue_power=queue_power,
        late_ns=late_ns,
    )
    return fills_here(run), None if there is None else there[0]


def lots_of(fills: Fills) -> int:
    """All that traded."""
    return sum(count * fill[3] for fill, count in fills.items())


if __name__ == "__main__":
    sys.exit(main())

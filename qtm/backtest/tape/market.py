"""The market's book as far as the tape tells it: levels by tick, the best of both sides, and the last price.

Levels are one array over the ticks that can matter: positive lots are bids, negative ones asks, so that a
level can never be on both sides. Where the tape has no depth, the best prices are inferred from the last
trade: its aggressor took the far side, one tick away stands the near one.
"""

from __future__ import annotations

from typing import Any

from qtm.backtest.tape.events import FULL_DEPTH
from qtm.compiled import either_way
from qtm.trading.desk import BUY


@either_way
def lots_at(rules: Any, levels: Any, side: int, ticks: int) -> int:
    """Lots the market shows at a price on `side` (`BUY` for bids)."""
    at = ticks - rules.base_ticks
    if at < 0 or at >= levels.size:
        return 0
    lots = levels[at] * side
    return lots if lots > 0 else 0


@either_way
def set_level(desk: Any, rules: Any, levels: Any, side: int, ticks: int, lots: int) -> int:
    """Set a level and keep the best prices; answers with the lots that stood there before."""
    at = ticks - rules.base_ticks
    if at < 0 or at >= levels.size:
        return 0
    before = levels[at] * side
    if lots > 0:
        levels[at] = lots * side
        if side == BUY:
            if ticks > desk.bid_ticks:
                desk.bid_ticks = ticks
            if desk.ask_ticks != 0 and ticks >= desk.ask_ticks:
                _drop_crossed(desk, rules, levels, side, ticks)
        else:
            if ticks < desk.ask_ticks or desk.ask_ticks == 0:
                desk.ask_ticks = ticks
            if desk.bid_ticks != 0 and ticks <= desk.bid_ticks:
                _drop_crossed(desk, rules, levels, side, ticks)
    elif before > 0:
        levels[at] = 0
        find_best(desk, rules, levels, side)
    return before if before > 0 else 0


@either_way
def _drop_crossed(desk: Any, rules: Any, levels: Any, side: int, ticks: int) -> None:
    """A new level beyond the other side's best shows that those levels have gone."""
    if side == BUY:
        for at in range(desk.ask_ticks - rules.base_ticks, ticks - rules.base_ticks):
            if levels[at] < 0:
                levels[at] = 0
        find_best(desk, rules, levels, -side)
    else:
        for at in range(ticks - rules.base_ticks + 1, desk.bid_ticks - rules.base_ticks + 1):
            if levels[at] > 0:
                levels[at] = 0
        find_best(desk, rules, levels, -side)


@either_way
def find_best(desk: Any, rules: Any, levels: Any, side: int) -> None:
    """Look for the best price of a side from where it last was; 0 when the side is empty."""
    if side == BUY:
        at = desk.bid_ticks - rules.base_ticks
        while at >= 0 and levels[at] <= 0:
            at -= 1
        desk.bid_ticks = at + rules.base_ticks if at >= 0 else 0
    elif desk.ask_ticks != 0:
        at = desk.ask_ticks - rules.base_ticks
        while at < levels.size and levels[at] >= 0:
            at += 1
        desk.ask_ticks = at + rules.base_ticks if at < levels.size else 0


@either_way
def set_best(desk: Any, rules: Any, levels: Any, side: int, ticks: int, lots: int) -> int:
    """Replace a side by its best level (top-of-book data); the lots that stood at that price before."""
    old = desk.bid_ticks if side == BUY else desk.ask_ticks
    before = lots_at(rules, levels, side, ticks)
    if old != 0 and old != ticks:
        at = old - rules.base_ticks
        if 0 <= at < levels.size and levels[at] * side > 0:
            levels[at] = 0
    if side == BUY:
        desk.bid_ticks = 0
    else:
        desk.ask_ticks = 0
    set_level(desk, rules, levels, side, ticks, lots)
    return before


@either_way
def forget_book(desk: Any, levels: Any) -> None:
    """Before a snapshot: no level is known any more."""
    levels[:] = 0
    desk.bid_ticks = desk.ask_ticks = 0


@either_way
def take_from_level(desk: Any, rules: Any, levels: Any, side: int, ticks: int, lots: int) -> None:
    """Remove traded lots from a level until the feed says what stands there now."""
    shown = lots_at(rules, levels, side, ticks)
    if shown > 0:
        left = shown - lots
        levels[ticks - rules.base_ticks] = side * left if left > 0 else 0
        if left <= 0:
            find_best(desk, rules, levels, side)


@either_way
def infer_best(desk: Any, aggressor: int, ticks: int) -> None:
    """The best prices after a trade where no depth is known."""
    if aggressor == BUY:
        desk.ask_ticks = ticks
        desk.bid_ticks = ticks - 1
    else:
        desk.bid_ticks = ticks
        desk.ask_ticks = ticks + 1


@either_way
def next_offer(desk: Any, rules: Any, levels: Any, side: int, after: int) -> int:
    """The next price at which the market shows lots for a taker of `side`, beyond `after`; 0 for none.

    `after` 0 asks for the best.
    """
    if after == 0:
        return desk.ask_ticks if side == BUY else desk.bid_ticks  # type: ignore[no-any-return]
    if rules.depth != FULL_DEPTH:
        return 0
    at = after - rules.base_ticks + side
    while 0 <= at < levels.size:
        if levels[at] * side < 0:
            return at + rules.base_ticks  # type: ignore[no-any-return]
        at += side
    return 0

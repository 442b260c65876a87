"""The engine's loop: from event to event until the strategy must be asked.

`advance` knows nothing of the strategy, so it is compiled once for all of them. All memory of a run is the
desk, the levels and the strategy's state; a run can stop after any event and go on from their bytes.

Order of things: whatever is due (the children of a parent that ended, an expiry, an arriving request, the
strategy's timer, a sample of equity) happens before the first event later than it, in this order when due at
the same instant. So an event always comes before what arrives at its own time: nobody is fast enough to meet
the trade he reacts to.
"""

from __future__ import annotations

from typing import Any

from qtm.backtest.tape import accounts, market
from qtm.backtest.tape.bar_path import live_through
from qtm.backtest.tape.events import (
    ASK,
    BAR_ROW,
    BEST_ASK,
    BEST_BID,
    BID,
    BUY_TRADE,
    CLEAR,
    FUNDING,
    MARK,
    NO_DEPTH,
    SELL_TRADE,
)
from qtm.backtest.tape.ledger import ROOM
from qtm.backtest.tape.matching import print_reaches, sweep
from qtm.backtest.tape.orders import liquidate
from qtm.backtest.tape.queues import level_changed
from qtm.backtest.tape.requests import arrive, dispatch, expire_due, feed_delay, watch_losses
from qtm.backtest.tape.triggers import fire_if_traded, fire_triggers, settle_families
from qtm.backtest.tape.units import unit
from qtm.compiled import either_way
from qtm.trading.costs import next_variance
from qtm.trading.desk import BAR, BUY, FILL, QUOTE, SELL, TIMER, TRADE
from qtm.trading.desk_memory import REQUESTS
from qtm.trading.exact import UNITS, share_of

__all__ = ["advance", "dispatch", "take_sample"]

WAKE, DONE, FULL = 0, 1, 2
"""Ask the strategy; the tape is over; the ledger's arrays are full and must grow."""

_ON_TRADE, _ON_QUOTE, _ON_BAR, _ON_FILL = 1 << TRADE, 1 << QUOTE, 1 << BAR, 1 << FILL


@unit
def advance(
    desk: Any, rules: Any, levels: Any, events: Any, bars: Any, fills: Any, ends: Any, equity: Any
) -> int:
    """Go on until the strategy must be asked (`desk.event` says why), the tape ends, or the ledger fills."""
    last = events.size
    wakes = rules.wakes
    while True:
        if desk.fills_told < desk.fill_rows:
            told = desk.fills_told
            desk.fills_told += 1
            if (wakes & _ON_FILL) != 0 and fills[told].handle != 0:
                _wake_by_fill(desk, rules, fills[told])
                return WAKE
            continue
        if desk.pending != 0:
            desk.pending = 0
            _wake_by_event(desk, rules, events[desk.cursor - 1], bars)
            return WAKE
        at = desk.cursor
        if at >= last:
            return DONE
        if desk.fill_rows + ROOM > fills.size or desk.end_rows + ROOM > ends.size:
            return FULL
        event = events[at]
        plan_due(desk, rules)
        if desk.next_due_ns < event.ts_ns:
            if do_due(desk, rules, levels, fills, ends, equity):
                return WAKE
            continue
        due, before, count = desk.next_due_ns, desk.fill_rows, desk.count
        # The stretch of events up to the next thing due: nothing is asked or planned here.
        while True:
            happen(desk, rules, levels, event, bars, fills, ends)
            at += 1
            if desk.pending != 0 or desk.fill_rows != before or at >= last:
                break
            event = events[at]
            if due < event.ts_ns or desk.count != count:
                break
        desk.cursor = at


@either_way
def plan_due(desk: Any, rules: Any) -> None:
    """Find when the next thing is due that the tape does not hold."""
    due = min(desk.next_expiry_ns, desk.next_sample_ns)
    if rules.period_ns != 0:
        due = min(due, desk.next_timer_ns)
    if rules.of_bars == 0 and desk.arrived < desk.asked:
        due = min(due, desk.requests[desk.arrived % REQUESTS].arrives_ns)
    if desk.family_due != 0:
        due = min(due, desk.venue_ns)
    desk.next_due_ns = due


@either_way
def do_due(desk: Any, rules: Any, levels: Any, fills: Any, ends: Any, equity: Any) -> bool:
    """Do the one thing that is due next; True when the strategy must be asked."""
    due = desk.next_due_ns
    if due > desk.venue_ns:
        desk.venue_ns = due
    if desk.family_due != 0:
        settle_families(desk, rules, levels, fills, ends)
    elif desk.next_expiry_ns == due:
        expire_due(desk, ends, due)
    elif (
        rules.of_bars == 0
        and desk.arrived < desk.asked
        and desk.requests[desk.arrived % REQUESTS].arrives_ns == due
    ):
        arrive(desk, rules, levels, fills, ends)
    elif rules.period_ns != 0 and desk.next_timer_ns == due:
        desk.next_timer_ns += rules.period_ns
        _wake(desk, rules, TIMER, due, 0, desk.last_ticks, 0, 0)
        return True
    else:
        take_sample(desk, rules, ends, equity)
    return False


@unit
def take_sample(desk: Any, rules: Any, ends: Any, equity: Any) -> None:
    """Write the equity down at the end of an interval of the grid; the gate looks at it, too."""
    worth = desk.books.cash
    if desk.last_ticks != 0:
        worth = accounts.equity_of(desk.books, desk.last_ticks, rules)
        accounts.roll_day(desk, rules, desk.next_sample_ns)
        watch_losses(desk, rules, desk.next_sample_ns)
        if desk.judged != desk.asked:  # a halt withdraws orders
            desk.now_ns = max(desk.now_ns, desk.next_sample_ns + feed_delay(desk, rules))
            dispatch(desk, rules, ends)
    if desk.sample_rows < equity.size:
        equity[desk.sample_rows] = worth / UNITS
        desk.sample_rows += 1
    if accounts.lots_held(desk.books, rules) != 0:
        desk.invested += 1
    if rules.of_bars == 0:
        if rules.costs.impact > 0.0:
            before = float(desk.sampled_ticks)
            desk.variance = next_variance(desk.variance, before, float(desk.last_ticks))
        desk.sampled_ticks = desk.last_ticks
        desk.volume = desk.volume_so_far
        desk.volume_so_far = 0
    desk.next_sample_ns += rules.sample_ns


@either_way
def happen(desk: Any, rules: Any, levels: Any, event: Any, bars: Any, fills: Any, ends: Any) -> None:
    """Let one event of the tape happen at the venue."""
    kind = event.kind
    desk.venue_ns = event.ts_ns
    if kind in (BID, ASK):
        _level(desk, rules, levels, BUY if kind == BID else SELL, event.ticks, event.lots, False, fills, ends)
    elif kind in (BUY_TRADE, SELL_TRADE):
        _trade(desk, rules, levels, BUY if kind == BUY_TRADE else SELL, event.ticks, event.lots, fills, ends)
    elif kind in (BEST_BID, BEST_ASK):
        side = BUY if kind == BEST_BID else SELL
        _level(desk, rules, levels, side, event.ticks, event.lots, True, fills, ends)
    elif kind == BAR_ROW:
        live_through(desk, rules, levels, fills, ends, bars[event.ticks])
        if (rules.wakes & _ON_BAR) != 0:
            desk.pending = 1
    elif kind == MARK:
        desk.mark_ticks = event.ticks
        if desk.trailing != 0:
            fire_triggers(desk, rules, levels, fills, ends)
        _watch_ruin(desk, rules, fills, ends, event.ticks)
    elif kind == FUNDING:
        pay_funding(desk, rules, event.lots, event.ticks)
    elif kind == CLEAR:
        market.forget_book(desk, levels)


@either_way
def _level(
    desk: Any, rules: Any, levels: Any, side: int, ticks: int, lots: int, whole: bool, fills: Any, ends: Any
) -> None:
    """A level of the book changes; own orders move up in its queue or are reached by it."""
    bid, ask, traded = desk.bid_ticks, desk.ask_ticks, desk.traded_ticks
    if whole:
        before = market.set_best(desk, rules, levels, side, ticks, lots)
    else:
        before = market.set_level(desk, rules, levels, side, ticks, lots)
    if side == BUY:
        if desk.bids != 0 and desk.low_bid <= ticks <= desk.top_bid:
            level_changed(desk, rules, side, ticks, before, lots)
        if desk.asks != 0 and lots > 0 and ticks >= desk.low_ask:
            sweep(desk, rules, levels, fills, ends, SELL)
    else:
        if desk.asks != 0 and desk.low_ask <= ticks <= desk.top_ask:
            level_changed(desk, rules, side, ticks, before, lots)
        if desk.bids != 0 and lots > 0 and ticks <= desk.top_bid:
            sweep(desk, rules, levels, fills, ends, BUY)
    fire_if_traded(desk, rules, levels, fills, ends, traded)
    if (rules.wakes & _ON_QUOTE) != 0 and (bid != desk.bid_ticks or ask != desk.ask_ticks):
        desk.pending = 1


@either_way
def _trade(
    desk: Any, rules: Any, levels: Any, aggressor: int, ticks: int, lots: int, fills: Any, ends: Any
) -> None:
    """A trade prints: resting orders it reaches, then the book it leaves, then triggers and liquidation.

    Where no depth is known, a trade beyond an order's price fills it whoever was the aggressor: the market
    could not have got there past it.
    """
    desk.last_ticks = ticks
    desk.volume_so_far += lots
    if rules.depth == NO_DEPTH:
        market.infer_best(desk, aggressor, ticks)
    if desk.bids != 0 and ticks <= desk.top_bid:
        if aggressor == SELL:
            print_reaches(desk, rules, levels, fills, ends, BUY, ticks, lots, 0)
        elif rules.depth == NO_DEPTH:
            print_reaches(desk, rules, levels, fills, ends, BUY, ticks, lots, 1)
    if desk.asks != 0 and ticks >= desk.low_ask:
        if aggressor == BUY:
            print_reaches(desk, rules, levels, fills, ends, SELL, ticks, lots, 0)
        elif rules.depth == NO_DEPTH:
            print_reaches(desk, rules, levels, fills, ends, SELL, ticks, lots, 1)
    if rules.depth != NO_DEPTH:
        market.take_from_level(desk, rules, levels, -aggressor, ticks, lots)
    desk.traded_ticks = ticks
    if desk.waiting != 0 and (ticks >= desk.fire_above or ticks <= desk.fire_below or desk.trailing != 0):
        fire_triggers(desk, rules, levels, fills, ends)
    if rules.marked == 0 and rules.leverage != 0:
        _watch_ruin(desk, rules, fills, ends, ticks)
    if (rules.wakes & _ON_TRADE) != 0:
        desk.pending = 1


@either_way
def _watch_ruin(desk: Any, rules: Any, fills: Any, ends: Any, ticks: int) -> None:
    """Liquidate at the price that no longer covers the maintenance margin."""
    books = desk.books
    if (books.ruin_low != 0 and ticks <= books.ruin_low) or (
        books.ruin_high != 0 and ticks >= books.ruin_high
    ):
        liquidate(desk, rules, fills, ends, ticks)


@either_way
def pay_funding(desk: Any, rules: Any, rate: int, mark_ticks: int) -> None:
    """Longs pay a positive rate (1e-8) on the position's value, shorts receive it; towards zero."""
    books = desk.books
    ticks = mark_ticks if mark_ticks != 0 else desk.last_ticks
    if books.base == 0 or ticks == 0:
        return
    value = accounts.value_held(books, ticks, rules)
    paid = share_of(abs(value), rate) if value > 0 else -share_of(abs(value), rate)
    books.cash -= paid
    books.funding += paid
    if rules.leverage != 0:
        accounts.find_ruin(desk, rules)


# --- waking the strategy ---------------------------------------------------------------------------------
@either_way
def _wake(
    desk: Any, rules: Any, kind: int, ts_ns: int, side: int, ticks: int, lots: int, handle: int
) -> None:
    """Let the strategy's clock and account stand at what it learns now."""
    now = ts_ns + feed_delay(desk, rules)
    if now > desk.now_ns:
        desk.now_ns = now
    event = desk.event
    event.kind = kind
    event.ts_ns = desk.now_ns
    event.side = side
    event.ticks = event.open_ticks = event.high_ticks = event.low_ticks = ticks
    event.lots = lots
    event.handle = handle
    accounts.mark_account(desk, rules)


@either_way
def _wake_by_fill(desk: Any, rules: Any, row: Any) -> None:
    _wake(desk, rules, FILL, row.ts_ns, row.side, row.ticks, row.lots, row.handle)


@either_way
def _wake_by_event(desk: Any, rules: Any, event: Any, bars: Any) -> None:
    if event.kind == BAR_ROW:
        bar = bars[event.ticks]
        _wake(desk, rules, BAR, bar.close_ns, 0, bar.close, bar.volume, 0)
        desk.event.open_ticks, desk.event.high_ticks, desk.event.low_ticks = bar.open, bar.high, bar.low
    elif event.kind == BUY_TRADE or event.kind == SELL_TRADE:
        side = BUY if event.kind == BUY_TRADE else SELL
        _wake(desk, rules, TRADE, event.ts_ns, side, event.ticks, event.lots, 0)
    else:
        side = BUY if event.kind == BID or event.kind == BEST_BID else SELL
        _wake(desk, rules, QUOTE, event.ts_ns, side, event.ticks, event.lots, 0)

"""The source of the loop over an account's bars, as `qtm.backtest.account.kernels` compiles it.

A bar has a beginning (what waited is traded, the account is marked) and an end (what was decided is sent).
Where every strategy has answered ahead or decides in Python, both stand in the loop itself and one kernel
serves all. Where the loop asks steps, they stand in functions of their own, so that another strategy compiles
little more than its step.
"""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import indent

from qtm.backtest.account.ledger import ROWS_PER_LEG
from qtm.trading.margin import MarginMode

DONE, FULL, AWAKE, WATCHED, DYING = range(5)
"""Why the loop came back: the bars are done, the ledger is full, a decision is due, a protective exit asks
for the loop that minds them, or a symbol has not traded for so long that it is written off."""

FUTURES_EXITS = {MarginMode.CROSS: "margin_exits", MarginMode.ISOLATED: "isolated_exits"}
"""The phase in which futures positions live through a bar."""

_HEAD = '''"""Generated: {title}"""
from qtm.compiled_kernels import kernel

'''

_BEGIN = """opened = times[i]
if orders.size - account.written < {rows} * (legs.size + 1):
    return {leave}{full}
{unwatched}overdue = account.seen_ms != 0 and opened - account.seen_ms > account.write_off_ms
if (overdue or account.absent > 0) and is_dying(account, quotes, seen, opened):
    return {leave}{dying}
if account.funded:
    pay_funding(account, sleeves, quotes, legs, opens[i], rates[i])
working = account.working
if working > 0:
    trade_at_open(account, sleeves, quotes, legs, waiting, orders, opens[i], volumes[i], i)
    note_trades(account, quotes, legs, lines, waiting, working)
{watch}take_closes(account, quotes, legs, lines, marks, seen, closes[i], opened)
{count}ledger.equity[i], ledger.gross[i] = mark_sleeves(account, sleeves, sessions, lines, marks, opened)
if account.netted:
    for k in range(sleeves.size):
        ledger.sleeves[i, k] = sessions[k].last_equity
if changes[i - base, 0] > 0:
    take_targets(account, legs, lines, targets[i - base], changes[i - base, 0])
    changes[i - base, 0] = 0
if changes[i - base, 1] > 0:
    take_exits(account, quotes, legs, exits[i - base], changes[i - base, 1])
    changes[i - base, 1] = 0
"""

_UNWATCHED = """if account.watched:
    return {leave}{watched}
"""

_WATCH = """if account.watched:
    spot_exits(account, sleeves, quotes, legs, orders, opens[i], highs[i], lows[i], volumes[i], opened, i)
{margin}    watch_again(account, quotes, legs)
    take_stock(account, legs, lines)
"""

_MARGIN = """    show_closes(quotes, marks, seen)
    {exits}(account, sleeves, quotes, legs, orders, opens[i], highs[i], lows[i], volumes[i], opened, i)
"""

_COUNT = """count_ticks(ticks, closes[i], tick_sizes)
"""

_END = """if account.unmet > 0:
    queue_unmet(account, legs, lines, queue, closes[i])
if account.queued > 0:
    if account.margined:
        show_closes(quotes, marks, seen)
    send_orders(
        account, sleeves, sessions, quotes, legs, queue, waiting, orders, seen_bars, closes[i], times[i], i
    )
"""

_RUN = """
@kernel(makes_arrays=False)
def run(
    accounts, sleeves, sessions, quotes, legs, marks, seen, tick_sizes, ticks, queue, waiting,
    lines, targets, exits, changes, columns, seen_bars, ledger, wake, base, first, last, decided
):
    times, opens, highs, lows, closes, volumes, rates = columns
    account, orders = accounts[0], ledger.orders
    take_stock(account, legs, lines)
    i = first
    while i < last:
        if not decided:
{begin}
            if wake.size > 0 and wake[i] != 0:
                return i, {awake}
        decided = False
{end}
        i += 1
    return last, {done}
"""

_HALVES = """
@kernel(makes_arrays=False)
def begin(
    account, sleeves, sessions, quotes, legs, marks, seen, tick_sizes, ticks, waiting, lines, targets,
    exits, changes, columns, ledger, base, i
):
    times, opens, highs, lows, closes, volumes, rates = columns
    orders = ledger.orders
{begin}
    return {done}


@kernel(makes_arrays=False)
def end(
    account, sleeves, sessions, quotes, legs, marks, seen, queue, waiting, lines, columns, seen_bars,
    ledger, i
):
    times, closes, orders = columns[0], columns[4], ledger.orders
{end}


@kernel(makes_arrays=False)
def prepare(account, legs, lines):
    take_stock(account, legs, lines)


@kernel(makes_arrays=False)
def take_answer(account, quotes, legs, lines, s, target, stop, take_profit, trail):
    take_plan(account, quotes, legs, lines, s, target, stop, take_profit, trail)
"""

_ASKING = """
@kernel()
def run(
    accounts, sleeves, sessions, quotes, legs, marks, seen, tick_sizes, ticks, queue, waiting,
    lines, targets, exits, changes, columns, seen_bars, ledger, wake, base, first, last, decided{arguments}
):
    account = accounts[0]
    prepare(account, legs, lines)
    i = first
    while i < last:
        if not decided:
            why = begin(
                account, sleeves, sessions, quotes, legs, marks, seen, tick_sizes, ticks, waiting, lines,
                targets, exits, changes, columns, ledger, base, i
            )
            if why != {done}:
                return i, why
{steps}
            if wake.size > 0 and wake[i] != 0:
                return i, {awake}
        decided = False
        end(
            account, sleeves, sessions, quotes, legs, marks, seen, queue, waiting, lines, columns, seen_bars,
            ledger, i
        )
        i += 1
    return last, {done}
"""

_STEP = """            run_step(
                step_{k}, take_answer, params_{k}, states_{k}, blank_{k}, account, sleeves[{k}], quotes, legs,
                lines, sessions[{k}].last_equity, ledger.signals, columns, ticks, i,
            )"""


def loop_source(*, margin: MarginMode | None, watching: bool, counting: bool) -> str:
    """The whole loop, for strategies that have answered ahead of it or decide in Python."""
    begin = _begin("i, ", margin=margin, watching=watching, counting=counting)
    return _HEAD.format(title="the loop over the bars of an account.") + _RUN.format(
        begin=indent(begin, " " * 12),
        end=indent(_END, " " * 8),
        awake=AWAKE,
        done=DONE,
    )


def halves_source(*, margin: MarginMode | None, watching: bool) -> str:
    """What a bar is before its steps are asked (`begin`, which says why the loop must stop) and after."""
    begin = _begin("", margin=margin, watching=watching, counting=True)
    return _HEAD.format(title="the two halves of a bar of an account.") + _HALVES.format(
        begin=indent(begin, " " * 4), end=indent(_END, " " * 4), done=DONE
    )


def asking_source(asked: Sequence[int]) -> str:
    """The loop that asks the steps of the strategies with these numbers between the halves of each bar."""
    return _HEAD.format(title="the loop over the bars of an account, with steps.") + _ASKING.format(
        arguments="".join(f", params_{k}, states_{k}, blank_{k}" for k in asked),
        steps="\n".join(_STEP.format(k=k) for k in asked),
        awake=AWAKE,
        done=DONE,
    )


def _begin(leave: str, *, margin: MarginMode | None, watching: bool, counting: bool) -> str:
    """The first half of a bar; a return out of it says `leave` first."""
    exits = "" if margin is None else _MARGIN.format(exits=FUTURES_EXITS[margin])
    return _BEGIN.format(
        rows=ROWS_PER_LEG,
        leave=leave,
        full=FULL,
        dying=DYING,
        unwatched="" if watching else _UNWATCHED.format(leave=leave, watched=WATCHED),
        watch=_WATCH.format(margin=exits) if watching else "",
        count=_COUNT if counting else "",
    )

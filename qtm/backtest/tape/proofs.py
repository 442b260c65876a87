"""Prove that an order strategy cannot see the future and that its runs are one and the same.

It runs on three made-up markets (bars, trades alone, trades with the best bid and ask), again with the tape
cut off after every event, and again with an absurd future; every fill, every ended order and all equity up to
the cut must stay as they were.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from qtm.backtest.look_ahead import PROOF_CASH, PROOF_INSTRUMENT, Finding, Proof, proof_market
from qtm.backtest.tape.engine import run_orders_backtest
from qtm.backtest.tape.events import (
    BEST_ASK,
    BEST_BID,
    BUY_TRADE,
    NO_DEPTH,
    SELL_TRADE,
    TAPE_EVENT,
    TOP_OF_BOOK,
    Tape,
    make_tape,
    tape_of_bars,
)
from qtm.backtest.tape.result import OrdersResult
from qtm.backtest.tape.rules import Latency
from qtm.market.bars import BarSeries
from qtm.market.intervals import Interval
from qtm.strategies.order_contract import OrderStrategy
from qtm.trading.costs import UM_COSTS

_TRADES, _BARS = 600, 300
_POISONED_CUTS, _STOPS = 60, 8
_PLAIN = 120
_LATENCY = Latency((1_000_000, 20_000_000), (5_000_000, 150_000_000), seed=3)

Check = Callable[[OrderStrategy, Any, Tape, OrdersResult], str]
"""A proof on one market: what differs, or nothing."""


def check_order_strategy(strategy: OrderStrategy, params: Mapping[str, Any] | None = None) -> Proof:
    """Run every proof on every made-up market the strategy can run on.

    Raises
    ------
    StrategyError
        When the parameters are out of range or the step does not compile or fails.
    """
    values = strategy.params(params)
    tapes = {name: tape for name, tape in _markets().items() if _fits(strategy, tape)}
    wholes = {name: _run(strategy, values, tape) for name, tape in tapes.items()}

    def finding(name: str, check: Check, words: str) -> Finding:
        wrong = {on: check(strategy, values, tapes[on], wholes[on]) for on in tapes}
        told = "; ".join(f"on {on} {what}" for on, what in wrong.items() if what)
        return Finding(name, not told, told or words)

    return Proof(
        (
            _trades_at_all(wholes),
            finding("two runs are equal", _repeatable, "bit for bit"),
            finding("blind to events cut off", _truncated, f"equal after every event, on {', '.join(tapes)}"),
            finding("blind to a poisoned future", _poisoned, f"equal at {_POISONED_CUTS} cuts a market"),
            finding(
                "plain Python equals compiled", _plain, f"the same fills and equity over {_PLAIN} events"
            ),
            finding("resumes from a snapshot", _resumed, f"equal at {_STOPS} stops a market"),
        )
    )


# --- made-up markets --------------------------------------------------------------------------------------
def _markets() -> dict[str, Tape]:
    return {"bars": _of_bars(), "trades": _of_trades(with_book=False), "a book": _of_trades(with_book=True)}


def _fits(strategy: OrderStrategy, tape: Tape) -> bool:
    return tape.depth != NO_DEPTH or not strategy.needs_depth


def _of_bars() -> Tape:
    hours = proof_market(_BARS, 1)
    times = hours.open_time_ms[0] + np.arange(_BARS, dtype=np.int64) * Interval.M1.ms
    prices = (hours.open, hours.high, hours.low, hours.close)
    bars = BarSeries(PROOF_INSTRUMENT.symbol, Interval.M1, times, *prices, hours.volume)
    return tape_of_bars(bars, PROOF_INSTRUMENT)


def _of_trades(*, with_book: bool) -> Tape:
    """Trades some of which share their time; with a book, each after the best prices it meets."""
    random = np.random.default_rng(2)
    middle = np.rint(proof_market(_TRADES, 2).close * 100.0).astype(np.int64)
    moments = 1_700_006_400_000 + np.cumsum(random.integers(0, 4_000, _TRADES))
    buys = random.random(_TRADES) < 0.5
    trades = np.zeros(_TRADES, TAPE_EVENT)
    trades["ts_ns"] = moments * 1_000_000
    trades["ticks"] = middle + np.where(buys, 1, -1)
    trades["lots"] = random.integers(1, 20_000, _TRADES)
    trades["kind"] = np.where(buys, BUY_TRADE, SELL_TRADE)
    if not with_book:
        return make_tape(PROOF_INSTRUMENT.symbol, trades, depth=NO_DEPTH, interval=Interval.M1)
    every = np.repeat(trades, 3)
    for offset, kind, away in ((0, BEST_BID, -1), (1, BEST_ASK, 1)):
        every["kind"][offset::3], every["ticks"][offset::3] = kind, middle + away
        every["lots"][offset::3] = random.integers(1, 40_000, _TRADES)
    return make_tape(PROOF_INSTRUMENT.symbol, every, depth=TOP_OF_BOOK, interval=Interval.M1)


# --- proofs ------------------------------------------------------------------------------------------------
def _run(strategy: OrderStrategy, values: Any, tape: Tape, **more: Any) -> OrdersResult:
    return run_orders_backtest(
        strategy, values, tape, PROOF_INSTRUMENT, cash=PROOF_CASH, costs=UM_COSTS, latency=_LATENCY, **more
    )


def _same_until(part: OrdersResult, whole: OrdersResult, until_ns: int) -> bool:
    """Fills, ended orders and equity bit for bit, up to a time."""
    for name, moment in (("fill_rows", "ts_ns"), ("end_rows", "end_ns")):
        mine, theirs = (getattr(run, name) for run in (part, whole))
        if not np.array_equal(mine[mine[moment] <= until_ns], theirs[theirs[moment] <= until_ns]):
            return False
    tape = whole.tape
    step_ns = tape.interval.ms * 1_000_000
    samples = min(len(part.equity), max(0, (until_ns - tape.start_ns) // step_ns))
    return np.array_equal(part.equity[:samples], whole.equity[:samples])


def _trades_at_all(wholes: Mapping[str, OrdersResult]) -> Finding:
    words = "; ".join(
        f"on {on} {run.requests} requests, {len(run.fills)} fills{_rejected(run)}"
        for on, run in wholes.items()
    )
    return Finding("trades", any(len(run.fills) for run in wholes.values()), words)


def _rejected(run: OrdersResult) -> str:
    """What the venue did not take, with its usual reason: `, 564 rejected (NOTIONAL)`."""
    reasons = run.orders.filter(run.orders["status"] == "REJECTED")["reason"]
    return f", {len(reasons)} rejected ({reasons.mode()[0]})" if len(reasons) else ""


def _repeatable(strategy: OrderStrategy, values: Any, tape: Tape, whole: OrdersResult) -> str:
    again = _run(strategy, values, tape)
    return "" if _same_until(again, whole, tape.end_ns) else "the orders or the equity differ"


def _cuts(tape: Tape) -> npt.NDArray[np.int64]:
    """Where a tape can be cut: events at one time stay together."""
    times = tape.events["ts_ns"]
    return np.flatnonzero(times[1:] > times[:-1]) + 1


def _head(tape: Tape, cut: int) -> Tape:
    """The first `cut` events, as if nothing had come after them."""
    bars = tape.bars[:cut] if tape.of_bars else None
    return make_tape(tape.symbol, tape.events[:cut], depth=tape.depth, interval=tape.interval, bars=bars)


def _truncated(strategy: OrderStrategy, values: Any, tape: Tape, whole: OrdersResult) -> str:
    """The tape ends after an event, after each in turn."""
    for cut in _cuts(tape).tolist():
        short = _head(tape, cut)
        if not _same_until(_run(strategy, values, short), whole, int(short.events["ts_ns"][-1])):
            return f"differs when the tape ends after event {cut}"
    return ""


def _poisoned(strategy: OrderStrategy, values: Any, tape: Tape, whole: OrdersResult) -> str:
    """The future replaced by absurd prices and sizes."""
    every = _cuts(tape)
    for cut in np.unique(every[np.linspace(0, len(every) - 1, _POISONED_CUTS).astype(int)]).tolist():
        events, bars = tape.events.copy(), tape.bars.copy()
        if tape.of_bars:
            for name, factor in (("open", 37), ("high", 91), ("close", 53), ("volume", 1_000)):
                bars[name][cut:] *= factor
        else:
            events["ticks"][cut:] *= 2
            events["lots"][cut:] *= 1_000
        spoiled = dataclasses.replace(tape, events=events, bars=bars)
        if not _same_until(_run(strategy, values, spoiled), whole, int(tape.events["ts_ns"][cut - 1])):
            return f"differs when events from {cut} on are spoiled"
    return ""


def _plain(strategy: OrderStrategy, values: Any, tape: Tape, whole: OrdersResult) -> str:
    cuts = _cuts(tape)
    start = _head(tape, int(cuts[min(_PLAIN, len(cuts) - 1)]))
    plain = _run(strategy, values, start, compiled=False)
    until_ns = int(start.events["ts_ns"][-1])
    return "" if _same_until(plain, whole, until_ns) else "the orders or the equity differ"


def _resumed(strategy: OrderStrategy, values: Any, tape: Tape, whole: OrdersResult) -> str:
    """Stopping between two bars of the grid and going on from the snapshot's bytes."""
    step_ns = tape.interval.ms * 1_000_000
    intervals = (tape.end_ns - tape.start_ns) // step_ns
    for stop in np.unique(np.linspace(1, intervals - 1, _STOPS).astype(int)).tolist():
        first, second = tape.split(tape.start_ns + stop * step_ns)
        if len(first) == 0 or len(second) == 0:
            continue
        head = _run(strategy, values, first)
        tail = _run(strategy, values, second, resume=head.snapshot)
        if not (
            np.array_equal(np.concatenate([head.fill_rows, tail.fill_rows]), whole.fill_rows)
            and np.array_equal(np.concatenate([head.end_rows, tail.end_rows]), whole.end_rows)
            and np.array_equal(np.concatenate([head.equity, tail.equity]), whole.equity)
        ):
            return f"differs after a stop at interval {stop}"
    return ""

"""An order strategy that does what a script in its state says, and tapes written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from qtm.backtest.tape.engine import run_orders_backtest
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
from qtm.backtest.tape.result import OrdersResult
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.strategies.order_contract import OrderStrategy, order_strategy
from qtm.trading.costs import FEE_IN_QUOTE, CostModel
from qtm.trading.desk import AMEND, BUY, CANCEL, GTC, LIMIT, PLACE, SELL, amend, cancel, place
from qtm.trading.margin import NO_MARGIN
from tests.backtest.scripted import instrument

START_NS = 1_704_067_200_000_000_000  # 2024-01-01T00:00Z
SECOND = 1_000_000_000
FREE = CostModel(0.0, 0.0, 0.0, FEE_IN_QUOTE)

LINE = np.dtype(
    [
        (name, "i8")
        for name in (
            "at_ns", "verb", "ref", "side", "kind", "lots", "ticks", "trigger_ticks", "time_in_force",
            "flags", "trail_ticks", "expire_ns", "group", "parent",
        )
    ],
    align=True,
)  # fmt: skip
LINES = 64


class Params(NamedTuple):
    unused: int = 0


def _obey(params: Any, state: Any, event: Any, account: Any, desk: Any) -> None:
    state.wakes += 1
    while state.next < state.length and state.script[state.next].at_ns <= event.ts_ns:
        line = state.script[state.next]
        state.next += 1
        if line.verb == PLACE:
            parent = 0
            if line.parent != 0:
                parent = state.handles[line.parent]
            state.handles[line.ref] = place(
                desk, line.side, line.kind, line.lots, line.ticks, line.trigger_ticks, line.time_in_force,
                line.flags, line.trail_ticks, line.expire_ns, line.group, parent,
            )  # fmt: skip
        elif line.verb == CANCEL:
            cancel(desk, state.handles[line.ref])
        else:
            amend(desk, state.handles[line.ref], line.lots, line.ticks)


_STATE = {
    "wakes": "i8", "next": "i8", "length": "i8", "handles": ("i8", (LINES + 1,)), "script": (LINE, (LINES,)),
}  # fmt: skip
_declared = order_strategy(
    name="obeys", summary="Obeys.", params=Params, bounds={}, state=_STATE, wakes=("trade", "quote", "bar"),
    period_ms=1000.0,
)(_obey)  # fmt: skip


class Obeys(OrderStrategy):
    """The strategy with a script in its first state."""

    script: tuple[Line, ...] = ()

    def new_state(self) -> Any:
        state = super().new_state()
        state["length"] = len(self.script)
        for at, line in enumerate(self.script):
            for field in fields(line):
                state["script"][0, at][field.name] = getattr(line, field.name)
        return state


@dataclass(frozen=True)
class Line:
    """One request at or after a time; `ref` names the order (1, 2, ...) in later lines."""

    at_ns: int
    ref: int
    side: int = BUY
    lots: int = 0
    ticks: int = 0
    kind: int = LIMIT
    trigger_ticks: int = 0
    time_in_force: int = GTC
    flags: int = 0
    trail_ticks: int = 0
    expire_ns: int = 0
    group: int = 0
    parent: int = 0
    verb: int = PLACE


def buy(at: float, ref: int, lots: int, ticks: int = 0, **rest: int) -> Line:
    return Line(ns(at), ref, BUY, lots, ticks, **rest)


def sell(at: float, ref: int, lots: int, ticks: int = 0, **rest: int) -> Line:
    return Line(ns(at), ref, SELL, lots, ticks, **rest)


def cancelled(at: float, ref: int) -> Line:
    return Line(ns(at), ref, verb=CANCEL)


def amended(at: float, ref: int, lots: int, ticks: int) -> Line:
    return Line(ns(at), ref, lots=lots, ticks=ticks, verb=AMEND)


def ns(seconds: float) -> int:
    return START_NS + round(seconds * SECOND)


def obeys(script: Sequence[Line]) -> Obeys:
    values = {field.name: getattr(_declared, field.name) for field in fields(_declared)}
    strategy = Obeys(**values)
    object.__setattr__(strategy, "script", tuple(script))
    return strategy


def events_of(rows: Sequence[tuple[Any, ...]]) -> np.ndarray:
    """Events from (seconds, "B"/"S", ticks, lots) trades and (seconds, "bid"/"ask", ticks, lots) levels."""
    kinds = {"B": BUY_TRADE, "S": SELL_TRADE, "bid": BID, "ask": ASK}
    events = np.zeros(len(rows), TAPE_EVENT)
    for at, (seconds, kind, ticks, lots) in enumerate(rows):
        events[at] = (ns(seconds), ticks, lots, kinds[kind])
    return events


def tape_of(rows: Sequence[tuple[Any, ...]], interval: Interval = Interval.M1) -> Tape:
    deep = any(row[1] in ("bid", "ask") for row in rows)
    return make_tape("BTCUSDT", events_of(rows), depth=FULL_DEPTH if deep else NO_DEPTH, interval=interval)


def run(
    rows: Sequence[tuple[Any, ...]] | Tape, script: Sequence[Line], *, cash: float = 10_000.0,
    costs: CostModel = FREE, market: Market = Market.UM, filters: dict[str, str] | None = None,
    **options: Any,
) -> OrdersResult:  # fmt: skip
    """Run a script; on USD-M without margin unless one is given."""
    tape = rows if isinstance(rows, Tape) else tape_of(rows)
    if market is Market.UM:
        options.setdefault("margin", NO_MARGIN)
    return run_orders_backtest(
        obeys(script),
        None,
        tape,
        instrument(market, **({"min_notional": "0.01"} | (filters or {}))),
        cash=cash,
        costs=costs,
        **options,
    )


def filled(result: OrdersResult) -> list[tuple[int, str, int, int]]:
    """(order, side, lots, ticks) of every fill."""
    return result.fills.select("order", "side", "lots", "ticks").rows()


def ended(result: OrdersResult) -> list[tuple[int, str, str]]:
    """(order, status, reason) of every ended order, by order."""
    return result.orders.sort("order").select("order", "status", "reason").rows()

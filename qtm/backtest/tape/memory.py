"""The memory of a run over a tape: the strategy's state, the desk and the book's levels, fresh or resumed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qtm.backtest.layout import check_layout
from qtm.backtest.tape.events import Tape
from qtm.backtest.tape.rules import NEVER_NS
from qtm.clock import iso_utc
from qtm.errors import DataError, StrategyError
from qtm.strategies.order_contract import OrderStrategy
from qtm.trading.desk_memory import DESK
from qtm.trading.exact import units_of

_NS = 1_000_000


@dataclass(frozen=True, slots=True)
class TapeSnapshot:
    """All memory of a run after its tape, as bytes; a run given it goes on as if it had never stopped.

    `layout` names how state and desk lie in their bytes.
    """

    strategy_version: str
    end_ns: int
    base_ticks: int
    state: bytes
    desk: bytes
    levels: bytes
    layout: str


def memory_of(
    strategy: OrderStrategy,
    tape: Tape,
    rules: npt.NDArray[np.void],
    cash: float,
    resume: TapeSnapshot | None,
) -> tuple[Any, Any, Any]:
    """State, desk and levels, fresh or from a snapshot."""
    desk, levels = fresh_desk(tape, rules, cash)
    if resume is None:
        return strategy.new_state(), desk, levels
    if resume.strategy_version != strategy.version:
        raise StrategyError(
            f"the snapshot is of version {resume.strategy_version}, the strategy is {strategy.version}",
            where=strategy.name,
            remedy="start afresh, or run the version that made the snapshot",
        )
    if tape.start_ns < resume.end_ns:
        raise DataError(
            "the tape begins before the snapshot ends",
            where=f"{tape.symbol} {iso_utc(tape.start_ns // _NS)}",
            remedy=f"give a tape from {iso_utc(resume.end_ns // _NS)} on",
        )
    state = strategy.new_state()
    levels[:] = 0
    check_layout(resume.layout, (state, np.empty(0, DESK)), strategy.name)
    _lay_over(levels, int(rules["base_ticks"][0]), np.frombuffer(resume.levels, np.int64), resume.base_ticks)
    desk = np.frombuffer(resume.desk, DESK).copy()
    desk["next_sample_ns"] = tape.start_ns + rules["sample_ns"] - 1
    return np.frombuffer(resume.state, state.dtype).copy(), desk, levels


def _lay_over(levels: Any, base: int, old: Any, old_base: int) -> None:
    """Copy the levels of a snapshot to where they belong in another span of ticks."""
    first, last = max(base, old_base), min(base + len(levels), old_base + len(old))
    if first < last:
        levels[first - base : last - base] = old[first - old_base : last - old_base]


def fresh_desk(tape: Tape, rules: npt.NDArray[np.void], cash: float) -> tuple[Any, Any]:
    """Desk and levels before the first event: an account with `cash`, the market as far as it is known."""
    desk = np.zeros(1, DESK)
    record = desk[0]
    record["tick_size"], record["step_size"] = rules["tick_size"][0], rules["step_size"][0]
    record["free"] = np.arange(len(record["free"]))
    record["next_expiry_ns"] = record["fire_above"] = NEVER_NS
    record["next_sample_ns"] = tape.start_ns + rules["sample_ns"][0] - 1
    period = int(rules["period_ns"][0])
    # A timer wakes nobody before there is a market to look at.
    known = tape.standing is not None or len(tape) == 0
    first = tape.start_ns if known else int(tape.events["ts_ns"][0]) + period
    record["next_timer_ns"] = NEVER_NS if period == 0 else -(-first // period) * period
    books = record["books"]
    books["cash"] = books["peak"] = books["day_start"] = books["last_worth"] = units_of(cash)
    books["day"] = -1
    levels = np.zeros(tape.price_range[1] - tape.price_range[0] + 1, np.int64)
    if tape.standing is not None:
        for name, value in tape.standing.values.items():
            record[name] = value
        _lay_over(levels, int(rules["base_ticks"][0]), tape.standing.levels, tape.standing.base_ticks)
    return desk, levels


def settled(desk: npt.NDArray[np.void]) -> bytes:
    """The desk's bytes without what belongs to one tape only."""
    copy = desk.copy()
    for name in ("cursor", "fills_told", "fill_rows", "end_rows", "sample_rows", "invested"):
        copy[name] = 0
    return bytes(copy.tobytes())

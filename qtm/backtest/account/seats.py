"""Strategies at the account's table: what each is given to decide with, and how it decides."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from qtm.backtest.account.allocator_sitting import AllocatorSitting
from qtm.backtest.account.debugged_sitting import DebuggedSitting
from qtm.backtest.account.ledger import AccountLedger
from qtm.backtest.account.memory import Memory
from qtm.backtest.account.panel import Panel
from qtm.backtest.account.python_sitting import PythonSitting
from qtm.errors import ConfigError, StrategyError
from qtm.risk.sized_targets import base_and_rule, sizing_in_words
from qtm.risk.sizing import UNSIZED, Sizer, SizingRule
from qtm.strategies.allocator_contract import AllocatorStrategy
from qtm.strategies.contract import StepStrategy
from qtm.strategies.python_contract import PythonStrategy
from qtm.trading.book import Sizing


@dataclass(frozen=True)
class Seat:
    """A strategy on the account.

    Attributes
    ----------
    strategy, params
        The strategy, and its parameters over the defaults (a mapping or its parameter tuple).
    share
        Part of the account's cash it starts with.
    symbols
        Names or keys of the instruments it trades; all of the panel's by default.
    sizing
        What a target means. By default a step's 1.0 is an equal part of its sleeve for each of its
        instruments, and a weight of an allocator or a Python strategy is one of the whole sleeve; a sizing
        rule scales that, per instrument.
    """

    strategy: Any
    params: Any = None
    share: float = 1.0
    symbols: tuple[str, ...] | None = None
    sizing: Sizing | Sizer | None = None

    @cached_property
    def values(self) -> Any:
        """The checked parameter tuple."""
        if isinstance(self.params, self.strategy.params_type):
            return self.params
        return self.strategy.params(dict(self.params or {}))

    def columns(self, panel: Panel) -> list[int]:
        """Which of the panel's instruments it trades, ascending."""
        if self.symbols is None:
            return list(range(len(panel.instruments)))
        found = []
        for name in self.symbols:
            hits = [n for n, one in enumerate(panel.instruments) if name in (one.key, panel.names[n])]
            if not hits:
                raise ConfigError(
                    f"{self.strategy.name} is to trade {name!r}, which is not on the account",
                    remedy=f"the account holds {', '.join(panel.names)}",
                )
            found += hits
        if not found:
            raise ConfigError(f"{self.strategy.name} has nothing to trade", remedy="name at least one symbol")
        return sorted(set(found))

    def sizing_on(self, panel: Panel) -> tuple[Sizing, SizingRule]:
        """What a target means on this panel, and the rule that scales it."""
        is_step = self.strategy.kind == "step"
        equal = Sizing(amount=1.0 / len(self.columns(panel)) if is_step else 1.0)
        return base_and_rule(equal if self.sizing is None else self.sizing, equal)

    def sizing_in_words(self, panel: Panel) -> dict[str, Any]:
        """The same for a lineage."""
        base, rule = self.sizing_on(panel)
        if rule.kind == UNSIZED or self.sizing is None:
            return sizing_in_words(base)
        return {"amount": base.amount, **sizing_in_words(self.sizing)}


class Sitting(Protocol):
    """A strategy during a run.

    A compiled one has `compiled` and the `arguments` its step needs in the loop, and nothing to decide here;
    `ahead` tells that it is asked ahead of the loop. The others decide in Python after the bars of `wake`.
    `notes` are (time, strategy, words) for the record.
    """

    compiled: StepStrategy | None
    ahead: bool
    arguments: tuple[Any, ...]
    wake: npt.NDArray[np.bool_]
    notes: list[tuple[int, str, str]]

    def start(self) -> None:
        """Before the first bar."""

    def hear(self, rows: npt.NDArray[np.void], i: int) -> None:
        """The orders that were finished since the last decision; `i` is the bar just closed."""

    def decide(self, i: int, ledger: AccountLedger) -> None:
        """Set targets after the close of bar `i`."""

    def remember(self) -> bytes:
        """Its memory, for a snapshot."""

    def recall(self, held: bytes) -> None:
        """Take over a memory."""


class StepSitting:
    """A step strategy in the compiled loop, with one state per instrument."""

    def __init__(self, seat: Seat, legs: int) -> None:
        self.compiled: StepStrategy | None = seat.strategy
        self.ahead = not seat.strategy.looks_at_account
        self.states = np.zeros(legs, seat.strategy.state_dtype)
        self.arguments: tuple[Any, ...] = (seat.values, self.states, seat.strategy.new_state())
        self.wake = np.zeros(0, bool)
        self.notes: list[tuple[int, str, str]] = []

    def start(self) -> None:
        """Nothing to prepare."""

    def hear(self, rows: npt.NDArray[np.void], i: int) -> None:
        """A step sees its account, not its orders."""

    def decide(self, i: int, ledger: AccountLedger) -> None:
        """It has decided inside the loop."""

    def remember(self) -> bytes:
        """The states' bytes."""
        return self.states.tobytes()

    def recall(self, held: bytes) -> None:
        """Take over the states."""
        self.states[...] = np.frombuffer(held, self.states.dtype)


def sit_down(seat: Seat, k: int, panel: Panel, memory: Memory, *, debug: bool) -> Sitting:
    """Seat number `k` for a run.

    Raises
    ------
    StrategyError
        For a kind of strategy that does not trade on bars.
    """
    strategy = seat.strategy
    if isinstance(strategy, AllocatorStrategy):
        return AllocatorSitting(strategy, seat.values, k, panel, memory)
    if isinstance(strategy, PythonStrategy):
        return PythonSitting(strategy, seat.values, k, panel, memory)
    if not isinstance(strategy, StepStrategy):
        raise StrategyError(
            f"{strategy.name!r} is of kind {strategy.kind}, which does not trade on an account of bars",
            remedy="give a step, an allocator or a Python strategy",
        )
    if debug:
        return DebuggedSitting(strategy, seat.values, k, panel, memory)
    return StepSitting(seat, int(memory.sleeves["last"][k] - memory.sleeves["first"][k]))

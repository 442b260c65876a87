"""Allocators on an account: weights for several symbols at every rebalance."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import numpy.typing as npt

from qtm.backtest.account.ledger import AccountLedger
from qtm.backtest.account.memory import Memory
from qtm.backtest.account.panel import Panel
from qtm.backtest.account.sitting_in_python import SittingInPython
from qtm.clock import iso_utc
from qtm.errors import StrategyError
from qtm.strategies.allocator_contract import AllocatorStrategy, Weights, Window, period_of
from qtm.strategies.blame import blamed_on

Floats = npt.NDArray[np.float64]


class AllocatorSitting(SittingInPython):
    """An allocator: wakes at its rebalances only."""

    def __init__(
        self, strategy: AllocatorStrategy, values: Any, k: int, panel: Panel, memory: Memory
    ) -> None:
        super().__init__(k, panel, memory)
        self.strategy, self.values = strategy, values
        self.window, self.every = strategy.window(values), strategy.every(values)
        self.drift = float(strategy.drift(values))
        self.past = np.empty((0, self.columns.size))
        self.bars, self.period = 0, -1
        if self.window < 1:
            raise StrategyError(f"a window of {self.window} returns is none", where=strategy.name)

    def start(self) -> None:
        """Work out at which closes a rebalance is due; that depends on nothing but the clock."""
        count = self.bars + np.arange(1, len(self.panel) + 1)
        closed = self.panel.open_time_ms + self.panel.interval.ms
        if isinstance(self.every, str):
            periods = period_of(self.every, closed)
            due = np.diff(periods, prepend=self.period) != 0
            if self.period < 0:
                due[0] = False  # the first close begins no period
            self.period = int(periods[-1])
        else:
            due = count % self.every == 0
        self.wake = due & (count > self.window) & (self.panel.open_time_ms >= self._from_ms)
        self.bars = int(count[-1])

    @property
    def _from_ms(self) -> int:
        return int(self.memory.account["trade_from_ms"][0])

    def decide(self, i: int, ledger: AccountLedger) -> None:
        """Ask for weights and want those that differ enough from what is held."""
        if not self.wake[i] or self.equity <= 0.0:
            return  # not due, or nothing left to allocate
        self.forget_relisted()
        closes = self._closes(i)
        with np.errstate(invalid="ignore", divide="ignore"):
            returns = closes[1:] / closes[:-1] - 1.0
        held = self.legs["qty"] * self.memory.marks[self.columns] / self.equity
        window = Window(self.names, self.closed_ms(i), returns, closes, held)
        during = f"the rebalance at {iso_utc(window.time_ms)}"
        with blamed_on(self.strategy.name, self.strategy.source, during):
            given = self.strategy.allocate(self.values, window)
            noted = given if isinstance(given, Weights) else Weights(given)
            answer = np.asarray(noted.values, dtype=np.float64)
        if answer.shape != held.shape or np.isinf(answer).any():
            raise StrategyError(
                f"{self.strategy.name!r} answered weights of shape {answer.shape} for {held.size} symbols"
                if answer.shape != held.shape
                else f"{self.strategy.name!r} answered an infinite weight",
                where=f"{self.strategy.source}, {during}",
                remedy="answer one finite weight per symbol; NaN keeps a holding",
            )
        if noted.note:
            self.notes.append((window.time_ms, self.strategy.name, noted.note))
        if len(ledger.signals):
            ledger.signals[i, self.first : self.last] = answer
        leave = (answer == 0.0) & (held != 0.0)
        traded = np.isfinite(answer) & ((np.abs(answer - held) > self.drift) | leave)
        self.legs["desired"][traded] = answer[traded]
        self.legs["achieved"][traded] = np.nan  # the same weight as last time is traded again
        near = np.isfinite(answer) & ~traded  # an order that led towards an earlier weight goes no further
        self.legs["desired"][near] = self.legs["achieved"][near] = answer[near]

    def _closes(self, i: int) -> Floats:
        """The closes of the last window, with those from before these bars when a snapshot brought them."""
        first = max(0, i - self.window)
        rows = np.array(self.panel.close[first : i + 1][:, self.columns])
        missing = self.window + 1 - len(rows)
        return np.concatenate((self.past[len(self.past) - missing :], rows)) if missing > 0 else rows

    def remember(self) -> bytes:
        """Bars and period counted, and the closes the next window may need."""
        kept = np.concatenate((self.past, self.panel.close[-(self.window + 1) :][:, self.columns]))
        return pickle.dumps((self.bars, self.period, kept[-(self.window + 1) :]))

    def recall(self, held: bytes) -> None:
        """Take them over."""
        self.bars, self.period, self.past = pickle.loads(held)

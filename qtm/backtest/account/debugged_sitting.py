"""Compiled strategies run as plain Python, for a debugger."""

from __future__ import annotations

from typing import Any

import numpy as np

from qtm.backtest.account.ledger import AccountLedger
from qtm.backtest.account.memory import Memory
from qtm.backtest.account.panel import Panel
from qtm.backtest.account.sitting_in_python import SittingInPython
from qtm.clock import iso_utc
from qtm.strategies.blame import blamed_on
from qtm.strategies.contract import StepStrategy
from qtm.trading.book import Account
from qtm.trading.plan import Plan, plan_of


class DebuggedSitting(SittingInPython):
    """A compiled strategy's step run as plain Python, bar by bar, where breakpoints work."""

    def __init__(self, strategy: StepStrategy, values: Any, k: int, panel: Panel, memory: Memory) -> None:
        super().__init__(k, panel, memory)
        self.strategy, self.values = strategy, values
        self.states = np.zeros(self.columns.size, strategy.state_dtype)

    def decide(self, i: int, ledger: AccountLedger) -> None:
        """As `qtm.backtest.account.stepping.run_step`."""
        records = self.states.view(np.recarray)
        for own, n in enumerate(self.columns):
            leg = self.legs[own]
            if np.isnan(self.panel.close[i, n]):
                continue
            if leg["relisted"]:
                self.states[own] = np.zeros(1, self.states.dtype)[0]
                leg["relisted"] = False
            bar = self._bar(i, n)
            account = Account(float(leg["qty"]), float(leg["entry_price"]), self.equity)
            with blamed_on(
                self.strategy.name, self.strategy.source, f"its step at {iso_utc(bar.open_time_ms)}"
            ):
                plan = plan_of(self.strategy.step(self.values, records[own], bar, account))
            if not self.may_trade(i):
                continue
            if len(ledger.signals):
                ledger.signals[i, self.first + own] = plan.target
            if not np.isnan(plan.target):
                leg["desired"] = plan.target
            if not (np.isnan(plan.stop) and np.isnan(plan.take_profit) and np.isnan(plan.trail)):
                self._protect(leg, Plan(*(float(value) for value in plan)))

    def remember(self) -> bytes:
        """The states' bytes."""
        return self.states.tobytes()

    def recall(self, held: bytes) -> None:
        """Take over the states."""
        self.states[...] = np.frombuffer(held, self.states.dtype)

"""Strategies that decide in Python, on an account: what the three kinds share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from qtm.backtest.account.memory import Memory, margin_of_quote
from qtm.backtest.account.panel import Panel
from qtm.backtest.intrabar import arm
from qtm.market.bars import Bar
from qtm.strategies.contract import StepStrategy
from qtm.trading.plan import Plan


class SittingInPython:
    """A strategy's legs, their names, and the account as it may see it."""

    compiled: StepStrategy | None = None
    ahead = False
    arguments: tuple[Any, ...] = ()

    def __init__(self, k: int, panel: Panel, memory: Memory) -> None:
        self.k, self.panel, self.memory = k, panel, memory
        self.first, self.last = int(memory.sleeves["first"][k]), int(memory.sleeves["last"][k])
        self.legs = memory.legs[self.first : self.last]
        self.columns = self.legs["instrument"].copy()
        self.names = tuple(panel.names[n] for n in self.columns)
        self.wake = np.ones(len(panel), dtype=bool)
        self.notes: list[tuple[int, str, str]] = []

    def start(self) -> None:
        """Nothing to prepare."""

    def hear(self, rows: npt.NDArray[np.void], i: int) -> None:
        """Nothing to hear."""

    @property
    def equity(self) -> float:
        """The sleeve's equity at the last close."""
        return float(self.memory.sessions["last_equity"][self.k])

    def closed_ms(self, i: int) -> int:
        """When bar `i` closed."""
        return int(self.panel.open_time_ms[i]) + self.panel.interval.ms

    def may_trade(self, i: int) -> bool:
        """False while bars only warm the strategies up."""
        return int(self.panel.open_time_ms[i]) >= int(self.memory.account["trade_from_ms"][0])

    def forget_relisted(self) -> None:
        """A symbol that came back is another coin; there is nothing of the old one to keep."""
        self.legs["relisted"] = False

    def _bar(self, i: int, n: int) -> Bar:
        """Bar `i` of an instrument."""
        panel = self.panel
        return Bar(
            int(panel.open_time_ms[i]),
            float(panel.open[i, n]),
            float(panel.high[i, n]),
            float(panel.low[i, n]),
            float(panel.close[i, n]),
            float(panel.volume[i, n]),
            float(self.memory.ticks[n]),
        )

    def _protect(self, leg: np.void, plan: Plan) -> None:
        """Take over a plan's exits for the position on a leg."""
        arm(leg, leg, plan, margin_terms(self.memory, int(leg["instrument"])))
        self.memory.account["watched"] |= bool(leg["armed"])


def margin_terms(memory: Memory, n: int) -> Any:
    """Leverage and brackets of an instrument."""
    return margin_of_quote(memory.quotes.view(np.recarray)[n])

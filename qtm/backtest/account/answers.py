"""What steps that do not look at the account answer, asked a window of bars ahead of the loop.

While the loop runs one window of bars, a thread asks the steps about the next. Machine code runs without the
interpreter's lock, and the two share nothing that either writes: a step's state and what `lines` keep of its
answers are the asking thread's, and the answers change hands when both are done.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from qtm.backtest.account.calling import call_kernel
from qtm.backtest.account.memory import Memory, Records
from qtm.backtest.account.panel import Panel
from qtm.backtest.account.seats import Sitting
from qtm.backtest.account.stepping import answering_kernel

_MOST_ANSWERS, _MOST_BARS = 32_768, 2_048
"""Most answers (bars x legs) that steps give at once, and most bars they answer to."""

TARGET = np.dtype([("leg", "i8"), ("target", "f8")], align=True)
"""Another target than the last one that a step has answered for a leg."""

EXITS = np.dtype([("leg", "i8"), ("stop", "f8"), ("take_profit", "f8"), ("trail", "f8")], align=True)
"""Protective exits a step has answered for a leg."""


class Answers(NamedTuple):
    """The answers to a window of R bars on S legs, as far as they change something.

    Those to a bar stand at the front of its row of `targets` and `exits` (R, S), in the order of the legs;
    `changes` (R, 2) counts them. The loop clears the counts of what it has taken over.
    """

    targets: Records
    exits: Records
    changes: npt.NDArray[np.int64]


class StepsAhead:
    """The steps that do not look at the account, and room for two windows of their answers."""

    def __init__(
        self,
        sitting: Sequence[Sitting],
        panel: Panel,
        memory: Memory,
        columns: tuple[npt.NDArray[Any], ...],
        signals: npt.NDArray[np.float64],
    ) -> None:
        self.memory, self.columns, self.signals = memory, columns, signals
        self.asked = [
            (k, one, answering_kernel(one.compiled).answer)
            for k, one in enumerate(sitting)
            if one.ahead and one.compiled is not None
        ]
        mapped = panel.mapped() if self.asked else {}
        self.mapped = [mapped[name] for name in ("open", "close") if name in mapped]
        self.bars, legs = len(panel), memory.lines.size
        self.at_once = max(1, min(self.bars, _MOST_BARS, _MOST_ANSWERS // legs))
        self.ticks = np.empty((self.at_once if self.asked else 0, memory.marks.size))
        self.room = [room_for(self.at_once, legs) for _ in range(2 if self.asked else 1)]
        memory.lines["answered"] = memory.legs["desired"]

    def windows(self) -> Generator[tuple[int, int, Answers]]:
        """First and last (exclusive) bar of each window, in order, with the answers to it.

        Each has to be gone through before the next is asked for.

        Raises
        ------
        StrategyError
            When a step does not compile, or fails.
        """
        starts = range(0, self.bars, self.at_once)
        if not self.asked:
            for first in starts:
                yield first, min(first + self.at_once, self.bars), self.room[0]
            return
        given = self._ask(0)
        with ThreadPoolExecutor(1, "steps") as thread:
            for first in starts:
                following = first + self.at_once
                coming = thread.submit(self._ask, following) if following < self.bars else None
                yield first, min(following, self.bars), given
                if coming is not None:
                    given = coming.result()

    def _ask(self, first: int) -> Answers:
        """The answers to the window that begins at bar `first`."""
        last, m = min(first + self.at_once, self.bars), self.memory
        answers = self.room[first // self.at_once % 2]
        for table in self.mapped:
            table.bring(first, last)
        for order, (k, one, answer) in enumerate(self.asked):
            call_kernel(
                [one], answer, *one.arguments, m.account[0], m.sleeves[k], m.lines, *answers, self.ticks,
                order == 0, self.signals, m.tick_sizes, self.columns, first, last,
            )  # fmt: skip
        return answers


def room_for(bars: int, legs: int) -> Answers:
    """Room for the answers to so many bars."""
    return Answers(
        np.zeros((bars, legs), TARGET), np.zeros((bars, legs), EXITS), np.zeros((bars, 2), np.int64)
    )

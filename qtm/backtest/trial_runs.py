"""One strategy run many times under the same conditions, on all cores.

Machine code runs in threads, outside the interpreter lock, over one set of columns. A strategy that decides
in Python runs in processes that all map one copy of the columns (`qtm.backtest.trial_worker`); they start
only when what is left to do is worth their start. The outcomes are the same either way.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from qtm.backtest.conditions.contract import Conditions, Result, is_compiled
from qtm.backtest.registry import Trial, returns_to_ruin, trial_of
from qtm.backtest.trial_worker import Workers, reference_to
from qtm.strategies.registry import Strategy

_WORTH_PROCESSES_S = 6.0
"""Seconds of work left from which processes repay their start."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is kept of a run: net daily returns, shape (D,), and the trial it was.

    `nbytes` is what the run's own arrays took while it was there.
    """

    returns: npt.NDArray[np.float64]
    trial: Trial
    nbytes: int


def outcome_of(result: Result) -> Outcome:
    """What is kept of a finished run."""
    trial = trial_of(result)
    nbytes = sum(int(value.nbytes) for value in vars(result).values() if isinstance(value, np.ndarray))
    return Outcome(returns_to_ruin(result), trial, nbytes)


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class TrialRuns:
    """A strategy under conditions, ready to run any parameters; a context manager that ends its processes.

    `workers` may be lowered between calls of `run`, as a memory budget asks.
    """

    def __init__(self, strategy: Strategy, conditions: Conditions, *, workers: int | None = None) -> None:
        self.strategy, self.conditions = strategy, conditions
        self.workers = workers or cores()
        self._processes: Workers | None = None
        self._seconds: float | None = None

    def run(self, chosen: Sequence[Any]) -> Iterator[tuple[int, Outcome]]:
        """Run parameter tuples; yields their positions and outcomes as they finish.

        Raises
        ------
        StrategyError, DataError, ConfigError
            As the engine; runs under way are abandoned.
        """
        waiting = list(enumerate(chosen))
        if self._seconds is None and waiting:  # compiled once, before threads would all do it, and timed
            yield self._timed(*waiting.pop(0))
            if waiting:
                yield self._timed(*waiting.pop(0))
        if is_compiled(self.strategy):
            yield from self._side_by_side(waiting, self.run_one)
        elif self._is_worth_processes(len(waiting)):
            yield from self._side_by_side(waiting, self._in_a_process)
        else:
            for at, params in waiting:
                yield at, self.run_one(params)

    def run_one(self, params: Any) -> Outcome:
        """Run one parameter tuple here and now."""
        return outcome_of(self.conditions.run(self.strategy, params))

    def close(self) -> None:
        """End the processes, if any were started."""
        if self._processes is not None:
            self._processes.close()
            self._processes = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _timed(self, at: int, params: Any) -> tuple[int, Outcome]:
        begun = time.perf_counter()
        outcome = self.run_one(params)
        self._seconds = time.perf_counter() - begun
        return at, outcome

    def _side_by_side(
        self, waiting: Sequence[tuple[int, Any]], run: Callable[[Any], Outcome]
    ) -> Iterator[tuple[int, Outcome]]:
        with ThreadPoolExecutor(self.workers) as pool:
            running: dict[Future[Outcome], int] = {pool.submit(run, params): at for at, params in waiting}
            try:
                for future in as_completed(running):
                    yield running.pop(future), future.result()
            finally:
                for future in running:
                    future.cancel()

    def _is_worth_processes(self, left: int) -> bool:
        if self.workers < 2 or left < 2:
            return False
        if self._processes is None and left * (self._seconds or 0.0) > _WORTH_PROCESSES_S:
            reference = reference_to(self.strategy)
            if reference is not None:
                self._processes = Workers(reference, self.strategy.version, self.conditions, self.workers)
        return self._processes is not None

    def _in_a_process(self, params: Any) -> Outcome:
        assert self._processes is not None
        outcome: Outcome = self._processes.ask(dict(params._asdict()))
        return outcome

"""Grid, random and Bayesian search behind one interface.

A search proposes batches of combinations and is told what each scored. What it proposes depends only on the
space, the seed and what it was told, never on time, threads or luck: a search that is told the same again
after a crash goes on as it would have gone.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Protocol

from qtm.backtest.search.space import Space
from qtm.errors import ConfigError

BATCH = 16
"""Combinations a Bayesian search proposes before it wants to hear; the same on every machine."""
OBJECTIVES = (
    "sharpe", "sortino", "calmar", "total_return", "annual_return", "final_equity", "profit_factor",
    "win_rate",
)  # fmt: skip
"""Figures of which more is better."""
_FRUITLESS = 20
"""Batches without anything new after which a Bayesian search has seen what it wants to see."""


class Method(StrEnum):
    """How combinations are chosen."""

    GRID = "grid"
    RANDOM = "random"
    BAYES = "bayes"


class Search(Protocol):
    """Proposes combinations by number."""

    total: int
    """How many distinct combinations it will propose at most."""

    def propose(self) -> Sequence[int]:
        """The next batch, without repetition of earlier ones; empty when the search is over."""
        ...

    def tell(self, numbers: Sequence[int], scores: Sequence[float | None]) -> None:
        """What the last batch scored, larger is better; None for a combination without a score."""
        ...


class _Listed:
    """A search that knows all its combinations from the start."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.total = len(numbers)
        self._waiting = numbers

    def propose(self) -> Sequence[int]:
        batch, self._waiting = self._waiting, ()
        return batch

    def tell(self, numbers: Sequence[int], scores: Sequence[float | None]) -> None:
        """Nothing depends on a score."""


class _Bayesian:
    """Optuna's tree-structured Parzen estimator (Bergstra et al., NIPS 2011) over the places on each axis."""

    def __init__(self, space: Space, trials: int, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.total = min(trials, space.size)
        self._space, self._seed, self._batches = space, seed, 0
        self._scores: dict[int, float | None] = {}
        self._asked: list[tuple[int, Any]] = []
        self._optuna = optuna
        self._study = optuna.create_study(direction="maximize")
        self._axes = {
            name: optuna.distributions.IntDistribution(0, len(values) - 1)
            for name, values in space.axes.items()
        }

    def propose(self) -> Sequence[int]:
        for _ in range(_FRUITLESS):
            room = self.total - len(self._scores)
            if room == 0:
                break
            # A sampler for each batch: its draws depend on the batch's number, not on a process now gone.
            self._study.sampler = self._optuna.samplers.TPESampler(
                seed=self._seed + self._batches, constant_liar=True, multivariate=True
            )
            self._batches += 1
            for _ in range(min(BATCH, room)):
                asked = self._study.ask(self._axes)
                self._asked.append((self._space.number(list(asked.params.values())), asked))
            new = list(dict.fromkeys(number for number, _ in self._asked if number not in self._scores))
            if new:
                return new
            self._answer()
        return ()

    def tell(self, numbers: Sequence[int], scores: Sequence[float | None]) -> None:
        self._scores.update(zip(numbers, scores, strict=True))
        self._answer()

    def _answer(self) -> None:
        """Pass the scores on, also to repetitions of what was run before."""
        for number, asked in self._asked:
            score = self._scores[number]
            if score is None:
                self._study.tell(asked, state=self._optuna.trial.TrialState.FAIL)
            else:
                self._study.tell(asked, score)
        self._asked.clear()


def search(space: Space, method: Method, trials: int | None = None, seed: int = 0) -> Search:
    """A search over `space`.

    Parameters
    ----------
    trials
        Combinations to run; needed by random and Bayesian search, all of them with a grid.
    seed
        Decides every draw of random and Bayesian search.

    Raises
    ------
    ConfigError
        For a number of trials that does not fit the method.
    """
    if method is Method.GRID:
        if trials is not None and trials < space.size:
            raise ConfigError(
                f"the grid has {space.size:,} combinations and {trials:,} trials were asked for",
                remedy="leave --trials out, or choose --method random or bayes",
            )
        return _Listed(range(space.size))
    if trials is None or trials < 1:
        raise ConfigError(f"{method} search needs a number of trials", remedy="give --trials, such as 200")
    if method is Method.RANDOM:
        return _Listed(random.Random(seed).sample(range(space.size), min(trials, space.size)))
    return _Bayesian(space, trials, seed)

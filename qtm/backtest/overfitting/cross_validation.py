"""Splits of time into train and test that do not leak: purged, embargoed, combinatorial, walk-forward.

A row's label may look ahead: the return over the next h bars, say. A training row is purged when the span of
its label overlaps that of a test row, and embargoed when it follows a test block too closely for its features
to be free of it. Source: Lopez de Prado, "Advances in financial machine learning" (2018), chapters 7 and 12.

Everything here is row numbers: indices into whatever frame or array the caller has, in time order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from qtm.errors import RiskError

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Split:
    """Row numbers to learn from and to be judged on; `test` may hold several separate blocks."""

    train: Rows
    test: Rows


@dataclass(frozen=True)
class PurgedFolds:
    """T rows cut into K folds of (nearly) equal length, with what must be kept out of training.

    Attributes
    ----------
    rows, folds
        T and K; the first T mod K folds are one row longer.
    label_ends
        Shape (T,): the last row that row i's label looks at (at least i).
    embargo
        Rows kept out after the last row a test block's labels look at.
    """

    rows: int
    folds: int
    label_ends: Rows
    embargo: int

    @classmethod
    def of(
        cls, rows: int, folds: int, *, horizon: int = 0, embargo: int = 0, label_ends: Rows | None = None
    ) -> PurgedFolds:
        """Cut `rows` into `folds`; labels look `horizon` rows ahead unless `label_ends` says where each ends.

        Raises
        ------
        RiskError
            For fewer than two folds or rows per fold, a negative horizon or embargo, or labels that end
            before they begin.
        """
        if folds < 2 or rows < 2 * folds:
            raise RiskError(
                "there must be at least two folds of two rows", where=f"{rows} rows, {folds} folds"
            )
        if horizon < 0 or embargo < 0:
            raise RiskError("horizon and embargo count rows", where=f"horizon={horizon}, embargo={embargo}")
        starts = np.arange(rows, dtype=np.int64)
        ends = np.minimum(starts + horizon, rows - 1) if label_ends is None else np.asarray(label_ends)
        if ends.shape != (rows,) or (ends < starts).any():
            raise RiskError("each row's label must end at or after its row", where=f"shape {ends.shape}")
        return cls(rows, folds, ends.astype(np.int64), embargo)

    @property
    def edges(self) -> Rows:
        """First row of each fold and T, shape (K + 1,)."""
        lengths = np.full(self.folds, self.rows // self.folds)
        lengths[: self.rows % self.folds] += 1
        return np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)

    def split(self, test_folds: tuple[int, ...]) -> Split:
        """Test on the named folds, train on what of the others may be learnt from."""
        edges = self.edges
        kept = np.ones(self.rows, dtype=bool)
        tested = np.zeros(self.rows, dtype=bool)
        for first, last in _runs(test_folds):
            start, stop = int(edges[first]), int(edges[last + 1])
            tested[start:stop] = True
            reach = int(self.label_ends[start:stop].max()) + self.embargo
            kept[start : reach + 1] = False
            kept[:start] &= self.label_ends[:start] < start
        return Split(np.flatnonzero(kept & ~tested), np.flatnonzero(tested))

    def k_fold(self) -> Iterator[Split]:
        """Each fold once as the test."""
        return (self.split((fold,)) for fold in range(self.folds))


@dataclass(frozen=True)
class CombinatorialSplits:
    """Every choice of `test_folds` of the folds as the test (CPCV).

    Attributes
    ----------
    choices
        The tested folds of each of the C(K, k) splits.
    path_of
        Shape (C(K, k), K): to which of the k/K C(K, k) out-of-sample paths the test of split s on fold f
        belongs, -1 where f is not tested. Each path tests every fold exactly once.
    """

    base: PurgedFolds
    choices: tuple[tuple[int, ...], ...]
    path_of: Rows

    @property
    def paths(self) -> int:
        """Number of out-of-sample paths through all of time."""
        return int(self.path_of.max()) + 1

    def __len__(self) -> int:
        return len(self.choices)

    def __iter__(self) -> Iterator[Split]:
        return (self.base.split(choice) for choice in self.choices)

    def stitched(self, tests: list[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
        """Join out-of-sample values into paths, shape (paths, T).

        `tests[s]` holds one value per test row of split s, in the order of its `test`.
        """
        if len(tests) != len(self.choices):
            raise RiskError("one series per split is needed", where=f"{len(tests)} of {len(self.choices)}")
        edges = self.base.edges
        joined = np.full((self.paths, self.base.rows), np.nan)
        for number, (choice, values) in enumerate(zip(self.choices, tests, strict=True)):
            taken = 0
            for fold in choice:
                length = int(edges[fold + 1] - edges[fold])
                path = self.path_of[number, fold]
                joined[path, edges[fold] : edges[fold + 1]] = values[taken : taken + length]
                taken += length
            if taken != values.shape[0]:
                raise RiskError("a series must cover its split's test rows", where=f"split {number}")
        return joined


def combinatorial_splits(base: PurgedFolds, test_folds: int = 2) -> CombinatorialSplits:
    """All C(K, k) purged splits of `base` that test k folds, and the paths they make.

    Raises
    ------
    RiskError
        Unless 1 <= k < K.
    """
    if not 1 <= test_folds < base.folds:
        raise RiskError("test folds must be fewer than folds", where=f"{test_folds} of {base.folds}")
    choices = tuple(combinations(range(base.folds), test_folds))
    path_of = np.full((len(choices), base.folds), -1, dtype=np.int64)
    used = np.zeros(base.folds, dtype=np.int64)
    for number, choice in enumerate(choices):
        for fold in choice:
            path_of[number, fold] = used[fold]
            used[fold] += 1
    return CombinatorialSplits(base, choices, path_of)


@dataclass(frozen=True, slots=True)
class Window:
    """Half-open row ranges: learn on [train_start, train_stop), be judged on [test_start, test_stop)."""

    train_start: int
    train_stop: int
    test_start: int
    test_stop: int


def walk_forward_windows(
    rows: int, *, train: int, test: int, anchored: bool = False, gap: int = 0
) -> list[Window]:
    """Windows that move forward by their test length, so that the tests join without overlap.

    Parameters
    ----------
    rows
        T.
    train, test
        Rows to learn from (at least, when anchored) and to be judged on; the last test may be shorter.
    anchored
        Learn from the very first row on instead of from the last `train` rows.
    gap
        Rows left out between train and test (the label's horizon).

    Raises
    ------
    RiskError
        If a length is not positive or there is no room for one window.
    """
    if train < 1 or test < 1 or gap < 0:
        raise RiskError(
            "train and test must be at least one row", where=f"train={train}, test={test}, gap={gap}"
        )
    first = train + gap
    if first >= rows:
        raise RiskError(
            f"{rows} rows leave nothing to test after {train} to train on and a gap of {gap}",
            remedy="shorten the training window or take more history",
        )
    return [
        Window(0 if anchored else start - first, start - gap, start, min(start + test, rows))
        for start in range(first, rows, test)
    ]


def _runs(numbers: tuple[int, ...]) -> list[tuple[int, int]]:
    """Consecutive runs as (first, last): (0, 1, 3) -> [(0, 1), (3, 3)]."""
    ordered = sorted(set(numbers))
    runs: list[tuple[int, int]] = []
    for number in ordered:
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs

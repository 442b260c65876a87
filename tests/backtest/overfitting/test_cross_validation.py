"""Splits against published fixtures, and the property that nothing leaks."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtm.backtest.overfitting.cross_validation import (
    PurgedFolds,
    combinatorial_splits,
    walk_forward_windows,
)
from qtm.errors import RiskError


def trains(horizon, embargo):
    base = PurgedFolds.of(12, 3, horizon=horizon, embargo=embargo)
    return [split.train.tolist() for split in combinatorial_splits(base, 2)]


def test_published_purge_fixture():
    assert trains(1, 0) == [[9, 10, 11], [5, 6], [0, 1, 2]]


def test_published_embargo_fixture():
    assert trains(0, 1) == [[9, 10, 11], [5, 6, 7], [0, 1, 2, 3]]


@pytest.mark.parametrize(
    ("folds", "tested", "splits", "paths"), [(6, 2, 15, 5), (10, 2, 45, 9), (10, 3, 120, 36)]
)
def test_number_of_splits_and_paths(folds, tested, splits, paths):
    found = combinatorial_splits(PurgedFolds.of(100, folds), tested)
    assert (len(found), found.paths) == (splits, paths)


@given(
    rows=st.integers(20, 90),
    folds=st.integers(2, 8),
    embargo=st.integers(0, 5),
    data=st.data(),
)
def test_no_training_label_overlaps_a_test_label(rows, folds, embargo, data):
    spans = data.draw(st.lists(st.integers(0, 6), min_size=rows, max_size=rows))
    ends = np.minimum(np.arange(rows) + spans, rows - 1)
    base = PurgedFolds.of(rows, folds, label_ends=ends, embargo=embargo)
    tested = data.draw(st.integers(1, folds - 1))
    for split in combinatorial_splits(base, tested):
        assert not set(split.train) & set(split.test)
        for row in split.train:
            assert not ((split.test <= ends[row]) & (ends[split.test] >= row)).any()
            assert (ends[split.test[split.test < row]] + embargo < row).all()


def test_every_path_tests_every_row_once():
    found = combinatorial_splits(PurgedFolds.of(31, 5, horizon=2), 2)
    joined = found.stitched([split.test.astype(float) for split in found])
    assert joined.shape == (4, 31)
    np.testing.assert_array_equal(joined, np.tile(np.arange(31.0), (4, 1)))


def test_k_fold_tests_each_row_once():
    tests = np.concatenate([split.test for split in PurgedFolds.of(23, 4, horizon=3).k_fold()])
    assert tests.tolist() == list(range(23))


def test_rolling_windows_keep_their_length_and_anchored_ones_grow():
    rolling = walk_forward_windows(100, train=40, test=25, gap=2)
    assert [(w.train_start, w.train_stop, w.test_start, w.test_stop) for w in rolling] == [
        (0, 40, 42, 67),
        (25, 65, 67, 92),
        (50, 90, 92, 100),
    ]
    anchored = walk_forward_windows(100, train=40, test=25, gap=2, anchored=True)
    assert [(w.train_start, w.train_stop) for w in anchored] == [(0, 40), (0, 65), (0, 90)]


@given(st.integers(3, 300), st.integers(1, 100), st.integers(1, 50), st.integers(0, 5), st.booleans())
def test_walk_forward_tests_join_and_never_see_their_own_future(rows, train, test, gap, anchored):
    if train + gap >= rows:
        with pytest.raises(RiskError, match="nothing to test"):
            walk_forward_windows(rows, train=train, test=test, gap=gap, anchored=anchored)
        return
    windows = walk_forward_windows(rows, train=train, test=test, gap=gap, anchored=anchored)
    assert windows[0].test_start == train + gap and windows[-1].test_stop == rows
    for one, following in pairwise(windows):
        assert one.test_stop == following.test_start
    for window in windows:
        assert window.train_stop + gap == window.test_start
        assert window.train_stop - window.train_start >= train


@pytest.mark.parametrize(
    "bad",
    [
        lambda: PurgedFolds.of(10, 1),
        lambda: PurgedFolds.of(5, 3),
        lambda: PurgedFolds.of(10, 2, horizon=-1),
        lambda: PurgedFolds.of(10, 2, label_ends=np.zeros(10, int)),
        lambda: combinatorial_splits(PurgedFolds.of(10, 3), 3),
        lambda: walk_forward_windows(10, train=0, test=1),
        lambda: combinatorial_splits(PurgedFolds.of(10, 3), 1).stitched([np.zeros(4)]),
        lambda: combinatorial_splits(PurgedFolds.of(10, 3), 1).stitched([np.zeros(9)] * 3),
    ],
)
def test_impossible_splits_are_refused(bad):
    with pytest.raises(RiskError):
        bad()

"""Plateaus are told from needles."""

from __future__ import annotations

import itertools

import polars as pl

from qtm.backtest.search.robust import surface, surfaces

AXES = {"fast": [float(f) for f in range(8)], "slow": [float(s) for s in range(8)], "below": [0.0, -1.0]}


def table(sharpe) -> pl.DataFrame:  # type: ignore[no-untyped-def]
    rows = [
        {"fast": f, "slow": s, "below": b, "sharpe": sharpe(f, s), "total_return": 0.1 * sharpe(f, s)}
        for f, s, b in itertools.product(*AXES.values())
    ]
    return pl.DataFrame(rows)


def test_a_plateau_is_robust_and_its_middle_is_found() -> None:
    found = surface(table(lambda f, s: 2.0 if 2 <= f <= 5 and 3 <= s <= 6 else -0.5), AXES, "fast", "slow")
    assert found.robust[3:5, 4:6].all() and not found.robust[:2].any() and not found.robust[2, 3]
    assert found.centre is not None and 3 <= found.centre[0] <= 4 and 4 <= found.centre[1] <= 5


def test_a_needle_is_not_robust_however_high() -> None:
    found = surface(table(lambda f, s: 5.0 if (f, s) == (4, 4) else -0.1), AXES, "fast", "slow")
    assert not found.robust.any() and found.centre is None


def test_every_pair_of_parameters_that_moved_has_its_map_and_holes_stay_holes() -> None:
    some = table(lambda f, s: f - s).filter(pl.col("fast") != 3.0)
    pairs = surfaces(some, {**AXES, "still": [1.0]})
    assert [(one.rows, one.columns) for one in pairs] == [
        ("fast", "slow"), ("fast", "below"), ("slow", "below"),
    ]  # fmt: skip
    assert pairs[0].sharpe.shape == (8, 8)
    import numpy as np

    assert np.isnan(pairs[0].sharpe[3]).all() and np.isfinite(np.delete(pairs[0].sharpe, 3, 0)).all()

"""Factors and solves by numpy alone."""

import numpy as np
import pytest

from qtm.portfolio.fast.cholesky import BLOCK, Cholesky


@pytest.mark.parametrize("size", [1, 2, BLOCK, BLOCK + 1, 3 * BLOCK + 5])
def test_solves_what_it_factorised_also_where_scales_differ_by_far(size):
    rng = np.random.default_rng(size)
    root = rng.standard_normal((size, 2 * size)) * np.exp(rng.uniform(-8, 8, size))[:, None]
    matrix, right = root @ root.T, rng.standard_normal((size, 2))
    solve = Cholesky(matrix).solve
    scale = 1.0 / np.sqrt(matrix.diagonal())
    for solution, wanted in ((solve(right), right), (solve(right[:, 0]), right[:, 0])):
        missed = matrix @ solution - wanted
        assert np.abs(missed.T * scale).max() <= 1e-9 * np.abs(wanted.T * scale).max()


def test_only_the_lower_triangle_is_read_and_what_is_not_definite_is_refused():
    matrix = np.array([[4.0, np.nan], [2.0, 3.0]])
    assert Cholesky(np.tril(matrix)).solve(np.array([8.0, 7.0])) == pytest.approx([1.25, 1.5])
    with pytest.raises(np.linalg.LinAlgError):
        Cholesky(np.array([[1.0, 2.0], [2.0, 1.0]]))

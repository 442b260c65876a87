"""Cholesky factors and their solves by numpy alone.

SciPy's triangular solves would do the same, but importing `scipy.linalg` takes half a second and 30 MB, more
than a small problem takes itself.
"""

from __future__ import annotations

import numpy as np

from qtm.risk.measures import Floats

BLOCK = 32
"""Unknowns solved at once; the diagonal blocks of the factor are inverted."""


class Cholesky:
    """`A = S L L' S` of a positive definite A, S the root of its diagonal.

    With the diagonal scaled out, the inverted blocks of L are as harmless as the solves they replace.

    Raises
    ------
    numpy.linalg.LinAlgError
        If A (its lower triangle) is not positive definite.
    """

    def __init__(self, matrix: Floats) -> None:
        self._scale = 1.0 / np.sqrt(matrix.diagonal())
        self._lower = np.linalg.cholesky(matrix * self._scale[:, None] * self._scale)
        size = matrix.shape[0]
        self._blocks = [slice(first, min(first + BLOCK, size)) for first in range(0, size, BLOCK)]
        self._inverses = [np.linalg.inv(self._lower[block, block]) for block in self._blocks]

    def solve(self, right: Floats) -> Floats:
        """`x` with `A @ x == right`, of shape (n,) or (n, k)."""
        scale = self._scale if right.ndim == 1 else self._scale[:, None]
        solution = right * scale
        for block, inverse in zip(self._blocks, self._inverses, strict=True):
            rest = solution[block] - self._lower[block, : block.start] @ solution[: block.start]
            solution[block] = inverse @ rest
        for block, inverse in zip(reversed(self._blocks), reversed(self._inverses), strict=True):
            rest = solution[block] - self._lower[block.stop :, block].T @ solution[block.stop :]
            solution[block] = inverse.T @ rest
        answer: Floats = solution * scale
        return answer

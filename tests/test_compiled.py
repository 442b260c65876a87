"""Pieces of machine code: linked into the kernels that call them, callable from Python where that is due."""

from __future__ import annotations

import gc
from typing import Any

import numba
import numpy as np
import pytest
from numba.core.errors import TypingError

from qtm.compiled import compiled, either_way


@compiled
def root(value: float) -> float:
    """A function that may fail."""
    if value < 0.0:
        raise ValueError("a negative number has no root")
    return float(np.sqrt(value))


@either_way
def root_of_half(value: Any) -> Any:
    """One piece on another."""
    return root(value / 2)


@numba.njit
def kernel(values: Any) -> float:
    """What pieces end up in."""
    total = 0.0
    for value in values:
        total += root_of_half(value)
    return total


def test_a_kernel_and_python_get_the_same_bits_from_a_piece() -> None:
    assert kernel(np.array([2.0, 3.0])) == root(1.0) + root(1.5) == 1.0 + float(np.sqrt(1.5))


def test_an_error_inside_a_piece_leaves_its_kernel() -> None:
    with pytest.raises(ValueError, match="has no root"):
        kernel(np.array([2.0, -2.0]))


def test_a_piece_is_no_machine_code_of_its_own() -> None:
    kernel(np.array([2.0]))
    piece = root._piece  # type: ignore[attr-defined]
    (made,) = piece.overloads.values()
    assert made.library.get_pointer_to_function(made.fndesc.llvm_func_name) == 0


def test_the_cycle_collector_is_back_after_compiling_and_after_failing_to() -> None:
    root(4.0)
    assert gc.isenabled()

    @numba.njit
    def wrong(value: Any) -> Any:
        return value.nothing

    with pytest.raises(TypingError):
        wrong(1.0)
    assert gc.isenabled()

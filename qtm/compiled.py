"""The typed face of numba: `@compiled` turns a plain numeric function into machine code."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile `function` on first call and keep the machine code on disk for later processes.

    Floating-point arithmetic stays strictly IEEE (no fast-math), so that a sweep, a backtest and the live
    stream produce the same bits.
    """
    return cast(F, numba.njit(cache=True, fastmath=False, error_model="numpy")(function))


def inlined(function: F) -> F:
    """Compile `function` into its compiled callers (for small pieces such as indicators)."""
    return cast(F, numba.njit(inline="always", fastmath=False, error_model="numpy")(function))

"""The typed face of numba: `@compiled` turns a plain numeric function into machine code."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba
from numba.extending import register_jitable

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


def either_way(function: F) -> F:
    """Leave `function` as plain Python and let compiled code call it as machine code too.

    For rules that run over exact `Decimal`s on the live path and over floats inside compiled loops.
    """
    return cast(F, register_jitable(function))

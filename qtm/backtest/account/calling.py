"""Calls of an account's machine code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtm.backtest.account.seats import Sitting
from qtm.errors import StrategyError


def call_kernel(sitting: Sequence[Sitting], kernel: Any, *arguments: Any) -> Any:
    """Call machine code; what the compiler or a step complains about becomes a StrategyError."""
    from qtm.strategies.compile_errors import COMPILER_ERRORS, explain_compile_error  # costs 10 ms to import

    blamed = [one.compiled for one in sitting if one.compiled is not None]
    try:
        return kernel(*arguments)
    except COMPILER_ERRORS as error:
        if not blamed:
            raise
        one = next((one for one in blamed if one.source.name in str(error)), blamed[0])
        raise explain_compile_error(error, one.name, one.source) from error
    except (ArithmeticError, ValueError, IndexError) as error:
        raise StrategyError(
            f"a step failed: {error}",
            where=", ".join(str(one.source) for one in blamed),
            remedy="check its parameters and state, or run it with debug",
        ) from error

"""What a strategy's own Python raises, in words that name its file and line."""

from __future__ import annotations

from bdb import BdbQuit
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qtm.errors import QtmError, StrategyError


@contextmanager
def blamed_on(strategy: str, source: Path, during: str) -> Iterator[None]:
    """Turn whatever the strategy raises in here into a StrategyError; a debugger that quits still quits.

    `during` says what it was asked to do, such as `on_bar at 2024-01-01T00:00:00Z`.
    """
    try:
        yield
    except (BdbQuit, QtmError):
        raise
    except Exception as error:
        line = line_in(error, source)
        raise StrategyError(
            f"{strategy!r} failed in {during}: {type(error).__name__}: {error}",
            where=f"{source}:{line}" if line else str(source),
            remedy="mend the line, or set a breakpoint() before it",
        ) from error


def line_in(error: Exception, path: Path) -> int | None:
    """The last line of `path` in the traceback of `error`."""
    if isinstance(error, SyntaxError):
        return error.lineno
    line = None
    trace = error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename) == path:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line

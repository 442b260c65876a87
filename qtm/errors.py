"""The errors a person reads: what was wrong, where it was, and what to do about it.

Every failure that input, configuration or the venue can cause is raised as a `QtmError`. The command line
prints it as one message and exits with `exit_code`; Dagster and the stream show the same text. Anything else
that escapes is a bug and keeps its traceback.
"""

from __future__ import annotations

from functools import partial
from typing import Any


class QtmError(Exception):
    """A failure the user can act on.

    Parameters
    ----------
    what
        What was wrong, in one clause.
    where
        File, symbol, time or setting at fault, when there is one.
    remedy
        The next step that would mend it.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what = what
        self.where = where
        self.remedy = remedy
        super().__init__(what, where, remedy)

    def __reduce__(self) -> tuple[Any, ...]:
        """So that it comes out of another process as it was raised there."""
        return partial(type(self), self.what, where=self.where, remedy=self.remedy), ()

    def __str__(self) -> str:
        place = f" [{self.where}]" if self.where else ""
        remedy = f" -> {self.remedy}" if self.remedy else ""
        return f"{self.what}{place}{remedy}"


class ConfigError(QtmError):
    """A setting or command-line value that cannot be used."""

    exit_code = 2


class DataError(QtmError):
    """Market data that is missing, damaged or refused by its checks."""

    exit_code = 3


class StrategyError(QtmError):
    """An unknown strategy, a parameter out of range, or a step that does not compile."""

    exit_code = 4


class RiskError(QtmError):
    """A limit set, model or optimisation that cannot be used or satisfied."""

    exit_code = 5


class VenueError(QtmError):
    """The venue refused, cannot be reached, or answered something that cannot be believed."""

    exit_code = 6


class StoreError(QtmError):
    """A disk, database or lake that cannot be read or written."""

    exit_code = 7

"""A `QtmError` as Dagster shows it: the message with its remedy, tried again only when that may help."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from qtm.errors import QtmError, VenueError


@contextmanager
def failures_in_words() -> Iterator[None]:
    """Fail the step with the error's own words; only a venue that did not answer is worth another attempt."""
    try:
        yield
    except QtmError as error:
        raise dg.Failure(
            description=str(error),
            metadata={
                "what": error.what,
                "where": error.where or "-",
                "remedy": error.remedy or "-",
                "kind": type(error).__name__,
            },
            allow_retries=isinstance(error, VenueError),
        ) from error

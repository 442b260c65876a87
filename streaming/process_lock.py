"""One process per run: a lock held for the life of the process, whatever ends it."""

from __future__ import annotations

import os
from pathlib import Path

from qtm.errors import ConfigError, StoreError


def hold_alone(path: Path) -> int:
    """Hold the run's lock for the life of this process; returns the open file.

    Raises
    ------
    ConfigError
        When another process holds it.
    StoreError
        When the file cannot be written.
    """
    import fcntl

    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StoreError(f"the state folder cannot be written: {error.strerror}", where=str(path)) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise ConfigError(
            "another process already streams this strategy on this account",
            where=str(path),
            remedy="stop it first; two would send every order twice",
        ) from None
    return handle

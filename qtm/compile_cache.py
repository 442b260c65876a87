"""The folders in which machine code is kept for later processes.

An entry is a file written under another name and then renamed, which begins with a hash over its content:
processes may write the same entry at a time, and one that was cut short or damaged is as good as none. Where
nothing can be written, work goes on without the cache.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from functools import cache
from pathlib import Path
from uuid import uuid4

import qtm

log = logging.getLogger(__name__)

MACHINE_CODE, DONE = "functions", "ahead"
"""Where entries are: machine code, and what was compiled ahead."""

SUFFIX = ".qtm"

_DIGEST_BYTES = 32
_UNUSED_DAYS = 60


def cache_folders() -> tuple[Path, ...]:
    """`$QTM_CACHE`; else beside the sources, as Python's own bytecode, and then in the user's cache folder.

    Entries are looked for in all of them and written to the first that takes them: what was compiled when the
    platform was installed serves users who may not write there.
    """
    named = os.environ.get("QTM_CACHE")
    if named:
        return (Path(named),)
    beside = Path(qtm.__file__).parent / "__pycache__" / "machine_code"
    return beside, Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "qtm"


def kept(name: str) -> bytes | None:
    """The content of an entry; None where it is missing, unreadable or damaged."""
    for folder in cache_folders():
        try:
            content = (folder / f"{name}{SUFFIX}").read_bytes()
        except OSError:  # a cache may lack anything
            continue
        digest, data = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if hashlib.sha256(data).digest() == digest:
            return data
    return None


def put(name: str, data: bytes) -> Path:
    """Write an entry; returns the folder that took it.

    Raises
    ------
    OSError
        When no folder takes it, with what the first one said.
    """
    refusals = []
    for folder in cache_folders():
        try:
            _write(folder / f"{name}{SUFFIX}", hashlib.sha256(data).digest() + data)
        except OSError as error:
            refusals.append(error)
        else:
            return folder
    raise refusals[0]


def keep(name: str, data: bytes) -> None:
    """Write an entry; where no folder takes it, say so on the log."""
    try:
        put(name, data)
    except OSError as error:
        _warn(f"{error.strerror} [{cache_folders()[0]}]")


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{uuid4().hex}.tmp")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


@cache
def _warn(refused: str) -> None:
    """Once for each process and reason."""
    log.warning(
        "qtm: machine code cannot be kept, so every run compiles again: %s -> free or unlock the folder, "
        "or set QTM_CACHE to another one",
        refused,
    )


def forget_unused() -> None:
    """Remove machine code nobody has read for two months: that of former sources is never looked for again.

    What says that a job is done goes with it, as something may be missing now.
    """
    oldest = time.time() - _UNUSED_DAYS * 86_400
    for folder in cache_folders():
        unused = [path for path in folder.glob(f"{MACHINE_CODE}/*{SUFFIX}") if _last_read(path) < oldest]
        for path in (*unused, *folder.glob(f"{DONE}/*{SUFFIX}")) if unused else ():
            try:
                path.unlink(missing_ok=True)
            except OSError:  # the installation's, which this user may not change
                break


def _last_read(path: Path) -> float:
    """Seconds since 1970; now for one that is gone."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return time.time()
    return max(found.st_atime, found.st_mtime)

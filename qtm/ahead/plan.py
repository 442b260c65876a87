"""Compile ahead on all cores, and remember what is done, so that a second call ends at once.

What was done is remembered as an empty entry of the cache for each job, named by a hash over the job, all
sources of the platform, the strategy's version, and whatever else machine code depends on.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import qtm
from qtm.compile_cache import DONE, forget_unused, kept, put
from qtm.compile_notice import told_of_compiling
from qtm.errors import StoreError
from qtm.strategies import bundled

_OWN = "strategy "
SHARED = (
    "account engine",
    "orders engine",
    "step engine and sweeps",
    "figures and risk models",
    "live trading",
)
"""The jobs that serve every strategy, the longest first; see `qtm.ahead.jobs`."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Done:
    """A job that is done: what it compiled, in words, and in how many seconds; nothing if all was there."""

    job: str
    compiled: tuple[str, ...]
    seconds: float


def everything(strategies: Sequence[str] | None = None) -> list[list[str]]:
    """Jobs in two stages: what all strategies share, then what each of `strategies` adds.

    `strategies` are bundled names or `.py` files, by default all bundled ones.
    """
    return [
        list(SHARED),
        [_OWN + name for name in dict.fromkeys(_bundled() if strategies is None else strategies)],
    ]


def _bundled() -> list[str]:
    """Names of the strategies that are part of the sources."""
    return [name.replace("_", "-") for name in bundled.modules()]


def compile_ahead(
    stages: Sequence[Sequence[str]], *, workers: int | None = None, on_progress: Progress | None = None
) -> list[Done]:
    """Do the jobs that are not done yet, stage after stage; returns what was done.

    Parameters
    ----------
    stages
        See `everything`.
    workers
        Processes at a time; one for each core by default.
    on_progress
        Called with the number of jobs done, and of all.

    Raises
    ------
    StrategyError
        When a strategy does not exist or does not compile.
    StoreError
        When the cache folder cannot be written.
    """
    forget_unused()
    folder_in_use()
    left = [[job for job in stage if kept(_stamp(job)) is None] for stage in stages]
    count = sum(map(len, left))
    done: list[Done] = []
    for stage in left:
        for one in _side_by_side(stage, workers or os.cpu_count() or 1):
            _put(_stamp(one.job))
            done.append(one)
            if on_progress is not None:
                on_progress(len(done), count)
    return done


def folder_in_use() -> Path:
    """The folder that takes what is compiled now.

    Raises
    ------
    StoreError
        When none can be written.
    """
    return _put(f"{DONE}/probe")


def _put(name: str) -> Path:
    try:
        return put(name, b"")
    except OSError as error:
        raise StoreError(
            f"the compiler cache cannot be written: {error.strerror}",
            where=str(error.filename),
            remedy="free or unlock the folder, or set QTM_CACHE to another one",
        ) from error


def _side_by_side(jobs: Sequence[str], workers: int) -> Iterator[Done]:
    """Do jobs in processes of their own, in no order."""
    if not jobs:
        return
    # Started afresh, not forked: threads and half-built compilers stay with the parent.
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(_do, job) for job in jobs]
        try:
            for future in as_completed(waiting):
                yield future.result()
        finally:
            for future in waiting:
                future.cancel()


def _do(job: str) -> Done:
    """Do one job in this process."""
    from qtm.ahead.jobs import compile_strategy, shared_jobs

    compiled: list[str] = []
    with told_of_compiling(compiled.append):
        begun = time.perf_counter()
        if job.startswith(_OWN):
            compile_strategy(job.removeprefix(_OWN))
        else:
            shared_jobs()[job]()
        seconds = time.perf_counter() - begun
    return Done(job, tuple(compiled), seconds)


def _stamp(job: str) -> str:
    """The entry that says a job is done, for the present sources, strategy, interpreter and processor."""
    import llvmlite.binding as llvm

    digest = hashlib.sha256(_sources())
    name = job.removeprefix(_OWN)
    if job.startswith(_OWN) and name not in _bundled():
        from qtm.strategies.registry import load_strategy

        digest.update(load_strategy(name).version.encode())
    digest.update(f"{job} {sys.version} {llvm.get_host_cpu_name()}".encode())
    return f"{DONE}/{digest.hexdigest()[:32]}"


@cache
def _sources() -> bytes:
    """Hash over the platform's sources and the versions of what compiles them."""
    digest = hashlib.sha256()
    for file in sorted(Path(qtm.__file__).parent.rglob("*.py")):
        digest.update(file.read_bytes())
    for package in ("numba", "llvmlite", "numpy"):
        digest.update(version(package).encode())
    return digest.digest()

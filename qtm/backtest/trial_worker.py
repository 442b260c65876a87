"""Processes that run trials of a strategy that decides in Python, over one mapped copy of the columns.

The parent writes the conditions into a folder: their arrays as one file, the rest as a pickle beside it. Each
worker (`python -m qtm.backtest.trial_worker FOLDER`) maps that file, so all of them share its pages, loads
the strategy by name or file, and answers parameters with outcomes over its pipes. Starting a module rather
than forking keeps out the threads and the `__main__` of whatever notebook or service is the parent.
"""

from __future__ import annotations

import mmap
import pickle
import queue
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

import qtm.errors
from qtm.errors import QtmError, StoreError, StrategyError
from qtm.strategies.registry import Strategy, bundled_strategies, load_strategy

_ALIGNMENT = 64
_LENGTH = struct.Struct("<Q")
_PATIENCE_S = 5.0


def reference_to(strategy: Strategy) -> str | None:
    """How another process can load the very same strategy; None for one that lives in a notebook cell."""
    if bundled_strategies().get(strategy.name) is strategy:
        return strategy.name
    try:
        path = str(strategy.source.resolve())
        return path if load_strategy(path).version == strategy.version else None
    except (QtmError, OSError, TypeError):
        return None


class Workers:
    """Processes that know one strategy and its conditions."""

    def __init__(self, reference: str, version: str, conditions: Any, count: int) -> None:
        """Start `count` of them; `reference` is what `reference_to` says."""
        self._reference = reference
        self._folder = tempfile.TemporaryDirectory(prefix="qtm-trials-")
        write_shared(Path(self._folder.name), (reference, version, conditions))
        command = [sys.executable, "-m", "qtm.backtest.trial_worker", self._folder.name]
        self._running = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(count)
        ]
        self._free = queue.SimpleQueue[subprocess.Popen[bytes]]()
        for process in self._running:
            self._free.put(process)

    def ask(self, params: dict[str, Any]) -> Any:
        """The outcome of `params` from whichever process is free; raises what the run raised there."""
        process = self._free.get()
        try:
            return self._ask(process, params)
        finally:
            self._free.put(process)

    def close(self) -> None:
        """End the processes and remove the shared columns."""
        for process in self._running:
            process.kill()
        for process in self._running:
            process.wait(_PATIENCE_S)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        self._running = []
        self._folder.cleanup()

    def _ask(self, process: subprocess.Popen[bytes], params: dict[str, Any]) -> Any:
        assert process.stdin is not None and process.stdout is not None
        try:
            _send(process.stdin, params)
            answer = _receive(process.stdout)
        except OSError:
            answer = None
        if answer is None:
            raise StrategyError(
                f"a process that ran {self._reference} ended (exit code {process.poll()})",
                where=str(params),
                remedy="its last words are above; memory may have run out",
            )
        if isinstance(answer, dict):
            kind = getattr(qtm.errors, answer.pop("kind"))
            raise kind(**answer)
        return answer


def write_shared(folder: Path, value: Any) -> None:
    """Write `value` with all its arrays in one file that many processes can map.

    Raises
    ------
    StoreError
        When the disk is full.
    """
    buffers: list[pickle.PickleBuffer] = []
    body = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    spans: list[tuple[int, int]] = []
    try:
        with (folder / "columns.bin").open("wb") as file:
            for buffer in buffers:
                file.write(b"\0" * (-file.tell() % _ALIGNMENT))
                raw = buffer.raw()
                spans.append((file.tell(), raw.nbytes))
                file.write(raw)
            file.write(b"\0")  # an empty file cannot be mapped
        (folder / "value.pickle").write_bytes(pickle.dumps((spans, body)))
    except OSError as error:
        raise StoreError(
            f"the columns cannot be shared: {error.strerror}", where=str(folder), remedy="free disk space"
        ) from error


def read_shared(folder: Path) -> Any:
    """What `write_shared` wrote; arrays are views of the mapped file, private when written to."""
    spans, body = pickle.loads((folder / "value.pickle").read_bytes())
    with (folder / "columns.bin").open("rb") as file:
        whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    return pickle.loads(body, buffers=[whole[at : at + size] for at, size in spans])


def _send(pipe: IO[bytes], value: Any) -> None:
    body = pickle.dumps(value, protocol=5)
    pipe.write(_LENGTH.pack(len(body)) + body)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> Any:
    """The next message; None when the other side is gone."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    body = pipe.read(length)
    return pickle.loads(body) if len(body) == length else None


def main() -> None:
    """Answer parameters with outcomes until the parent closes the pipe."""
    import os

    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a strategy prints must not get between the answers
    from qtm.backtest.trial_runs import outcome_of

    reference, version, conditions = read_shared(Path(sys.argv[1]))
    strategy = load_strategy(reference)
    while (values := _receive(sys.stdin.buffer)) is not None:
        try:
            if strategy.version != version:
                raise StrategyError("its file changed while it ran", where=reference, remedy="start again")
            answer: Any = outcome_of(conditions.run(strategy, strategy.params(values)))
        except QtmError as error:
            kind = type(error).__name__
            answer = {"kind": kind, "what": error.what, "where": error.where, "remedy": error.remedy}
        _send(answers, answer)


if __name__ == "__main__":
    main()

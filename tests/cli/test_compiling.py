"""Whoever waits at a terminal is told what is compiled; a pipe gets nothing it did not ask for."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from qtm.cli.compiling import compiling_shown
from qtm.compiled import compiled


class Terminal(io.StringIO):
    """Standard error as a person sees it."""

    def isatty(self) -> bool:
        return True


def compile_something() -> None:
    @compiled
    def twice(value: float) -> float:
        return value * 2.0

    assert twice(1.0) == 2.0


@pytest.mark.parametrize(("stream", "lines"), [(Terminal(), 1), (io.StringIO(), 0)])
def test_a_terminal_is_told_once_of_what_is_compiled(
    stream: io.StringIO, lines: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QTM_CACHE", str(tmp_path))
    monkeypatch.setattr(sys, "stderr", stream)
    with compiling_shown():
        compile_something()
        compile_something()
    said = stream.getvalue().splitlines()
    assert len(said) == lines
    assert all("compiling the functions of tests.cli.test_compiling, once" in line for line in said)

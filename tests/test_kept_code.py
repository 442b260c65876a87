"""Machine code is found by later processes, and only where it fits: sources, types, processor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from numba import types

from qtm.compiled import compiled
from qtm.compiled_kernels import kernel
from qtm.kept_code import KeptCode


def half(value: Any) -> Any:
    return value / 2


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QTM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def found(function: Callable[..., Any]) -> int:
    """How many signatures were found, not compiled."""
    return sum(function.stats.cache_hits.values())  # type: ignore[attr-defined]


@pytest.mark.parametrize("make", [compiled, kernel()])
def test_each_signature_is_kept_for_the_next_process(folder: Path, make: Any) -> None:
    first = make(half)
    assert (first(3.0), first(3)) == (1.5, 1.5)
    assert len(list(folder.glob("functions/*half-*"))) == 2
    again = make(half)
    assert (again(5.0), again(5)) == (2.5, 2.5)
    assert (found(first), found(again)) == (0, 2)


def test_a_damaged_file_is_compiled_again(folder: Path) -> None:
    compiled(half)(3.0)
    (path,) = folder.glob("functions/*")
    path.write_bytes(path.read_bytes()[:-100])
    again, after = compiled(half), compiled(half)
    assert (again(3.0), found(again)) == (1.5, 0)
    assert (after(3.0), found(after)) == (1.5, 1)


def test_a_folder_that_takes_nothing_only_costs_time(folder: Path) -> None:
    folder.write_text("not a folder")
    function = compiled(half)
    assert (function(3.0), found(function)) == (1.5, 0)


class Processor:
    """What the compiler generates code for."""

    def __init__(self, name: str) -> None:
        self.name = name

    def magic_tuple(self) -> tuple[str, str]:
        return "x86_64", self.name


def test_other_processors_sources_and_types_have_entries_of_their_own() -> None:
    def name(stamp: str = "sources", kind: Any = types.float64, processor: str = "zen4") -> str:
        return KeptCode(half, lambda: stamp)._name((kind,), Processor(processor))

    names = [name(), name(stamp="edited"), name(kind=types.int64), name(processor="skylake")]
    assert len(set(names)) == 4
    assert name() == name()

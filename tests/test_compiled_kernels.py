"""Kernels call each other by address, find each other in later processes, and never one that changed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from qtm.compiled_kernels import kernel
from qtm.strategies.machine_code import load_kernel

INNER = """
from qtm.compiled_kernels import kernel

@kernel()
def inner(value):
    if value < 0.0:
        raise ValueError("below zero")
    return {answer}
"""
OUTER = """
from qtm.compiled_kernels import kernel

@kernel()
def outer(value):
    return inner(value) + 1.0
"""


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("QTM_CACHE", str(tmp_path))
    yield tmp_path
    forget()


def forget() -> None:
    """Be another process, as far as these modules go."""
    for name in [name for name in sys.modules if name.startswith("qtm_kernel_called_")]:
        del sys.modules[name]


def load(answer: str = "2.0 * value") -> tuple[ModuleType, ModuleType]:
    none = {"purpose": "a test", "strategy_version": "", "strategy_module": ""}
    inside = load_kernel("called_inner", INNER.format(answer=answer), {}, **none)
    return inside, load_kernel("called_outer", OUTER, {"inner": inside.inner}, **none)


def hits(module: ModuleType, name: str) -> int:
    return sum(getattr(module, name).stats.cache_hits.values())


def test_a_kernel_holds_no_code_of_those_it_calls(fresh: Path) -> None:
    inside, outside = load()
    assert outside.outer(3.0) == 7.0
    (code,) = outside.outer.inspect_llvm().values()
    (called,) = inside.inner.overloads.values()
    lines = [line for line in code.splitlines() if called.fndesc.llvm_func_name in line]
    assert any(line.startswith("declare") for line in lines)
    assert not any(line.startswith("define") for line in lines)
    with pytest.raises(ValueError, match="below zero"):
        outside.outer(-1.0)


def test_both_are_found_by_a_later_process_whichever_is_called_first(fresh: Path) -> None:
    load()[1].outer(3.0)
    forget()
    inside, outside = load()
    assert outside.outer(3.0) == 7.0
    assert (hits(inside, "inner"), hits(outside, "outer")) == (1, 1)


def test_a_kernel_whose_callee_has_changed_is_compiled_again(fresh: Path) -> None:
    """Names of modules tell of all sources; this is the belt to those braces."""
    load()[1].outer(3.0)
    forget()
    inside, outside = load()

    def inner(value: float) -> float:
        return 10.0 * value

    inner.__module__ = inside.__name__
    outside.inner = inside.inner = kernel()(inner)
    assert outside.outer(3.0) == 31.0
    assert hits(outside, "outer") == 0


def test_a_kernel_that_holds_the_code_of_one_that_has_changed_is_compiled_again(fresh: Path) -> None:
    none = {"purpose": "a test", "strategy_version": "", "strategy_module": ""}

    def load_with(answer: str) -> ModuleType:
        inside = load_kernel(
            "called_inner",
            INNER.format(answer=answer).replace("kernel()", "kernel(in_callers=True)"),
            {},
            **none,
        )
        return load_kernel("called_outer", OUTER, {"inner": inside.inner}, **none)

    assert load_with("2.0 * value").outer(3.0) == 7.0
    forget()
    outside = load_with("2.0 * value + 0.0")
    assert (outside.outer(3.0), hits(outside, "outer")) == (7.0, 0)

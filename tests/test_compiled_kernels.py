"""Kernels call each other by address, find each other in later processes, and never one that changed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
from numba.core.errors import TypingError

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


class Inner(NamedTuple):
    weights: Any
    scale: float


class Outer(NamedTuple):
    on: bool
    inner: Inner
    count: int


VALUES = Outer(True, Inner(np.array([1.0, 2.0, 4.0]), 0.5), 3)
READS = """
from qtm.compiled_kernels import kernel

@kernel(makes_arrays=False)
def inner(values):
    inside = values.inner
    return inside.weights[values.{count} - 1] * inside.scale if values.on else -1.0
"""
HANDS_ON = """
from qtm.compiled_kernels import by_address, kernel

@kernel()
def outer(values):
    return inner(by_address(values))
"""


def load_with_tuple(count: str = "count") -> tuple[ModuleType, ModuleType]:
    none = {"purpose": "a test", "strategy_version": "", "strategy_module": ""}
    inside = load_kernel("called_inner", READS.format(count=count), {}, **none)
    return inside, load_kernel("called_outer", HANDS_ON, {"inner": inside.inner}, **none)


def test_a_tuple_goes_by_address_as_one_argument_and_is_read_field_by_field(fresh: Path) -> None:
    inside, outside = load_with_tuple()
    assert outside.outer(VALUES) == 2.0
    assert outside.outer(VALUES._replace(on=False)) == -1.0
    (called,) = inside.inner.overloads.values()
    code = called.library._final_module.get_function(called.fndesc.llvm_func_name)
    assert len(list(code.arguments)) == 3  # two of numba's own, for the answer and an error, and the address


def test_a_later_process_finds_a_kernel_that_takes_a_tuple_by_address(fresh: Path) -> None:
    load_with_tuple()[1].outer(VALUES)
    forget()
    inside, outside = load_with_tuple()
    assert outside.outer(VALUES) == 2.0
    assert (hits(inside, "inner"), hits(outside, "outer")) == (1, 1)


def test_the_compiler_names_a_field_that_a_tuple_by_address_has_not(fresh: Path) -> None:
    with pytest.raises(TypingError, match="Unknown attribute 'number'"):
        load_with_tuple("number")[1].outer(VALUES)

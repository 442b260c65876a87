"""Find a strategy by name among the bundled ones, or load one from a user's file."""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import sys
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from qtm.errors import StrategyError
from qtm.strategies import ENTRY_POINTS, bundled
from qtm.strategies.allocator_contract import AllocatorStrategy
from qtm.strategies.blame import line_in
from qtm.strategies.contract import StepStrategy
from qtm.strategies.order_contract import OrderStrategy
from qtm.strategies.python_contract import PythonStrategy

Strategy = StepStrategy | OrderStrategy | AllocatorStrategy | PythonStrategy
"""Any kind of strategy; each has name, summary, kind, params, bounds, version and source."""


@cache
def bundled_strategies() -> dict[str, Strategy]:
    """The strategies that come with the platform or with installed packages, by name."""
    return {name: _bundled(name) for name in sorted(_entries())}


@cache
def _entries() -> dict[str, EntryPoint]:
    """Where the strategies of the platform and of installed packages are, by name, with none imported yet."""
    own = (
        EntryPoint(name.replace("_", "-"), f"{bundled.__name__}.{name}:strategy", ENTRY_POINTS)
        for name in bundled.modules()
    )
    return {one.name: one for one in (*own, *entry_points(group=ENTRY_POINTS))}


@cache
def _bundled(name: str) -> Strategy:
    """One of them; what the others need is not imported."""
    entry = _entries()[name]
    return _checked(entry.load(), f"entry point {name} = {entry.value}")


def list_strategies(kind: str | None = None) -> list[Strategy]:
    """The bundled strategies (of one kind) in order of name."""
    return [one for one in bundled_strategies().values() if kind in (None, one.kind)]


def load_step_strategy(name_or_path: str) -> StepStrategy:
    """As `load_strategy`, for the live stream, which carries compiled steps over bars.

    Raises
    ------
    StrategyError
        As `load_strategy`, and for a strategy of another kind.
    """
    found = load_strategy(name_or_path)
    if not isinstance(found, StepStrategy):
        steps = ", ".join(one.name for one in list_strategies("step"))
        raise StrategyError(
            f"the stream carries step strategies; {found.name!r} is of kind {found.kind}",
            where=str(found.source),
            remedy=f"run it with `qtm backtest`, or stream one of {steps}",
        )
    return found


def _checked(item: object, where: str) -> Strategy:
    if not isinstance(item, Strategy):
        raise StrategyError(f"{type(item).__name__} is no strategy", where=where)
    return item


def load_strategy(name_or_path: str) -> Strategy:
    """The strategy of that name, or the one defined in a file (`my/strategy.py`), of whatever kind.

    Raises
    ------
    StrategyError
        When there is no such strategy or file, or the file does not import or define exactly one.
    """
    if name_or_path.endswith(".py"):
        return _from_file(Path(name_or_path))
    known = sorted(_entries())
    if name_or_path in known:
        return _bundled(name_or_path)
    close = difflib.get_close_matches(name_or_path, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise StrategyError(
        f"unknown strategy {name_or_path!r}",
        remedy=f"{hint}bundled: {', '.join(known)}; or give the path of a .py file",
    )


def _from_file(path: Path) -> Strategy:
    try:
        source = path.read_bytes()
    except OSError as error:
        raise StrategyError(
            f"the strategy file cannot be read: {error.strerror}", where=str(path), remedy="check the path"
        ) from error
    name = f"qtm_strategy_{hashlib.sha256(str(path.resolve()).encode() + source).hexdigest()[:16]}"
    module = sys.modules.get(name)
    if module is None:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None  # a plain .py path always has one
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            # Not the loader: its bytecode cache takes two edits within a second for one.
            exec(compile(source, str(path), "exec"), module.__dict__)
        except StrategyError:
            del sys.modules[name]
            raise
        except Exception as error:
            del sys.modules[name]
            line = line_in(error, path)
            remedy = "mend the line; the file must run as plain Python first"
            if isinstance(error, ModuleNotFoundError):
                remedy = (
                    f"put the folder of {error.name!r} on PYTHONPATH, or what you need of it into this file"
                )
            raise StrategyError(
                f"the strategy file does not import: {type(error).__name__}: {error}",
                where=f"{path}:{line}" if line else str(path),
                remedy=remedy,
            ) from error
    defined = {id(item): item for item in vars(module).values() if isinstance(item, Strategy)}
    if len(defined) != 1:
        raise StrategyError(
            f"the file defines {len(defined)} strategies", where=str(path),
            remedy="decorate one function or class with @step_strategy, @allocator, @python_strategy or "
            "@order_strategy",
        )  # fmt: skip
    return next(iter(defined.values()))

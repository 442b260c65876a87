"""Find a strategy by name among the bundled ones, or load one from a user's file."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import sys
from functools import cache
from pathlib import Path

import qtm.strategies
from qtm.errors import StrategyError
from qtm.strategies.contract import StepStrategy


@cache
def bundled_strategies() -> dict[str, StepStrategy]:
    """The strategies that come with the platform, by name."""
    found: dict[str, StepStrategy] = {}
    for name in qtm.strategies.bundled_modules():
        module = importlib.import_module(f"qtm.strategies.{name}")
        found[module.strategy.name] = module.strategy
    return dict(sorted(found.items()))


def list_strategies() -> list[StepStrategy]:
    """The bundled strategies in order of name."""
    return list(bundled_strategies().values())


def load_strategy(name_or_path: str) -> StepStrategy:
    """The bundled strategy of that name, or the one defined in a file (`my/strategy.py`).

    Raises
    ------
    StrategyError
        When there is no such strategy or file, or the file does not import or define exactly one.
    """
    if name_or_path.endswith(".py"):
        return _from_file(Path(name_or_path))
    known = bundled_strategies()
    if name_or_path in known:
        return known[name_or_path]
    close = difflib.get_close_matches(name_or_path, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise StrategyError(
        f"unknown strategy {name_or_path!r}",
        remedy=f"{hint}bundled: {', '.join(known)}; or give the path of a .py file",
    )


def _from_file(path: Path) -> StepStrategy:
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
        except Exception as error:
            del sys.modules[name]
            line = _line_in(error, path)
            raise StrategyError(
                f"the strategy file does not import: {type(error).__name__}: {error}",
                where=f"{path}:{line}" if line else str(path),
                remedy="mend the line; the file must run as plain Python first",
            ) from error
    defined = [item for item in vars(module).values() if isinstance(item, StepStrategy)]
    if len(defined) != 1:
        raise StrategyError(
            f"the file defines {len(defined)} strategies", where=str(path),
            remedy="decorate exactly one function with @step_strategy",
        )  # fmt: skip
    return defined[0]


def _line_in(error: Exception, path: Path) -> int | None:
    """The last line of `path` in the traceback of `error`."""
    if isinstance(error, SyntaxError):
        return error.lineno
    line = None
    trace = error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename) == path:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line

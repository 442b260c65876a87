"""The compiler's complaints in a strategy author's terms, with the line of the strategy file."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from numba.core.errors import NumbaError

from qtm.errors import StrategyError

_EXPLANATIONS: tuple[tuple[str, str, str], ...] = (
    (
        r"record has no field '(\w+)'",
        "the strategy's state has no field {0!r}",
        "add it to `state=` of @step_strategy",
    ),
    (
        r"Unknown attribute '(\w+)' of type Bar",
        "a bar has no field {0!r}",
        "a bar has open_time_ms, open, high, low, close, volume and close_ticks",
    ),
    (
        r"Unknown attribute '(\w+)' of type Account",
        "the account has no field {0!r}",
        "an account has qty, entry_price and equity",
    ),
    (
        r"Unknown attribute '(\w+)' of type Params",
        "the strategy's parameters have no field {0!r}",
        "add it, with a default, to the parameter tuple",
    ),
    (
        r"NameError: name '(\w+)' is not defined",
        "the name {0!r} is not defined",
        "import or define it at the top of the strategy file",
    ),
    (
        r"Untyped global name '(\w+)'",
        "{0!r} cannot be used inside a step: the compiler does not know it",
        "use numbers, numpy and the functions of qtm.features; decorate own helpers with @inlined",
    ),
    (
        r"Variable '?(\w+)'? referenced before assignment",
        "{0!r} may be used before it has a value",
        "give it a value on every path",
    ),
    (
        r"Cannot unify (.+?) and (.+?) for '(\w+?)(?:\.\d+)?'",
        "{2!r} is sometimes {0} and sometimes {1}",
        "a step returns one number and each variable keeps one type",
    ),
)
"""What the compiler says, what that means here, and what to do."""


def explain_compile_error(error: NumbaError | KeyError, strategy: str, source: Path) -> StrategyError:
    """The error as a person can act on it; `source` is the strategy's file."""
    if isinstance(error, KeyError):  # how numba says that a record has no such field
        text = f"record has no field '{error.args[0]}'"
        lines = _lines_with_attribute(source, str(error.args[0]))
    else:
        text = str(error)
        lines = re.findall(rf'File "[^"]*{re.escape(source.name)}", line (\d+)', text)
    where = f"{source}:{lines[-1]}" if lines else str(source)
    for pattern, message, remedy in _EXPLANATIONS:
        found = re.search(pattern, text)
        if found:
            return StrategyError(message.format(*found.groups()), where=where, remedy=remedy)
    first = next((line.strip() for line in text.splitlines() if line.strip()), "unknown reason")
    return StrategyError(
        f"the step of {strategy!r} does not compile: {first}",
        where=where,
        remedy="a step may use numbers, tuples, numpy arrays and the functions of qtm.features",
    )


def _lines_with_attribute(source: Path, name: str) -> list[str]:
    tree = ast.parse(source.read_text(encoding="utf-8"))
    found = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    return [str(node.lineno) for node in found if node.attr == name]

"""The compiler's complaints in a strategy author's terms, with the line of the strategy file.

What the compiler says about names and fields is translated; where it only says that it gave up, the source is
searched for what no step may hold.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from numba.core.errors import NumbaError, UnsupportedBytecodeError

from qtm.errors import StrategyError

T = TypeVar("T", bound=ast.AST)

COMPILER_ERRORS = (
    NumbaError,
    UnsupportedBytecodeError,
    KeyError,
    AttributeError,
    NotImplementedError,
    TypeError,
)
"""What compiling a step may raise."""

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
        r"module '(\w+)' has no attribute '(\w+)'",
        "{0}.{1} cannot be used inside a step: the compiler does not know it",
        "use numpy and the functions of qtm.features",
    ),
    (
        r"Unknown attribute '(\w+)' of type Module\(<module '(\w+)'",
        "{1}.{0} cannot be used inside a step: the compiler does not know it",
        "use numpy and the functions of qtm.features",
    ),
    (
        r"TypingError: Plan: (.+)",
        "a Plan is made of other things than it takes: {0}",
        "write Plan(target, stop=, take_profit=, trail=) with numbers, and leave out what is to stay",
    ),
    (
        r"missing a required argument: '(\w+)'",
        "a function is called without its argument {0!r}",
        "give it; the functions of qtm.features tell what they take",
    ),
    (
        r"Cannot unify (?:float64 and Plan|Plan.*? and float64)",
        "the step sometimes answers a number and sometimes a Plan",
        "answer Plan(target) where no exit is meant",
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

_UNKNOWN = re.compile(r"NameError: name '(\w+)' is not defined|Untyped global name '(\w+)'")

_SEEN_ONLY = ("bar", "account", "params")


def explain_compile_error(error: Exception, strategy: str, source: Path) -> StrategyError:
    """The error as a person can act on it; `source` is the strategy's file."""
    tree = ast.parse(source.read_text(encoding="utf-8")) if source.is_file() else ast.Module([], [])
    if isinstance(error, KeyError):  # how numba says that a record has no such field
        text = f"record has no field '{error.args[0]}'"
        lines = [node.lineno for node in _of(tree, ast.Attribute) if node.attr == error.args[0]]
    else:
        text = str(error)
        lines = [int(one) for one in re.findall(rf'File "[^"]*{re.escape(source.name)}", line (\d+)', text)]
    line = lines[-1] if lines else None
    unknown = _UNKNOWN.search(text)
    if unknown:
        return _about_name(unknown.group(1) or unknown.group(2), tree, source, line)
    steps = _steps(tree)
    for pattern, message, remedy in _EXPLANATIONS:
        found = re.search(pattern, text)
        if found:
            return _error(message.format(*found.groups()), source, line or _line_of(steps, message), remedy)
    for step in steps:
        for where, message, remedy in _misfits(step):
            return _error(message, source, where, remedy)
    first = next((one.strip() for one in text.splitlines() if one.strip()), "unknown reason")
    return _error(
        f"the step of {strategy!r} does not compile: {first}",
        source,
        line or (steps[0].lineno if steps else None),
        "a step may use numbers, tuples, numpy arrays and the functions of qtm.features",
    )


def _error(message: str, source: Path, line: int | None, remedy: str) -> StrategyError:
    return StrategyError(message, where=f"{source}:{line}" if line else str(source), remedy=remedy)


def _of(tree: ast.AST, kind: type[T]) -> Iterator[T]:
    return (node for node in ast.walk(tree) if isinstance(node, kind))


def _steps(tree: ast.Module) -> list[ast.FunctionDef]:
    """The functions that are declared as strategies."""
    return [
        node
        for node in _of(tree, ast.FunctionDef)
        if any("_strategy" in ast.unparse(decorator) for decorator in node.decorator_list)
    ]


def _line_of(steps: list[ast.FunctionDef], message: str) -> int | None:
    """The first answer with a Plan where the message is about one, else where the step begins."""
    calls = (node for step in steps for node in _of(step, ast.Call))
    plans = [node.lineno for node in calls if ast.unparse(node.func) == "Plan"]
    if "Plan" in message and plans:
        return min(plans)
    return steps[0].lineno if steps else None


def _about_name(name: str, tree: ast.Module, source: Path, line: int | None) -> StrategyError:
    """Why the compiler does not know a name."""
    used = [node.lineno for step in _steps(tree) for node in _of(step, ast.Name) if node.id == name]
    line = line or (used[0] if used else None)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return _error(
                f"{name!r} is a plain Python function, which a step cannot call",
                source,
                line,
                "decorate it with @inlined of qtm.compiled; it must not call itself",
            )
        bound = isinstance(node, ast.Import | ast.ImportFrom | ast.ClassDef) or any(
            isinstance(part, ast.Name) and part.id == name and isinstance(part.ctx, ast.Store)
            for part in ast.walk(node)
        )
        named = [part.asname or part.name for part in getattr(node, "names", [])] + [
            getattr(node, "name", "")
        ]
        if bound and (name in named or isinstance(node, ast.Assign | ast.AnnAssign)):
            return _error(
                f"{name!r} cannot be used inside a step: the compiler does not know it",
                source,
                line,
                "use numbers, tuples, numpy and the functions of qtm.features; what a step is to remember "
                "belongs in `state`",
            )
    if hasattr(builtins, name):
        return _error(
            f"{name!r} cannot be used inside a step: the compiler does not know it",
            source,
            line,
            "use numbers, tuples, numpy and the functions of qtm.features",
        )
    return _error(
        f"the name {name!r} is not defined",
        source,
        line,
        "import or define it at the top of the strategy file",
    )


def _misfits(step: ast.FunctionDef) -> Iterator[tuple[int, str, str]]:
    """What a step may not hold, in the order of its lines: (line, what is wrong, what to do)."""
    for node in sorted(
        (node for part in step.body for node in ast.walk(part) if hasattr(node, "lineno")),
        key=lambda node: node.lineno,
    ):
        found = _misfit(node)
        if found:
            yield node.lineno, *found
    answers = any(node.value is not None for node in _of(step, ast.Return))
    if answers and not _ends(step.body):
        yield (
            step.lineno,
            "the step does not answer on every path",
            "end it with `return np.nan` for no change",
        )


def _misfit(node: ast.AST) -> tuple[str, str] | None:
    """What is wrong with one piece of a step, and what to do."""
    if isinstance(node, ast.Global | ast.Nonlocal):
        return (
            f"a step cannot change {node.names[0]!r}, which is defined outside of it",
            "keep what it is to remember in `state`",
        )
    if isinstance(node, ast.With):
        return "a step cannot open files or connections", "decide from bars alone"
    if isinstance(node, ast.Try):
        return "a step cannot catch exceptions", "test for the case with `if` before it happens"
    if isinstance(node, ast.JoinedStr) or _formats(node):
        return (
            "a step cannot make text of numbers",
            "leave it out; `--debug` runs the step as plain Python, where print works",
        )
    if isinstance(node, ast.Return) and (node.value is None or _is_none(node.value)):
        return "the step sometimes answers None", "answer np.nan for no change"
    if isinstance(node, ast.Assign) and _is_none(node.value):
        return f"{ast.unparse(node.targets[0])!r} is None at times", "give it a number: np.nan for none"
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        owner = ast.unparse(node.value)
        if owner in _SEEN_ONLY:
            return f"{owner}.{node.attr} cannot be changed", "keep own numbers in variables or in `state`"
    if isinstance(node, ast.Dict | ast.DictComp | ast.Set | ast.SetComp):
        return "a step cannot keep a dict or a set of mixed values", "use variables, or fields of `state`"
    return None


def _formats(node: ast.AST) -> bool:
    """True for "..." % x and "...".format(x)."""
    text = node.left if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) else None
    if isinstance(node, ast.Attribute) and node.attr == "format":
        text = node.value
    return isinstance(text, ast.Constant) and isinstance(text.value, str)


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _ends(body: list[ast.stmt]) -> bool:
    """True when a block leaves the function whatever happens."""
    last = body[-1]
    if isinstance(last, ast.If):
        return bool(last.orelse) and _ends(last.body) and _ends(last.orelse)
    return isinstance(last, ast.Return | ast.Raise)

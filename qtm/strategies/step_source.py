"""What the source of a strategy file shows of a step that does not compile: names, calls, misfits."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T", bound=ast.AST)

_LOOKED_AT = ("bar", "account", "params", "event")
"""What a step sees and cannot change."""


class Misfit(NamedTuple):
    """Something no step may hold; `certain` where it must be the reason, whatever the compiler says."""

    line: int
    message: str
    remedy: str
    certain: bool


def nodes_of(tree: ast.AST, kind: type[T]) -> Iterator[T]:
    """All nodes of one kind, at any depth."""
    return (node for node in ast.walk(tree) if isinstance(node, kind))


def steps_of(tree: ast.Module) -> list[ast.FunctionDef]:
    """The functions that are declared as strategies."""
    return [node for node in nodes_of(tree, ast.FunctionDef) if _decorators(node, "_strategy")]


def places_orders(step: ast.FunctionDef) -> bool:
    """True for an order strategy's step, which answers nothing."""
    return _decorators(step, "order_strategy")


def parameter_names(tree: ast.Module) -> list[str]:
    """The fields of the file's parameter tuples."""
    tuples = [
        node
        for node in nodes_of(tree, ast.ClassDef)
        if any(ast.unparse(base).endswith("NamedTuple") for base in node.bases)
    ]
    return [
        part.target.id
        for node in tuples
        for part in node.body
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
    ]


def state_names(step: ast.FunctionDef) -> list[str]:
    """The fields written down in `state=` of the decorator."""
    dicts = [
        word.value
        for call in step.decorator_list
        if isinstance(call, ast.Call)
        for word in call.keywords
        if word.arg == "state" and isinstance(word.value, ast.Dict)
    ]
    return [key.value for one in dicts for key in one.keys if isinstance(key, ast.Constant)]  # type: ignore[misc]


def answers_of(step: ast.FunctionDef) -> list[ast.Return]:
    """The answers that are more than a number or NaN written out."""
    return [
        node
        for node in nodes_of(step, ast.Return)
        if node.value is not None
        and not (isinstance(node.value, ast.Constant) and isinstance(node.value.value, int | float))
        and not ast.unparse(node.value).endswith("nan")
    ]


def names_at_the_top(tree: ast.Module) -> list[str]:
    """What the file imports and defines outside of its functions."""
    found = []
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            found += [(part.asname or part.name).split(".")[0] for part in node.names]
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.append(node.name)
        else:
            found += [part.id for part in nodes_of(node, ast.Name) if isinstance(part.ctx, ast.Store)]
    return found


def function_called(tree: ast.Module, line: int | None, arguments: int | None = None) -> str | None:
    """The function called on a line, if it is one only (of those with so many arguments, where told)."""
    calls = {
        ast.unparse(node.func)
        for node in nodes_of(tree, ast.Call)
        if node.lineno == line and arguments in (None, len(node.args) + len(node.keywords))
    }
    return calls.pop() if len(calls) == 1 else None


def misfits_of(step: ast.FunctionDef) -> Iterator[Misfit]:
    """What a step may not hold, in the order of its lines."""
    nodes = [node for part in step.body for node in ast.walk(part) if hasattr(node, "lineno")]
    for node in sorted(nodes, key=lambda node: node.lineno):
        found = _certain(node)
        if found:
            yield Misfit(node.lineno, *found, certain=True)
        elif found := _likely(node, answers=not places_orders(step)):
            yield Misfit(node.lineno, *found, certain=False)
    answers = any(node.value is not None for node in nodes_of(step, ast.Return))
    leak = _leak(step.body)
    if answers and leak is not None and not places_orders(step):
        yield Misfit(
            leak.lineno, _how_it_leaks(leak), "end it with `return np.nan` for no change", certain=False
        )


def _decorators(node: ast.FunctionDef, ending: str) -> bool:
    return any(ending in ast.unparse(one) for one in node.decorator_list)


def _certain(node: ast.AST) -> tuple[str, str] | None:
    """What is wrong with a node that no compiler takes, and what to do."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return "a step cannot import", f"move `{ast.unparse(node)}` to the top of the file"
    if isinstance(node, ast.ClassDef):
        return "a step cannot define a class", "keep what it is to remember in `state`"
    if isinstance(node, ast.Yield | ast.YieldFrom | ast.GeneratorExp):
        return "a step cannot make a generator", "write a loop, or a list in square brackets"
    if isinstance(node, ast.Global | ast.Nonlocal):
        return (
            f"a step cannot change {node.names[0]!r}, which is defined outside of it",
            "keep what it is to remember in `state`",
        )
    if isinstance(node, ast.With):
        return "a step cannot open files or connections", "decide from bars alone"
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        owner = ast.unparse(node.value)
        if owner in _LOOKED_AT:
            return f"{owner}.{node.attr} cannot be changed", "keep own numbers in variables or in `state`"
    return None


def _likely(node: ast.AST, *, answers: bool) -> tuple[str, str] | None:
    """What is probably wrong with a node of a step that does not compile, and what to do."""
    if isinstance(node, ast.Try):
        return "a step cannot catch exceptions", "test for the case with `if` before it happens"
    if isinstance(node, ast.JoinedStr) or _formats(node):
        return (
            "a step cannot make text of numbers",
            "leave it out; `--debug` runs the step as plain Python, where print works",
        )
    if answers and isinstance(node, ast.Return) and (node.value is None or _is_none(node.value)):
        return "the step sometimes answers None", "answer np.nan for no change"
    if isinstance(node, ast.Assign) and _is_none(node.value):
        return f"{ast.unparse(node.targets[0])!r} is None at times", "give it a number: np.nan for none"
    if isinstance(node, ast.Dict | ast.DictComp | ast.Set | ast.SetComp):
        return "a step cannot keep a dict or a set of mixed values", "use variables, or fields of `state`"
    if isinstance(node, ast.List) and len(kinds := _kinds(node.elts)) > 1:
        return (
            f"a list holds values of one kind, and this one has {' and '.join(kinds)}",
            "use a variable for each, or a tuple taken apart at once",
        )
    return None


def _kinds(values: Sequence[ast.expr]) -> list[str]:
    """The kinds of the values that are written out, each once."""
    kinds = {"str": "text", "int": "numbers", "float": "numbers", "bool": "True or False", "NoneType": "None"}
    constants = [type(one.value).__name__ for one in values if isinstance(one, ast.Constant)]
    return list(dict.fromkeys(kinds[one] for one in constants if one in kinds))


def _formats(node: ast.AST) -> bool:
    """True for "..." % x and "...".format(x)."""
    text = node.left if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) else None
    if isinstance(node, ast.Attribute) and node.attr == "format":
        text = node.value
    return isinstance(text, ast.Constant) and isinstance(text.value, str)


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _leak(body: list[ast.stmt]) -> ast.stmt | None:
    """The statement after which a block ends without an answer; None when it answers whatever happens."""
    last = body[-1]
    if isinstance(last, ast.Return | ast.Raise):
        return None
    if isinstance(last, ast.If) and last.orelse:
        return _leak(last.body) or _leak(last.orelse)
    return last


def _how_it_leaks(last: ast.stmt) -> str:
    if isinstance(last, ast.If):
        return f"the step does not answer on every path: not when `if {ast.unparse(last.test)}` does not hold"
    return "the step does not answer on every path: not after this line"

"""The compiler's complaints in a strategy author's terms, with the line of the strategy file.

What the compiler says about names, fields, calls and types is translated; where it only says that it gave up,
the source is searched for what no step may hold (`qtm.strategies.step_source`).
"""

from __future__ import annotations

import ast
import builtins
import linecache
import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from numba.core.errors import NumbaError, UnsupportedBytecodeError

from qtm.errors import StrategyError
from qtm.features import indicators
from qtm.strategies import compiler_phrases as phrases
from qtm.strategies.compiler_types import arguments_in_words, in_words, own_name
from qtm.strategies.step_source import (
    Misfit,
    answers_of,
    function_called,
    misfits_of,
    names_at_the_top,
    nodes_of,
    parameter_names,
    places_orders,
    state_names,
    steps_of,
)
from qtm.trading import desk as desk_words
from qtm.trading import desk_memory

COMPILER_ERRORS = (
    NumbaError,
    UnsupportedBytecodeError,
    KeyError,
    AttributeError,
    NotImplementedError,
    TypeError,
)
"""What compiling a step may raise."""


def explain_compile_error(error: Exception, strategy: str, source: Path) -> StrategyError:
    """The error as a person can act on it; `source` is the strategy's file."""
    return _Complaint(error, source).explained(strategy)


class _Complaint:
    """One error of the compiler beside the source it is about.

    `text` is what the compiler said, `line` the line of the file that it means (or that shows the reason).
    """

    def __init__(self, error: Exception, source: Path) -> None:
        self.error, self.source = error, source
        self.text = str(error)
        # A cell of a notebook is no file; its lines are where tracebacks find them.
        linecache.checkcache(str(source))
        self.tree = ast.parse("".join(linecache.getlines(str(source))))
        self.steps = steps_of(self.tree)
        self.line = self._line()

    def explained(self, strategy: str) -> StrategyError:
        misfits = [one for step in self.steps for one in misfits_of(step)]
        blamed = next((one for one in misfits if one.certain or one.line == self.line), None)
        if blamed:
            return self._misfit(blamed)
        if isinstance(self.error, KeyError):  # how numba says that a record has no such field
            return self._about_field(str(self.error.args[0]))
        unknown = phrases.UNKNOWN.search(self.text)
        if unknown:
            return self._about_name(unknown.group(1) or unknown.group(2))
        found = self._about_plan() or self._translated() or self._about_types() or self._about_call()
        if found:
            return found
        if misfits:
            return self._misfit(misfits[0])
        first = next((one.strip() for one in self.text.splitlines() if one.strip()), "unknown reason")
        return self._error(
            f"the step of {strategy!r} does not compile: {first}",
            "a step may use numbers, tuples, numpy arrays and the functions of qtm.features",
        )

    def _line(self) -> int | None:
        """The innermost line of the file that the compiler names; that of a whole function says nothing."""
        name = re.escape(self.source.name)
        named = re.findall(rf'File "[^"]*{name}", line (\d+)|{name}(?::| \()(\d+)\)', self.text)
        lines = [int(one or other) for one, other in named]
        heads = {node.lineno for node in nodes_of(self.tree, ast.FunctionDef)}
        within = [line for line in lines if line not in heads]
        return within[0] if within else lines[0] if lines else None

    def _error(self, message: str, remedy: str, line: int | None = None) -> StrategyError:
        at = line or self.line or (self.steps[0].lineno if self.steps else None)
        if self.source.is_file():
            where = f"{self.source}:{at}" if at else str(self.source)
        else:
            where = f"line {at} of the cell" if at else "the cell"
        return StrategyError(message, where=where, remedy=remedy)

    def _misfit(self, misfit: Misfit) -> StrategyError:
        return self._error(misfit.message, misfit.remedy, misfit.line)

    def _lines_with(self, attribute: str) -> list[int]:
        return [node.lineno for node in nodes_of(self.tree, ast.Attribute) if node.attr == attribute]

    def _translated(self) -> StrategyError | None:
        """What needs no more than other words."""
        parameter = re.search(r"Unknown attribute '(\w+)' of type Params", self.text)
        if parameter:
            field = parameter.group(1)
            remedy = _meant(field, parameter_names(self.tree))
            return self._error(
                f"the strategy's parameters have no field {field!r}",
                remedy or "add it, with a default, to the parameter tuple",
            )
        for pattern, message, remedy in phrases.EXPLANATIONS:
            found = re.search(pattern, self.text)
            if found:
                written = [line for one in found.groups() for line in self._lines_with(one)]
                if "Plan" in message:
                    written = self._plans()
                line = self.line if self.line not in _heads(self.steps) else None
                return self._error(message.format(*found.groups()), remedy, line or _first(written))
        return None

    def _plans(self) -> list[int]:
        """The lines of the file on which a Plan is made."""
        calls = nodes_of(self.tree, ast.Call)
        return sorted(one.lineno for one in calls if ast.unparse(one.func) == "Plan")

    def _about_plan(self) -> StrategyError | None:
        """A Plan of something that is no number; where the file makes none, the answer was to become one."""
        said: list[str] = phrases.NO_PLAN.findall(self.text)
        if not said:
            return None
        what, but, kind = said[-1].partition(" but ")
        if but and not self._plans():
            return self._about_answer([kind])
        return self._error(
            f"a Plan is made of other things than it takes: {what}{but}{in_words(kind)}",
            "write Plan(target, stop=, take_profit=, trail=) with numbers, and leave out what is to stay",
            None if self.line not in _heads(self.steps) else self._plans()[0],
        )

    def _about_field(self, field: str) -> StrategyError:
        """A record has no such field: the state, or what an order strategy is given."""
        used = [
            (node, step)
            for step in self.steps
            for node in nodes_of(step, ast.Attribute)
            if node.attr == field
        ]
        if not used:
            lines = self._lines_with(field)
            return self._error(f"a memory has no field {field!r}", "add it to `state=`", _first(lines))
        node, step = used[0]
        owner = ast.unparse(node.value)
        names = [one.arg for one in step.args.args]
        place = names.index(owner) if owner in names else -1
        if place == 1:
            remedy = _meant(field, state_names(step)) or "add it to `state=` of the decorator"
            return self._error(f"the strategy's state has no field {field!r}", remedy, node.lineno)
        if places_orders(step) and place == 4 and callable(getattr(desk_words, field, None)):
            return self._error(
                f"{owner}.{field} is a function, not a field",
                f"`from qtm.trading.desk import {field}`, and call {field}({owner}, ...)",
                node.lineno,
            )
        memory = "the memory of an indicator is for its own functions, such as rolling_sum(state.window, ...)"
        remedy = {
            2: f"an event has {_listed(desk_memory.EVENT.names)}",
            3: f"an account has {_listed(desk_memory.ACCOUNT.names)}",
            4: f"it has {phrases.DESK}; what it does are functions of qtm.trading.desk",
        }.get(place, memory)
        return self._error(f"{owner} has no field {field!r}", remedy, node.lineno)

    def _about_name(self, name: str) -> StrategyError:
        """Why the compiler does not know a name."""
        used = [node.lineno for step in self.steps for node in nodes_of(step, ast.Name) if node.id == name]
        line = _first(used) if self.line in {None, *_heads(self.steps)} else self.line
        for node in self.tree.body:
            if isinstance(node, ast.FunctionDef) and node.name == name:
                return self._error(
                    f"{name!r} is a plain Python function, which a step cannot call",
                    "decorate it with @inlined of qtm.compiled; it must not call itself",
                    line,
                )
        known = names_at_the_top(self.tree)
        if name in known or hasattr(builtins, name):
            remedy = "use numbers, tuples, numpy and the functions of qtm.features"
            if name in known:
                remedy += "; what a step is to remember belongs in `state`"
            if name == "breakpoint":
                remedy = "run it with --debug: plain Python stops there"
            return self._error(
                f"{name!r} cannot be used inside a step: the compiler does not know it", remedy, line
            )
        for module in (indicators, desk_words):
            if callable(getattr(module, name, None)):
                return self._error(
                    f"the name {name!r} is not defined", f"`from {module.__name__} import {name}`", line
                )
        remedy = _meant(name, known) or "import or define it at the top of the strategy file"
        return self._error(f"the name {name!r} is not defined", remedy, line)

    def _about_types(self) -> StrategyError | None:
        """Values of kinds that do not go together."""
        two = phrases.TWO_KINDS.search(self.text)
        if two:
            one, other, variable, place = two.groups()
            if not place.endswith(self.source.name):
                return self._about_answer({one, other} - {"float64"} or {other})
            kinds = " and sometimes ".join(sorted((in_words(one), in_words(other))))
            return self._error(
                f"{own_name(variable)!r} is sometimes {kinds}",
                "a variable keeps one kind of value: use another one for the other",
            )
        empty = phrases.EMPTY_LIST.search(self.text)
        if empty:
            return self._error(
                f"{own_name(empty.group(1))!r} is an empty list, and nothing tells what it is to hold",
                "np.zeros(n) makes room for n numbers; what is to be remembered belongs in `state`",
            )
        appended = phrases.APPENDED.search(self.text)
        if appended:
            held, given = in_words(appended.group(1)), in_words(appended.group(2))
            return self._error(
                f"a list holds values of one kind: this one {held}, and it is given {given}",
                "use a second list, or variables",
            )
        operation = phrases.OPERATION.search(self.text)
        if operation:
            name, kinds = operation.group(1), arguments_in_words(operation.group(2))
            if name in ("getitem", "static_getitem"):
                message = f"an element cannot be taken so: {kinds}"
                remedy = "a tuple of different things is taken apart with numbers written out, such as x[0]"
                return self._error(message, remedy)
            sign = phrases.SIGNS.get(name.lstrip("i"), name)
            return self._error(f"`{sign}` does not go with {kinds}", "both sides must be numbers")
        return None

    def _about_answer(self, kinds: Iterable[str]) -> StrategyError:
        """The step answers something that is no target."""
        words = " and ".join(sorted(in_words(one) for one in kinds))
        returns = sorted(node.lineno for step in self.steps for node in answers_of(step))
        return self._error(
            f"the step answers {words}",
            "answer one number, the target position: 1.0 is all of the equity, 0.0 flat, np.nan no change",
            returns[-1] if returns else None,
        )

    def _about_call(self) -> StrategyError | None:
        """A function called with other things than it takes."""
        missing = phrases.MISSING.search(self.text)
        given = self.text.count("Var(") or None
        called = re.search(
            rf"resolving callee type: Function\(<(?:built-in )?function (\w+)[^\n]*\n[^\n]*typing of call at "
            rf"[^\n]*{re.escape(self.source.name)} \(",
            self.text,
        )
        name = called.group(1) if called else function_called(self.tree, self.line, given)
        if missing and name:
            lacking = missing.group(1)
            what = f"without its argument {lacking!r}" if lacking else "with too many arguments"
            return self._error(f"{name}(...) is called {what}", self._signature(name))
        cast = re.search(r"Cannot cast (.+?) to (\w+)", self.text)
        if called and cast:
            kinds = f"{in_words(cast.group(1))} where {in_words(cast.group(2))} is wanted"
            return self._error(f"{name}(...) is given {kinds}", self._signature(called.group(1)))
        inner = set(re.findall(r"^\s*def (\w+)\(", self.text, re.MULTILINE))
        calls = [one for step in self.steps for one in nodes_of(step, ast.Call)]
        for call in calls:
            name = ast.unparse(call.func)
            if hasattr(indicators, name) and (name in inner or _passes_on(name, inner)):
                return self._error(
                    f"{name}(...) is given something it cannot use", self._signature(name), call.lineno
                )
        field = phrases.NO_FIELD.search(self.text)
        if field:
            return self._error(
                f"{in_words(field.group(2))} has no field {field.group(1)!r}",
                "a step sees one bar: keep earlier ones in `state`",
            )
        if called:
            name = called.group(1)
            return self._error(f"{name}(...) is given something it cannot use", self._signature(name))
        return None

    def _signature(self, name: str) -> str:
        """How a function of ours is called, as a remedy."""
        for module in (indicators, desk_words):
            function = getattr(module, name, None)
            code = getattr(getattr(function, "py_func", function), "__code__", None)
            if code is not None:
                return f"it is called as {name}({', '.join(code.co_varnames[: code.co_argcount])})"
        return "look up what it takes"


def _passes_on(name: str, inner: set[str]) -> bool:
    """True for an indicator that calls another one, which the compiler then names."""
    function = getattr(indicators, name)
    code = getattr(getattr(function, "py_func", function), "__code__", None)
    return code is not None and bool(inner.intersection(code.co_names))


def _first(lines: list[int]) -> int | None:
    return lines[0] if lines else None


def _heads(steps: list[ast.FunctionDef]) -> set[int]:
    return {step.lineno for step in steps}


def _meant(name: str, known: list[str]) -> str | None:
    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else None


def _listed(names: tuple[str, ...] | None) -> str:
    *most, last = names or ("nothing",)
    return f"{', '.join(most)} and {last}" if most else last

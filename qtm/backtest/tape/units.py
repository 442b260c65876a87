"""Parts of the engine that are machine code of their own and call each other by address.

The compiler links what a function calls into it and optimises the whole again, at every level: an engine of a
hundred small functions would take half a minute. A `unit` is compiled once, kept on disk, and called by name
through the linker's table. To plain Python it stays the plain function it is.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar

import llvmlite.binding as llvm
import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import lower_builtin

from qtm.backtest.tape.events import TAPE_BAR, TAPE_EVENT
from qtm.backtest.tape.ledger import END_ROW, FILL_ROW
from qtm.backtest.tape.rules import RULES
from qtm.compiled import either_way
from qtm.strategies.machine_code import digest_of, load_kernel
from qtm.trading.desk_memory import DESK, ORDER

F = TypeVar("F", bound=Callable[..., Any])

SOURCES = tuple(
    f"qtm.backtest.tape.{name}"
    for name in (
        "accounts", "bar_path", "events", "ledger", "loop", "market", "matching", "orders", "queues",
        "requests", "rules", "triggers", "units",
    )
)  # fmt: skip
"""Modules that machine code is made of."""

SHARED = "what all strategies share in the orders engine"
"""What the units are compiled for."""

_ARGUMENTS: dict[str, types.Type] = {
    "desk": numba.from_dtype(DESK),
    "rules": numba.from_dtype(RULES),
    "order": numba.from_dtype(ORDER),
    "bar": numba.from_dtype(TAPE_BAR),
    "levels": types.int64[::1],
    "equity": types.float64[::1],
    "events": types.Array(numba.from_dtype(TAPE_EVENT), 1, "C"),
    "bars": types.Array(numba.from_dtype(TAPE_BAR), 1, "C"),
    "fills": types.Array(numba.from_dtype(FILL_ROW), 1, "C"),
    "ends": types.Array(numba.from_dtype(END_ROW), 1, "C"),
}
"""Machine types by the name of a parameter; every other one is a whole number."""

_TEMPLATE = '''"""Generated: one part of the orders-and-trades engine."""
from qtm.compiled_kernels import kernel_by_address


@kernel_by_address(signature)
def {name}({arguments}):
    {leave}body({arguments})
'''

_units: dict[str, tuple[Callable[..., Any], types.Type, str]] = {}


def symbol_of(name: str) -> str:
    """The linker's name of a unit, another one for other sources."""
    return f"qtm_{name}_{digest_of(SOURCES)}"


def unit(function: F) -> F:
    """Make a unit of a function of whole numbers and records that answers a whole number or nothing."""
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    silent = function.__annotations__["return"] in (None, "None")
    answer = types.none if silent else types.int64
    signature = answer(*(_ARGUMENTS.get(name, types.int64) for name in names))
    name = function.__name__

    class _Typed(AbstractTemplate):  # type: ignore[misc]
        key = function

        def generic(self, args: Any, kws: Any) -> Any:
            return None if kws else signature

    infer_global(function, types.Function(_Typed))

    @lower_builtin(function, *signature.args)  # type: ignore[untyped-decorator]
    def call(context: Any, builder: Any, called: Any, arguments: Any) -> Any:
        kinds = [context.get_value_type(kind) for kind in called.args]
        result = ir.VoidType() if silent else context.get_value_type(types.int64)
        target = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(result, kinds), symbol_of(name)
        )
        answered = builder.call(target, arguments)
        return context.get_dummy_value() if silent else answered

    # The body under another identity: a unit called inside its own module is called by address, too.
    body = FunctionType(code, function.__globals__, f"{name}_body", function.__defaults__)
    _units[name] = (either_way(body), signature, ", ".join(names))
    return function


def link(names: tuple[str, ...]) -> dict[str, Any]:
    """Compile or load units in this order, callees first, and make their addresses known to the linker."""
    linked = {}
    for name in names:
        body, signature, arguments = _units[name]
        module = load_kernel(
            f"tape_{name}",
            _TEMPLATE.format(
                name=name, arguments=arguments, leave="" if signature.return_type == types.none else "return "
            ),
            {"body": body, "signature": signature},
            purpose=SHARED,
            strategy_version="",
            strategy_module="",
            modules=SOURCES,
        )
        compiled = getattr(module, name)
        llvm.add_symbol(symbol_of(name), compiled.address)
        linked[name] = compiled
    return linked

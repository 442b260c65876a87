"""The typed face of numba: `@compiled` turns a plain numeric function into machine code.

Left to itself numba optimises and assembles every function a kernel calls, and again the whole of it in each
caller. Functions that only other compiled code calls are *pieces* here: translated once, optimised and
assembled as part of the kernel they end up in. That halves the time to compile an engine.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import numba
from llvmlite import ir
from numba import _dynfunc, types
from numba.core import cgutils, event
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.registry import CPUDispatcher
from numba.core.typed_passes import NativeLowering
from numba.extending import intrinsic, register_jitable

from qtm.compile_notice import announce
from qtm.compile_stamp import digest_of_function
from qtm.kept_code import KeptCode

F = TypeVar("F", bound=Callable[..., object])

_STRICT: dict[str, Any] = {"fastmath": False, "error_model": "numpy"}
"""Floating-point arithmetic stays IEEE: a sweep, a backtest and the live stream give the same bits."""


class _PieceLibrary(JITCodeLibrary):  # type: ignore[misc]
    """Code that is linked into others and never runs by itself."""

    def finalize(self) -> None:
        """Gather what the piece calls; its kernel optimises and assembles it."""
        for library in dict.fromkeys(self._linking_libraries):
            self._reload_init.update(library._reload_init)
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalize_dynamic_globals()
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class _PieceLowering(NativeLowering):  # type: ignore[misc]
    """Translate a function without making it executable."""

    _name = "qtm_piece_lowering"

    def run_pass(self, state: Any) -> bool:
        state.library = _PieceLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True
        changed = bool(super().run_pass(state))
        lowered = state["cr"]
        named = lowered.fndesc.qualname.split(".")[-1]
        # The dispatcher insists on an entry point; nobody calls this one, whose address is null.
        entry = _dynfunc.make_function(
            lowered.fndesc.lookup_module(), named, "", 0, lowered.env, (state.library,)
        )
        state.targetctx.insert_user_function(entry, lowered.fndesc, [state.library])
        state["cr"] = lowered._replace(cfunc=entry)
        return changed


class _PieceCompiler(CompilerBase):  # type: ignore[misc]
    """numba's pipeline with the last step but one replaced."""

    def define_pipelines(self) -> list[Any]:
        manager = DefaultPassBuilder.define_nopython_pipeline(self.state)
        manager.passes = [
            (_PieceLowering if step is NativeLowering else step, why) for step, why in manager.passes
        ]
        manager.finalize()
        return [manager]


_PIECE = {**_STRICT, "pipeline_class": _PieceCompiler, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


class _Compiled(CPUDispatcher):  # type: ignore[misc]
    """A function that Python calls as machine code of its own, and compiled code as a piece."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._piece = numba.njit(**_PIECE)(self.py_func)
        self._cache = KeptCode(self.py_func, lambda: digest_of_function(self.py_func))

    @property
    def _numba_type_(self) -> types.Type:
        return types.Dispatcher(self._piece)


def compiled(function: F) -> F:
    """Compile `function` on first call and keep the machine code on disk for later processes."""
    return cast(F, _Compiled(py_func=function, locals={}, targetoptions={"nopython": True, **_STRICT}))


def inlined(function: F) -> F:
    """Compile `function` into its compiled callers (for small pieces such as indicators).

    A step that runs as plain Python calls it as machine code of its own, which is kept.
    """
    made = numba.njit(inline="always", **_STRICT)(function)
    made._cache = KeptCode(function, lambda: digest_of_function(made.py_func))
    return cast(F, made)


def either_way(function: F) -> F:
    """Leave `function` as plain Python and let compiled code call it as machine code too.

    For rules that run over exact `Decimal`s on the live path and over floats inside compiled loops. It may
    not make arrays: without any to count, its machine code counts no references to those it is given.
    """
    return cast(F, register_jitable(**_PIECE, _nrt=False)(function))


@intrinsic  # type: ignore[untyped-decorator]
def fetch_ahead(typing_context: Any, column: Any, at: Any) -> Any:
    """Have the processor load `column[at]` while it works on something else: `fetch_ahead(column, at)`.

    For columns of which a loop reads a value now and then: each such value waits for main memory, longer than
    a whole order takes. The index may lie beyond the end. Nothing is read, so nothing can look ahead.
    Source: LLVM Language Reference, "llvm.prefetch".
    """

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(column)(context, builder, arguments[0])
        address = builder.bitcast(builder.gep(array.data, [arguments[1]]), cgutils.voidptr_t)
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, number, number, number])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [cgutils.voidptr_t], kind)
        to_read, keep, data = number(0), number(3), number(1)
        builder.call(prefetch, [address, to_read, keep, data])
        return context.get_dummy_value()

    return types.none(column, at), build


class _Compilation(event.Listener):  # type: ignore[misc]
    """Announces what is compiled, and keeps the cycle collector from walking the compiler's many objects.

    numba compiles under a lock of its own, so starts and ends pair up.
    """

    def __init__(self) -> None:
        self.depth, self.was_enabled = 0, False
        self.loading = ""

    def on_start(self, event: Any) -> None:
        """A function begins, maybe within another one."""
        function = event.data["dispatcher"].py_func
        what = getattr(sys.modules.get(function.__module__), PURPOSE, "")
        if what or self.depth == 0:
            announce(what or self.loading or f"the functions of {function.__module__}")
        if self.depth == 0:
            self.was_enabled = gc.isenabled()
            gc.disable()
        self.depth += 1

    def on_end(self, event: Any) -> None:
        """The outermost function is done."""
        self.depth -= 1
        if self.depth == 0 and self.was_enabled:
            gc.enable()


PURPOSE = "__compiled_for__"
"""Name under which a generated module says, in words, what it is compiled for."""

_compilation = _Compilation()
event.register("numba:compile", _compilation)


@contextmanager
def compiling_for(what: str) -> Iterator[None]:
    """Announce code that is compiled while its module is loaded as compiled for `what`."""
    _compilation.loading = what
    try:
        yield
    finally:
        _compilation.loading = ""

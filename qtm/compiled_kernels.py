"""Kernels: functions of generated modules that run as machine code and are kept for later processes.

A kernel that calls another one does so by its address. numba would link the other's code into it and optimise
all of that again, at every level: a loop around a strategy's step would take as long as the whole engine.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

import llvmlite.binding as llvm
import numba
from numba.core.ccallback import CFunc
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.sigutils import normalize_signature

from qtm.kept_code import KeptCode

F = TypeVar("F", bound=Callable[..., object])


def kernel(*, makes_arrays: bool = True, in_callers: bool = False) -> Callable[[F], F]:
    """Compile a function of a generated module on its first call, and keep the machine code on disk.

    The module's name must tell all that the function depends on, as `qtm.strategies.machine_code` sees to. A
    function that makes no arrays counts no references to those it is given. One that is called too often to
    hand it all its arguments becomes part of its callers, which then take longer to compile.
    """

    def make(function: F) -> F:
        made = numba.njit(nogil=True, error_model="numpy", _nrt=makes_arrays, pipeline_class=_KernelCompiler)(
            function
        )
        made._cache = _KernelCode(function, in_callers=in_callers)
        return cast(F, made)

    return make


def kernel_by_address(signature: Any) -> Callable[[Callable[..., object]], Any]:
    """Compile or load a function of a generated module at once: a `kernel` called by its `address`."""

    def make(function: Callable[..., object]) -> Any:
        options = {"nopython": True, "error_model": "numpy", "_nrt": False}
        made: Any = CFunc(function, normalize_signature(signature), locals={}, options=options)
        made._cache = KeptCode(function, lambda: function.__module__)
        made.compile()
        return made

    return make


class _KernelCompiler(CompilerBase):  # type: ignore[misc]
    """numba's pipeline, with a symbol that is the same in every process."""

    def define_pipelines(self) -> list[Any]:
        function = self.state.func_id
        named = f"{function.modname} {function.func_qualname}".encode() + function.func.__code__.co_code
        function.unique_id = int.from_bytes(hashlib.sha256(named).digest()[:6], "big")
        return [DefaultPassBuilder.define_nopython_pipeline(self.state)]


class _KernelCode(KeptCode):
    """Keeps a kernel with the names of those it calls, which must be there before it is loaded."""

    def __init__(self, function: Callable[..., object], *, in_callers: bool) -> None:
        super().__init__(function, lambda: function.__module__)
        self._in_callers = in_callers

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """As `KeptCode`."""
        made = super().load_overload(sig, target_context)
        if made is not None:
            self._make_known(sig, made)
        return made

    def save_overload(self, sig: Any, made: Any) -> None:
        """As `KeptCode`."""
        super().save_overload(sig, made)
        self._make_known(sig, made)

    def _needs(self, made: Any) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(_called(made.library)))

    def _has(self, needs: tuple[Any, ...]) -> bool:
        """Load the kernels it calls; False if one has another name, and so other sources, than before."""
        for module, name, sig, symbol in needs:
            called = getattr(sys.modules.get(module), name, None)
            if called is None:
                return False
            called.compile(sig)
            if called.overloads[sig].fndesc.llvm_func_name != symbol:
                return False
        return True

    def _make_known(self, sig: Any, made: Any) -> None:
        """Give those who call it a name, instead of the code or with it."""
        symbol = made.fndesc.llvm_func_name
        if not self._in_callers:
            llvm.add_symbol(symbol, made.library.get_pointer_to_function(symbol))
            made.library._shared_module = llvm.parse_assembly("")
        made.library.qtm_kernel = (self._function.__module__, self._function.__name__, sig, symbol)


def _called(library: Any) -> Iterator[tuple[Any, ...]]:
    """The kernels whose names a library holds, through the pieces in it."""
    for one in library._linking_libraries:
        called = getattr(one, "qtm_kernel", None)
        if called is None:
            yield from _called(one)
        else:
            yield called

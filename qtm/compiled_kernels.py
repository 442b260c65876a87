"""Kernels: functions of generated modules that run as machine code and are kept for later processes.

A kernel that calls another one does so by its address. numba would link the other's code into it and optimise
all of that again, at every level: a loop around a strategy's step would take as long as the whole engine.
What is large and the same in all those calls goes by its address too (`by_address`): numba hands over a tuple
as its numbers, one argument each, and a run's rules are some eighty.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

import llvmlite.binding as llvm
import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.ccallback import CFunc
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.datamodel import PrimitiveModel
from numba.core.imputils import impl_ret_borrowed
from numba.core.sigutils import normalize_signature
from numba.core.typing.templates import AttributeTemplate
from numba.extending import infer_getattr, intrinsic, lower_getattr_generic, register_model

from qtm.kept_code import KeptCode

F = TypeVar("F", bound=Callable[..., object])


def kernel(*, makes_arrays: bool = True) -> Callable[[F], F]:
    """Compile a function of a generated module on its first call, and keep the machine code on disk.

    The module's name must tell all that the function depends on, as `qtm.strategies.machine_code` sees to. A
    function that makes no arrays counts no references to those it is given.
    """

    def make(function: F) -> F:
        made = numba.njit(nogil=True, error_model="numpy", _nrt=makes_arrays, pipeline_class=_KernelCompiler)(
            function
        )
        made._cache = _KernelCode(function)
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


class ByAddress(types.Type):  # type: ignore[misc]
    """The type of a named tuple that lies in memory: its fields are read where they are used."""

    def __init__(self, values: types.BaseNamedTuple) -> None:
        super().__init__(f"ByAddress({values})")
        self.values = values

    def place_of(self, field: str) -> tuple[int, Any] | None:
        """Index and type of a field, which is by address again where it is a named tuple."""
        if field not in self.values.fields:
            return None
        at = self.values.fields.index(field)
        kind = self.values.types[at]
        return at, ByAddress(kind) if isinstance(kind, types.BaseNamedTuple) else kind


@intrinsic  # type: ignore[untyped-decorator]
def by_address(typing_context: Any, values: Any) -> Any:
    """Lay a named tuple down in the memory of the calling function, for the kernels it calls.

    What the caller reads often it reads from `values`, which stay in registers: it cannot know that a kernel
    leaves the memory as it is.
    """
    if not isinstance(values, types.BaseNamedTuple):
        return None

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return cgutils.alloca_once_value(builder, arguments[0])

    return ByAddress(values)(values), build


@register_model(ByAddress)
class _Address(PrimitiveModel):  # type: ignore[misc]
    def __init__(self, models: Any, kind: ByAddress) -> None:
        super().__init__(models, kind, models[kind.values].get_value_type().as_pointer())


@infer_getattr
class _FieldOfAddressed(AttributeTemplate):  # type: ignore[misc]
    key = ByAddress

    def generic_resolve(self, kind: ByAddress, field: str) -> Any:
        place = kind.place_of(field)
        return None if place is None else place[1]


@lower_getattr_generic(ByAddress)  # type: ignore[untyped-decorator]
def _read_field(context: Any, builder: Any, kind: ByAddress, address: Any, field: str) -> Any:
    at, found = cast(tuple[int, Any], kind.place_of(field))
    where = builder.gep(address, [ir.IntType(32)(0), ir.IntType(32)(at)], inbounds=True)
    if isinstance(found, ByAddress):
        return where
    return impl_ret_borrowed(context, builder, found, builder.load(where))


class _KernelCompiler(CompilerBase):  # type: ignore[misc]
    """numba's pipeline, with a symbol that is the same in every process."""

    def define_pipelines(self) -> list[Any]:
        function = self.state.func_id
        named = f"{function.modname} {function.func_qualname}".encode() + function.func.__code__.co_code
        function.unique_id = int.from_bytes(hashlib.sha256(named).digest()[:6], "big")
        return [DefaultPassBuilder.define_nopython_pipeline(self.state)]


class _KernelCode(KeptCode):
    """Keeps a kernel with the names of those it calls, which must be there before it is loaded."""

    def __init__(self, function: Callable[..., object]) -> None:
        super().__init__(function, lambda: function.__module__)

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
        """Give those who call it a name instead of the code."""
        symbol = made.fndesc.llvm_func_name
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

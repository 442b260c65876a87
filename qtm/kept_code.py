"""Machine code of a function that later processes find: what numba asks before it compiles, and tells after.

numba's own cache keeps an index for each function, through which two processes that compile at a time may
take each other's code, and it stops at a damaged file. Here each signature is a file of its own, named by all
it depends on (see `qtm.compile_cache`).
"""

from __future__ import annotations

import hashlib
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from qtm.compile_cache import MACHINE_CODE, cache_folders, keep, kept

_FORM = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
"""Tells an entry of this release from those of others, which may be written in another form."""

_VERSIONS = (sys.version, numba.__version__, llvmlite.__version__, np.__version__, _FORM)


class KeptCode(NullCache):  # type: ignore[misc]
    """What numba needs to know as the cache of a function.

    Parameters
    ----------
    function
        The plain function.
    stamp
        Gives the state of all sources that its machine code is made of; asked when it is first looked for.
    """

    def __init__(self, function: Callable[..., object], stamp: Callable[[], str]) -> None:
        self._function, self._stamp = function, stamp
        self._state: bytes | None = None

    @property
    def cache_path(self) -> str:
        """Where it is looked for first."""
        return str(cache_folders()[0])

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The machine code for a signature, or None."""
        target_context.refresh()
        data = kept(self._name(sig, target_context.codegen()))
        if data is None:
            return None
        try:
            signature, needs, reduced = pickle.loads(data)
        except (ImportError, AttributeError):  # it names something that is no longer there
            return None
        if signature != sig or not self._has(needs):  # two types may print alike
            return None
        return CompileResult._rebuild(target_context, *reduced)

    def save_overload(self, sig: Any, made: Any) -> None:
        """Keep it, unless it holds addresses of this process, such as that of a large constant array."""
        if not made.library.has_dynamic_globals:
            keep(self._name(sig, made.codegen), dumps((sig, self._needs(made), made._reduce())))

    def _needs(self, made: Any) -> tuple[Any, ...]:
        """What must be loaded before it."""
        return ()

    def _has(self, needs: tuple[Any, ...]) -> bool:
        """Load that; False where it is not what it was."""
        return True

    def _name(self, sig: Any, codegen: Any) -> str:
        """The entry for a signature on this processor."""
        if self._state is None:
            inside = self._function.__closure__ or ()
            self._state = self._stamp().encode() + self._function.__code__.co_code
            self._state += dumps(tuple(cell.cell_contents for cell in inside))
        digest = hashlib.sha256(self._state)
        digest.update(f"{sig} {codegen.magic_tuple()} {_VERSIONS}".encode())
        named = f"{self._function.__module__}.{self._function.__name__}"
        return f"{MACHINE_CODE}/{named}-{digest.hexdigest()[:32]}"

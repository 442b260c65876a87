"""What makes kept machine code of a function stale.

numba's own cache looks at the file that holds a function and at none of those it calls. Here a function is as
old as everything it reaches: the files of the functions it calls, theirs, and the constants they name.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

import numpy as np

import qtm

_CONSTANTS = (bool, int, float, str, tuple, np.dtype, np.generic)


def digest_of_function(function: FunctionType) -> str:
    """Hash over the sources of all own code that machine code of `function` is made of.

    Own is what belongs to this package or to the function's.
    """
    own = {qtm.__name__, _package_of(function.__module__)}
    files: dict[str, None] = {}
    constants: set[str] = set()
    waiting, seen = [function], {function}
    while waiting:
        one = waiting.pop()
        files[one.__code__.co_filename] = None
        for name in _names(one.__code__):
            value = one.__globals__.get(name)
            plain = getattr(value, "py_func", value)
            if isinstance(plain, FunctionType) and _package_of(plain.__module__) in own:
                if plain not in seen:
                    seen.add(plain)
                    waiting.append(plain)
            elif isinstance(plain, ModuleType) and _package_of(plain.__name__) in own:
                files[str(plain.__file__)] = None
            elif isinstance(plain, type) and _package_of(plain.__module__) in own:
                files[str(sys.modules[plain.__module__].__file__)] = None
            elif isinstance(plain, _CONSTANTS):
                constants.add(f"{name} {plain!r}")
            elif isinstance(plain, np.ndarray):
                constants.add(f"{name} {plain.dtype} {plain.shape} {plain.tobytes().hex()}")
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(Path(file).read_bytes())
    digest.update("\n".join(sorted(constants)).encode())
    return digest.hexdigest()


def _names(code: CodeType) -> Iterator[str]:
    """The names a function's code and the functions inside it look up."""
    yield from code.co_names
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from _names(part)


def _package_of(module: str) -> str:
    return module.partition(".")[0]

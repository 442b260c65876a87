"""What a strategy was made from: its own file, and everything else of its author's that it leans on.

Machine code, the trial registry and promotions are keyed by a strategy's version. A helper in another file,
or in another cell of a notebook, is part of what runs, so it is part of the version. The platform and
installed packages are not: the kernels and a candidate name those by their own versions.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import sys
import sysconfig
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

_PLATFORM = "qtm"
_INSTALLED = tuple(
    Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")
)
_MADE = "<string>"
"""Where functions live that were made rather than written, such as the `__init__` of a dataclass."""
_IMPORTED: dict[str, tuple[object, bytes]] = {}
"""Module name to the import it was seen at and the source then: an edit counts when it is imported again."""


def file_of(definition: Callable[..., Any]) -> Path:
    """The file that holds a function or class; the name of its cell in a notebook, which is no file."""
    try:
        return Path(inspect.getfile(definition))
    except (OSError, TypeError):
        # Of a class in a notebook only the functions know where they were written.
        named = (Path(one.__code__.co_filename) for one in _functions(definition))
        return next((path for path in named if path.name != _MADE), Path(_MADE))


def source_digest(definition: Callable[..., Any]) -> str:
    """SHA-256 in hex over the file of `definition` and every file of the author's that it imports.

    Files are followed from `import` to `import`, in functions too, through the author's own modules. In a
    notebook the definition is taken with the functions, classes and constants of other cells that it names.
    """
    path = file_of(definition)
    own, others = _file_and_behind(definition, path) if path.is_file() else _cells_behind(definition)
    digest = hashlib.sha256(own)
    for name, source in sorted(others.items()):
        digest.update(f"\n{name} {hashlib.sha256(source).hexdigest()}".encode())
    return digest.hexdigest()


def sources_behind(definition: Callable[..., Any]) -> dict[str, bytes] | None:
    """The file of `definition` and every file of the author's that it imports: name to source.

    None for a definition in a notebook, which is in no file.
    """
    path = file_of(definition)
    if not path.is_file():
        return None
    own, others = _file_and_behind(definition, path)
    return {path.name: own, **others}


def _file_and_behind(definition: Callable[..., Any], path: Path) -> tuple[bytes, dict[str, bytes]]:
    own = path.read_bytes()
    module = sys.modules.get(definition.__module__)
    return own, {} if module is None else _modules_behind(own, module.__name__, module.__package__ or "")


def _modules_behind(source: bytes, module: str, package: str) -> dict[str, bytes]:
    """The author's modules that a source imports, directly and through each other: name to source."""
    family = module.partition(".")[0]
    found: dict[str, bytes] = {}
    waiting = [] if family == _PLATFORM else list(_imports(source, package))
    while waiting:
        name = waiting.pop()
        if name in found or name == module:
            continue
        spec = _authors_spec(name, family)
        if spec is None or spec.origin is None:
            continue
        found[name] = _source_at_import(name, Path(spec.origin))
        waiting += _imports(found[name], spec.parent or "")
    return found


def _imports(source: bytes, package: str) -> Iterator[str]:
    """Every module that a source may import, by its full name; `from a import b` may be the module `a.b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            named = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, *([base] if base else [])])
            named = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in named:
            parts = name.split(".")
            yield from (".".join(parts[: i + 1]) for i in range(len(parts)) if parts[0])


def _authors_spec(name: str, family: str) -> ModuleSpec | None:
    """Where a module's source is, when it is the author's: not the platform's, Python's or a package's."""
    top = name.partition(".")[0]
    if top == _PLATFORM or top in sys.stdlib_module_names:
        return None
    module = sys.modules.get(name)
    try:
        spec = importlib.util.find_spec(name) if module is None else module.__spec__
    except (ImportError, AttributeError, ValueError):
        return None  # `from a import b` where b is no module
    if spec is None or not (spec.origin or "").endswith(".py"):
        return None
    installed = any(Path(str(spec.origin)).resolve().is_relative_to(folder) for folder in _INSTALLED)
    return spec if top == family or not installed else None


def _source_at_import(name: str, path: Path) -> bytes:
    """The source of a module as it was when it was imported, so that a version never names other code."""
    imported = getattr(sys.modules.get(name), "__spec__", None)
    seen = _IMPORTED.get(name)
    if imported is None or seen is None or seen[0] is not imported:
        _IMPORTED[name] = seen = (imported, path.read_bytes())
    return seen[1]


def _cells_behind(definition: Callable[..., Any]) -> tuple[bytes, dict[str, bytes]]:
    """A definition of a notebook as text, and what it names: of other cells by name, of files by module."""
    texts: dict[str, str] = {}
    others: dict[str, bytes] = {}
    waiting = list(_functions(definition))
    seen: set[FunctionType] = set()
    while waiting:
        function = waiting.pop()
        if function in seen:
            continue
        seen.add(function)
        texts[function.__qualname__] = _text(function)
        for name in _names(function.__code__):
            value = function.__globals__.get(name)
            if isinstance(value, bool | int | float | complex | str | bytes | tuple | np.generic | np.dtype):
                texts[name] = repr(value)
            elif isinstance(value, np.ndarray):
                texts[name] = repr((value.dtype, value.shape, value.tobytes()))
            elif isinstance(value, ModuleType):
                others |= _module_and_behind(value.__name__)
            elif callable(value):
                for one in _functions(value):
                    if Path(one.__code__.co_filename).is_file():
                        others |= _module_and_behind(one.__module__)
                    else:
                        waiting.append(one)
    return "\n".join(f"{name}\n{text}" for name, text in sorted(texts.items())).encode(), others


def _text(function: FunctionType) -> str:
    try:
        return inspect.getsource(function)
    except OSError:
        return function.__code__.co_code.hex()


def _module_and_behind(name: str) -> dict[str, bytes]:
    return _modules_behind(f"import {name}".encode(), "", "")


def _functions(definition: object) -> Iterator[FunctionType]:
    """The Python functions of a function, a compiled function or a class."""
    plain = getattr(definition, "py_func", definition)
    if isinstance(plain, FunctionType):
        yield plain
    elif isinstance(plain, type):
        yield from (one for one in vars(plain).values() if isinstance(one, FunctionType))


def _names(code: CodeType) -> Iterator[str]:
    """Every global name that a function's code uses, its inner functions included."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)

"""Machine code of strategies, kept on disk for later processes and never older than its sources.

numba's own cache looks only at the file that holds the compiled function. A loop that calls a strategy's step
depends on more: the step, the indicators, the book, the gate, and the versions of numba and numpy. So each
such combination gets a small module of its own, named by a hash over all of them, by which the functions in
it are kept (`qtm.compiled_kernels`).
"""

from __future__ import annotations

import hashlib
import importlib.util
import linecache
import re
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

from qtm.compiled import PURPOSE, compiling_for

_TRADING_SOURCES = (
    "qtm.compiled",
    "qtm.compiled_kernels",
    "qtm.features",
    "qtm.market.bars",
    "qtm.trading",
    "qtm.risk.measures",
    "qtm.risk.rules",
    "qtm.risk.sized_targets",
    "qtm.risk.sizing",
    "qtm.risk.sizing_view",
)


@cache
def _digest_of_modules(names: tuple[str, ...]) -> bytes:
    """Hash over the source files of modules and packages, found without importing them."""
    digest = hashlib.sha256()
    for name in names:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            continue
        origin = Path(spec.origin)
        for file in sorted(origin.parent.glob("*.py")) if origin.name == "__init__.py" else [origin]:
            digest.update(file.read_bytes())
    for package in ("numba", "llvmlite", "numpy"):
        digest.update(version(package).encode())
    return digest.digest()


def digest_of(modules: Iterable[str]) -> str:
    """Name of the present state of the shared trading code and of `modules`, 16 hexadecimal digits."""
    return hashlib.sha256(_digest_of_modules((*_TRADING_SOURCES, *modules))).hexdigest()[:16]


def load_kernel(
    stem: str,
    template: str,
    names: Mapping[str, Any],
    *,
    purpose: str,
    strategy_version: str,
    strategy_module: str,
    modules: Iterable[str] = (),
) -> ModuleType:
    """The module made from `template`, compiled functions included, from the cache when it is there.

    Parameters
    ----------
    stem
        What the kernel is for, as a word in the file name.
    template
        Python source, whose functions are kernels of `qtm.compiled_kernels`.
    names
        Objects put into the module's namespace before it runs, such as the strategy's step.
    purpose
        What it is compiled for, in words: "trend for the step engine".
    strategy_version, strategy_module
        Hash of the strategy's source, and the module it lives in (the cached code refers to its types).
    modules
        Further modules or packages whose sources the machine code depends on.
    """
    digest = hashlib.sha256(_digest_of_modules((*_TRADING_SOURCES, *modules)))
    digest.update(f"{strategy_module} {strategy_version} {template}".encode())
    name = f"qtm_kernel_{re.sub(r'[^a-z0-9_]', '_', stem.lower())}_{digest.hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__dict__.update(names)
    module.__dict__[PURPOSE] = purpose
    sys.modules[name] = module
    file = f"<{name}>"
    linecache.cache[file] = (len(template), None, template.splitlines(keepends=True), file)
    with compiling_for(purpose):
        exec(compile(template, file, "exec"), module.__dict__)
    return module

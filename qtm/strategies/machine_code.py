"""Machine code of strategies, kept on disk for later processes and never older than its sources.

numba's own cache looks only at the file that holds the compiled function. A loop that calls a strategy's step
depends on more: the step, the indicators, the book, the gate, and the versions of numba and numpy. So each
such combination gets a small module of its own in the cache folder, named by a hash over all of them.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

from qtm.compile_cache import cache_folder
from qtm.compiled import PURPOSE, compiling_for
from qtm.errors import StoreError

_TRADING_SOURCES = (
    "qtm.compiled",
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
        Python source; its functions use numba's `cache=True`.
    names
        Objects put into the module's namespace before it runs, such as the strategy's step.
    purpose
        What it is compiled for, in words: "trend for the step engine".
    strategy_version, strategy_module
        Hash of the strategy's source, and the module it lives in (the cached code refers to its types).
    modules
        Further modules or packages whose sources the machine code depends on.

    Raises
    ------
    StoreError
        When the cache folder cannot be written.
    """
    digest = hashlib.sha256(_digest_of_modules((*_TRADING_SOURCES, *modules)))
    digest.update(f"{strategy_module} {strategy_version} {template}".encode())
    name = f"qtm_kernel_{re.sub(r'[^a-z0-9_]', '_', stem.lower())}_{digest.hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    path = cache_folder() / "kernels" / f"{name}.py"
    try:
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False) as file:
                file.write(template)
            Path(file.name).replace(path)
    except OSError as error:
        raise StoreError(
            f"the compiler cache cannot be written: {error.strerror}",
            where=str(path.parent),
            remedy="set QTM_CACHE to a writable folder",
        ) from error
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # a plain .py path always has a loader
    module = importlib.util.module_from_spec(spec)
    module.__dict__.update(names)
    module.__dict__[PURPOSE] = purpose
    sys.modules[name] = module
    with compiling_for(purpose):
        spec.loader.exec_module(module)
    return module

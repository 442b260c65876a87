"""The strategy contract and the bundled strategies, one file each."""

from __future__ import annotations

import pkgutil

_MACHINERY = frozenset(
    {"compile_errors", "contract", "machine_code", "order_contract", "parameters", "registry"}
)


def bundled_modules() -> list[str]:
    """Names of the modules that each hold one bundled strategy, told without importing the compiler.

    `mean_reversion` holds the strategy `mean-reversion`.
    """
    return sorted(found.name for found in pkgutil.iter_modules(__path__) if found.name not in _MACHINERY)

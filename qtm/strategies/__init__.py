"""The strategy contract and the bundled strategies, one file each."""

from __future__ import annotations

import pkgutil

_MACHINERY = frozenset(
    {
        "allocator_contract",
        "blame",
        "compile_errors",
        "contract",
        "declaration",
        "machine_code",
        "order_contract",
        "parameters",
        "python_contract",
        "registry",
    }
)


def bundled_modules() -> list[str]:
    """Names of the modules that each hold one bundled strategy, told without importing the compiler.

    `mean_reversion` holds the strategy `mean-reversion`.
    """
    return sorted(found.name for found in pkgutil.iter_modules(__path__) if found.name not in _MACHINERY)


_OTHER_KINDS = frozenset({"basis_carry", "cross_momentum", "grid", "market_making", "pairs"})


def step_modules() -> list[str]:
    """Those of `bundled_modules` that hold a step strategy."""
    return [name for name in bundled_modules() if name not in _OTHER_KINDS]

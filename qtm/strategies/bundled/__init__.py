"""The strategies that come with the platform, one file each.

`mean_reversion` holds the strategy `mean-reversion`, under the name `strategy`.
"""

from __future__ import annotations

import pkgutil

_OTHER_KINDS = frozenset({"basis_carry", "cross_momentum", "grid", "market_making", "pairs"})


def modules() -> list[str]:
    """Names of the modules, told without importing the compiler."""
    return sorted(found.name for found in pkgutil.iter_modules(__path__))


def step_modules() -> list[str]:
    """Those of `modules` that hold a step strategy."""
    return [name for name in modules() if name not in _OTHER_KINDS]

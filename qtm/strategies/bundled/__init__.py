"""The strategies that come with the platform, one file each.

`mean_reversion` holds the strategy `mean-reversion`, under the name `strategy`.
"""

from __future__ import annotations

import pkgutil


def modules() -> list[str]:
    """Names of the modules, told without importing the compiler."""
    return sorted(found.name for found in pkgutil.iter_modules(__path__))

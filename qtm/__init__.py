"""Quantum Trading Matrix: the trading domain, free of any orchestrator or stream engine.

One import and one call give a tear sheet:

    import qtm

    qtm.backtest("trend", "BTCUSDT", "1h").tear_sheet()
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qtm.research import backtest, sweep

__all__ = ["backtest", "sweep"]


def __getattr__(name: str) -> Any:
    """Load the research interface when it is first asked for, so that `import qtm` stays cheap."""
    if name in __all__:
        return getattr(import_module("qtm.research"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

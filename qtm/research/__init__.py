"""One import and one call from an idea to a tear sheet, for notebooks and scripts:

    from qtm.research import backtest

    run = backtest("trend", "BTCUSDT", "1h", start="2024-01-01", end="2025-01-01", params={"fast": 24})
    run.statistics.sharpe
    run.tear_sheet()

    backtest("cross-momentum", ["BTCUSDT", "ETHUSDT", "SOLUSDT"], "1d")
    backtest("basis-carry", "spot:BTCUSDT,um:BTCUSDT", "1h")

    capacity("trend", "BTCUSDT", "1d").in_words()

In a notebook the run shows its tear sheet by itself. Data come from the lake of the settings; every order
passes the firm's risk limits as it would live, unless `gated=False`.
"""  # noqa: D400

from __future__ import annotations

from qtm.research.capacity import capacity
from qtm.research.funding import funding_of
from qtm.research.gathering import Inputs, gather, gather_account, parse_market, parse_time
from qtm.research.request import Options
from qtm.research.run import ResearchRun, backtest

__all__ = [
    "Inputs",
    "Options",
    "ResearchRun",
    "backtest",
    "capacity",
    "funding_of",
    "gather",
    "gather_account",
    "parse_market",
    "parse_time",
]

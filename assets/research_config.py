"""What the launchpad asks for before research runs, and what is taken where it is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from assets.partitions import strategy_of
from qtm.errors import StrategyError
from qtm.settings import settings

if TYPE_CHECKING:
    from qtm.research.request import Options
    from qtm.strategies.registry import Strategy

_FACTORS = {"step": (0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4), "orders": (0.5, 1, 1.5, 2, 4)}
_FEW_FACTORS = (0.5, 1, 2)
"""For kinds whose runs take seconds."""


class ResearchConfig(dg.Config):
    """What to run on; what is left out suits the strategy's kind."""

    symbols: str = Field(
        "",
        description="Symbols with commas between them; um:BTCUSDT names the market. Left out: BTCUSDT for "
        "step and order strategies, the daily universe for allocators, both legs for pairs and basis-carry.",
    )
    interval: str = Field(
        "",
        description="Bar length the lake has (1m, 1h, 1d; 5m on um), or trades for order strategies. Left "
        "out: 1h, and 1d for allocators.",
    )
    market: str = Field("spot", description="spot or um (USD-M futures), where a symbol names none.")
    start: str | None = Field(None, description="First day, UTC (2024-01-31); all history if left out.")
    end: str | None = Field(None, description="Day after the last, UTC.")
    cash: float | None = Field(
        None, description="Quote currency to start with; the firm's capital if left out."
    )

    margin: str = Field("cross", description="Of futures: cross, or isolated wallets for each position.")
    leverage: str | None = Field(None, description="Of futures: 5 if left out; 5,BTCUSDT=10 for each symbol.")

    def place(self, strategy: Strategy) -> tuple[str, str]:
        """Symbols and interval, those of the kind where they are left out."""
        symbols, interval = usual_place(strategy)
        return self.symbols or symbols, self.interval or interval

    def options(self) -> Options:
        """The other keyword arguments of `qtm.research`."""
        return {
            "market": self.market,
            "start": self.start,
            "end": self.end,
            "cash": self.cash,
            "margin": self.margin,
            "leverage": self.leverage,
        }


class GatedConfig(ResearchConfig):
    """What to run on, and whether the firm's limits judge the orders."""

    gated: bool = Field(True, description="Judge every order by the firm's risk limits, as live.")

    def options(self) -> Options:
        """The other keyword arguments of `qtm.research`."""
        return {**super().options(), "gated": self.gated}


class BacktestConfig(GatedConfig):
    """One backtest."""

    params: dict[str, float] = Field(
        default_factory=dict, description="Strategy parameters over its defaults, for example {fast: 24}."
    )


_GRID: Any = Field(
    default_factory=dict,
    description="Values per parameter, for example {fast: [10, 20], slow: [50, 100]}; left out: multiples of "
    "the first two defaults.",
)


class SweepConfig(GatedConfig):
    """Many backtests."""

    grid: dict[str, list[float]] = _GRID
    method: str = Field("grid", description="grid (all combinations), random or bayes.")
    trials: int | None = Field(None, description="Combinations to run with random and bayes.", ge=1)
    budget_mb: int = Field(256, description="Most memory the sweep may allocate, MiB.", ge=1)


class GridConfig(ResearchConfig):
    """A grid of parameters; trials run without the gate: it is the signal that is judged."""

    grid: dict[str, list[float]] = _GRID


class ExaminationConfig(GridConfig):
    """A grid, and which of its combinations is judged."""

    params: dict[str, float] = Field(
        default_factory=dict, description="Judge this combination of the grid; left out: the best."
    )


class WalkConfig(GridConfig):
    """A walk forward over one or several choices."""

    choices: list[str] = Field(
        default_factory=list,
        description="Symbols to choose among at each refit; A,B is one account of two. Left out: `symbols`.",
    )
    train_days: int = Field(180, description="Days to choose on.", ge=1)
    test_days: int = Field(30, description="Days to trade the choice.", ge=1)
    anchored: bool = Field(False, description="Choose on all days so far instead of the last ones.")


def strategy_of_partition(key: str) -> Strategy:
    """The strategy a partition is about.

    Raises
    ------
    StrategyError
        When its source has another version than the partition.
    """
    from qtm.strategies.registry import load_strategy

    name, version = strategy_of(key)
    found = load_strategy(name)
    if found.version != version:
        raise StrategyError(
            f"{name} is at version {found.version} now",
            where=key,
            remedy="press Reload definitions and take the new partition",
        )
    return found


def usual_place(strategy: Strategy) -> tuple[str, str]:
    """Symbols and interval that suit a strategy's kind."""
    if strategy.kind == "allocator":
        return ",".join(settings().market.daily_universe), "1d"
    if strategy.kind == "python":
        if set(strategy.markets) == {"spot", "um"}:
            return "spot:BTCUSDT,um:BTCUSDT", "1h"
        return "um:BTCUSDT,um:ETHUSDT", "5m"
    return "BTCUSDT", "1h"


def usual_grid(strategy: Strategy) -> dict[str, list[float]]:
    """Multiples of the first two defaults that are not zero, inside their bounds."""
    factors = _FACTORS.get(strategy.kind, _FEW_FACTORS)
    grid: dict[str, list[float]] = {}
    for name, value in strategy.params()._asdict().items():
        if value > 0 and len(grid) < 2:
            low, high = strategy.bounds.get(name, (0.0, float("inf")))
            whole = isinstance(value, int)
            steps = sorted({round(value * one) if whole else round(value * one, 9) for one in factors})
            grid[name] = [float(step) for step in steps if low <= step <= high]
    return grid

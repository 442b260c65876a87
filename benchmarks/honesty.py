"""How often the gates let luck through, and how often they see an edge: the table of overfitting.md.

    python -m benchmarks.honesty [--markets 150]

Made-up markets of 500 days in bars of four hours, without costs, so that a market without an edge is exactly
one: expected return zero whatever the position. The trend rule goes long and short, mean reversion long only;
each chooses the best of nine combinations, in a trial registry of its own.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import numpy as np
import numpy.typing as npt

from qtm.backtest.conditions.bars import BarConditions
from qtm.backtest.overfitting.assessment import Assessment, assess
from qtm.backtest.overfitting.verdict import Control
from qtm.backtest.registry import TrialRegistry
from qtm.market.bars import BarSeries
from qtm.market.instruments import Instrument, Market
from qtm.market.intervals import Interval
from qtm.store.database import open_database
from qtm.strategies.registry import load_strategy
from qtm.trading.costs import CostModel

Steps = Callable[[np.random.Generator, int], npt.NDArray[np.float64]]

_BARS = 500 * 6
_RUN = 60
_FREE = CostModel(maker_rate=0.0, taker_rate=0.0, slippage_bps=0.0)
_COIN = Instrument(
    Market.SPOT, "WALKUSDT", "WALK", "USDT", Decimal("0.01"), Decimal("0.00001"), Decimal("0.00001"),
    Decimal("9000"), Decimal("5"),
)  # fmt: skip
_TREND = ("trend", {"fast": (3, 5, 8), "slow": (15, 20, 30), "below": (-1,)})
_LONG_TREND = ("trend", {"fast": (3, 5, 8), "slow": (15, 20, 30)})
_REVERSION = ("mean-reversion", {"window": (20, 40, 80), "entry": (1.0, 1.5, 2.0)})


def normal(random: np.random.Generator, bars: int) -> npt.NDArray[np.float64]:
    """Log returns of 1 % a bar whose prices are a martingale."""
    return random.normal(-0.00005, 0.01, bars)


def fat(random: np.random.Generator, bars: int) -> npt.NDArray[np.float64]:
    """Student's t with three degrees of freedom, of the same spread."""
    return np.log1p(np.maximum(random.standard_t(3, bars) * 0.01 / np.sqrt(3.0), -0.5))


def clustered(random: np.random.Generator, bars: int) -> npt.NDArray[np.float64]:
    """GARCH(1,1) with t-distributed shocks."""
    variance, moves = 1e-4, np.empty(bars)
    for i in range(bars):
        moves[i] = np.sqrt(variance * 0.6) * random.standard_t(5)
        variance = min(2e-6 + 0.1 * moves[i] ** 2 + 0.88 * variance, 0.0025)
    return np.log1p(np.maximum(moves, -0.5))


def rising(random: np.random.Generator, bars: int) -> npt.NDArray[np.float64]:
    """A market that pays for holding it (Sharpe ratio 1.9 a year) and for nothing else."""
    return random.normal(0.0004, 0.01, bars)


def followable(strength: float) -> Steps:
    """Steps whose drift keeps its random sign for ten days."""

    def steps(random: np.random.Generator, bars: int) -> npt.NDArray[np.float64]:
        signs = np.repeat(random.choice((-1.0, 1.0), bars // _RUN + 1), _RUN)[:bars]
        return random.normal(0.0, 0.006, bars) + strength * signs

    return steps


MARKETS: dict[str, tuple[Steps, tuple[str, Mapping[str, Sequence[float]]]]] = {
    "no edge, normal; trend": (normal, _TREND),
    "no edge, normal; mean reversion": (normal, _REVERSION),
    "no edge, fat tails; trend": (fat, _TREND),
    "no edge, clustered volatility; trend": (clustered, _TREND),
    "rising; long-only trend": (rising, _LONG_TREND),
    "weak edge; trend": (followable(0.002), _TREND),
    "strong edge; trend": (followable(0.004), _TREND),
}


def main() -> None:
    """Print the table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--markets", type=int, default=150, help="Made-up markets for each line.")
    count = asked.parse_args().markets
    print("| Market; rule | Deflated | Overfitting | Luck | Luck against holding | Timing | All gates |")
    print("|---|---|---|---|---|---|---|")
    for name, (steps, (strategy, grid)) in MARKETS.items():
        seen = [_passed(_examined(steps, strategy, grid, seed)) for seed in range(count)]
        rates = np.array(seen).mean(axis=0)
        print(f"| {name} | {' | '.join(f'{rate:.1%}' for rate in rates)} |", flush=True)


def _examined(steps: Steps, name: str, grid: Mapping[str, Sequence[float]], seed: int) -> Assessment:
    strategy = load_strategy(name)
    values = itertools.product(*grid.values())
    combinations = [strategy.params(dict(zip(grid, one, strict=True))) for one in values]
    with tempfile.TemporaryDirectory() as folder:
        registry = TrialRegistry(open_database(f"sqlite:///{Path(folder) / 'qtm.db'}"))
        market = BarConditions(_bars(steps(np.random.default_rng(1_000 + seed), _BARS)), _COIN, 1e5, _FREE)
        return assess(strategy, combinations, market, registry, resamples=500, seed=seed)


def _bars(steps: npt.NDArray[np.float64]) -> BarSeries:
    """Bars from 2020 on, so that they live through the dated stress events."""
    close = np.round(1_000.0 * np.exp(np.cumsum(steps)), 2)
    opened = np.concatenate(([1_000.0], close[:-1]))
    high, low = np.maximum(opened, close) * 1.002, np.minimum(opened, close) * 0.998
    times = 1_577_836_800_000 + np.arange(close.size, dtype=np.int64) * Interval.H4.ms
    return BarSeries(_COIN.symbol, Interval.H4, times, opened, high, low, close, np.ones(close.size))


def _passed(found: Assessment) -> list[bool]:
    gates = {gate.control: gate.passed for gate in found.verdict.gates}
    measured = found.measured
    holding, timing = measured.ability_over_holding, measured.signal
    return [
        gates[Control.DEFLATED_SHARPE],
        gates[Control.OVERFITTING],
        gates[Control.SUPERIOR_ABILITY],
        holding is not None and holding.consistent <= 0.10,
        timing is not None and timing.p_value <= 0.05,
        found.verdict.passed,
    ]


if __name__ == "__main__":
    main()

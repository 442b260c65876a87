"""Group `research`: backtests and parameter sweeps (luck is in `assets.honesty`), by bundled strategy.

Each materialisation runs on what the lake holds; the launchpad's config chooses symbol, interval, days,
parameters and cash. Nothing here depends on a day, so nothing here is partitioned by one.
"""

from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl
from pydantic import Field

from assets.failures import failures_in_words
from assets.market import bars_1h, bars_1m, instruments
from assets.partitions import STRATEGIES
from assets.presentation import figure, page_path, table
from assets.research_plots import daily_returns_plot, equity_plot, sweep_plot
from assets.resources import MarketLake, ReportFolder
from qtm.clock import iso_utc

if TYPE_CHECKING:
    from qtm.backtest.engine import BacktestResult

GROUP = "research"
OWNERS = ["team:research"]
WHOLE_LAKE = dg.AllPartitionMapping()
"""A backtest uses whatever days the lake holds inside the window it is asked for."""
READS = [
    instruments,
    dg.AssetDep(bars_1m, partition_mapping=WHOLE_LAKE),
    dg.AssetDep(bars_1h, partition_mapping=WHOLE_LAKE),
]


class ResearchConfig(dg.Config):
    """What to run on."""

    symbol: str = Field("BTCUSDT", description="A symbol of the intraday bars.")
    interval: str = Field("1h", description="Bar length: 1m or 1h.")
    market: str = Field("spot", description="spot or um (USD-M futures).")
    start: str | None = Field(None, description="First day, UTC (2024-01-31); all history if left out.")
    end: str | None = Field(None, description="Day after the last, UTC.")
    cash: float | None = Field(
        None, description="Quote currency to start with; the firm's capital if left out."
    )
    gated: bool = Field(True, description="Judge every order by the firm's risk limits, as live.")

    def where(self) -> dict[str, Any]:
        """The keyword arguments of `qtm.research`."""
        return {
            "symbols": self.symbol, "interval": self.interval, "market": self.market,
            "start": self.start, "end": self.end, "cash": self.cash, "gated": self.gated,
        }  # fmt: skip


class BacktestConfig(ResearchConfig):
    """One backtest."""

    params: dict[str, float] = Field(
        default_factory=dict, description="Strategy parameters over its defaults, for example {fast: 24}."
    )


class SweepConfig(ResearchConfig):
    """Many backtests."""

    grid: dict[str, list[float]] = Field(
        default_factory=dict,
        description="Values per parameter, for example {fast: [10, 20], slow: [50, 100]}; "
        "if left out, multiples of each whole-number default.",
    )


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"numba", "polars"},
    partitions_def=STRATEGIES,
    deps=READS,
    description=(
        "One backtest of a strategy: orders decided at a bar's close fill at the next open with fees, "
        "slippage, venue rounding and the firm's risk limits. Metadata carries the figures and plots; the "
        "tear sheet has the rest. Choose symbol, interval, days and parameters in the launchpad."
    ),
)
def backtests(
    context: dg.AssetExecutionContext, config: BacktestConfig, lake: MarketLake, reports: ReportFolder
) -> dg.MaterializeResult:
    """Run the partition's strategy once."""
    from qtm.research import backtest

    with failures_in_words():
        where = config.where()
        run = backtest(context.partition_key, params=config.params, lake=lake.open(), **where)
    result, figures = run.result, run.statistics
    made_from = result.lineage
    path = run.tear_sheet(
        reports.path("backtests", f"{made_from.strategy}-{made_from.symbol}-{made_from.interval}.html")
    )
    context.log.info(
        f"{made_from.bars:,} bars: return {figures.total_return:+.2%}, Sharpe {figures.sharpe:.2f}"
    )
    return dg.MaterializeResult(
        metadata={
            "tear sheet": page_path(path),
            "return %": round(100 * figures.total_return, 3),
            "Sharpe": figure(figures.sharpe),
            "max drawdown %": round(100 * figures.max_drawdown, 3),
            "CVaR 95 % a day, %": figure(100 * figures.cvar_95),
            "ran on": f"{made_from.symbol} {made_from.interval}, {iso_utc(made_from.first_ms)[:10]} to "
            f"{iso_utc(made_from.last_ms)[:10]}, {made_from.bars:,} bars",
            "equity": equity_plot(result),
            "daily returns": daily_returns_plot(result),
            "figures": table(
                [{"figure": k.replace("_", " "), "value": v} for k, v in figures.as_dict().items()]
            ),
            "orders by state": _orders_by_state(result),
            "last orders": table(_last_orders(result)),
            "parameters": dg.MetadataValue.json(made_from.params),
            "strategy version": made_from.strategy_version,
            "data version": str(made_from.data_version),
        },
        data_version=dg.DataVersion(
            f"{made_from.strategy_version}, bars {made_from.data_version}, {sorted(made_from.params.items())}"
        ),
    )


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"numba", "polars"},
    partitions_def=STRATEGIES,
    deps=READS,
    description=(
        "Every combination of a grid of parameters on the same bars, costs and limits, to see whether a "
        "result is a plateau or a lonely peak. The best of many trials is luck until `overfitting` says "
        "otherwise."
    ),
)
def parameter_sweep(
    context: dg.AssetExecutionContext, config: SweepConfig, lake: MarketLake, reports: ReportFolder
) -> dg.MaterializeResult:
    """Run the partition's strategy over a grid."""
    from qtm.strategies.registry import load_strategy
    from qtm.sweep import sweep

    strategy = load_strategy(context.partition_key)
    grid = config.grid or default_grid(context.partition_key)
    with failures_in_words():
        swept = sweep(strategy, grid=grid, lake=lake.open(), **config.where())
    found = swept.table
    ranked = found.sort("sharpe", descending=True, nulls_last=True)
    path = reports.path("sweeps", f"{strategy.name}-{config.symbol}-{config.interval}.parquet")
    ranked.write_parquet(path)
    page = swept.page(reports.path("sweeps", f"{strategy.name}-{config.symbol}-{config.interval}.html"))
    best = ranked.row(0, named=True)
    return dg.MaterializeResult(
        metadata={
            "heat maps": page_path(page),
            "combinations": len(ranked),
            "best Sharpe": figure(best["sharpe"]),
            "median Sharpe": figure(found["sharpe"].median()),
            "share with positive Sharpe": float((found["sharpe"] > 0).mean() or 0.0),
            "best parameters": dg.MetadataValue.json({name: best[name] for name in grid}),
            "Sharpe over the grid": sweep_plot(found, list(grid)),
            "best 20": table(ranked.head(20)),
            "grid": dg.MetadataValue.json({name: list(values) for name, values in grid.items()}),
            "all rows": dg.MetadataValue.path(path.resolve()),
            "strategy version": strategy.version,
        },
    )


def default_grid(strategy: str) -> dict[str, list[float]]:
    """Multiples of each whole-number default inside its bounds, for the first two such parameters."""
    from qtm.strategies.registry import load_strategy

    loaded = load_strategy(strategy)
    grid: dict[str, list[float]] = {}
    for name, value in loaded.params()._asdict().items():
        if isinstance(value, int) and value > 0 and len(grid) < 2:
            low, high = loaded.bounds.get(name, (1, float("inf")))
            steps = sorted({round(value * factor) for factor in (0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4)})
            grid[name] = [float(step) for step in steps if low <= step <= high]
    return grid


def _orders_by_state(result: "BacktestResult") -> dg.MarkdownMetadataValue:
    """How many orders filled, expired, or were refused and by which control."""
    return table(
        result.orders.group_by("status", "control")
        .agg(pl.len().alias("orders"))
        .sort("orders", descending=True)
    )


def _last_orders(result: "BacktestResult") -> pl.DataFrame:
    decided = pl.col("decided_ms").map_elements(iso_utc, return_dtype=pl.String).alias("decided")
    shown = result.orders.tail(15).reverse()
    return shown.select(decided, "side", "qty", "limit_price", "status", "control", "fill_price", "fee")

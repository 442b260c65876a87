"""Group `research`: backtests, their tear sheets and parameter sweeps (luck is in `assets.honesty`).

One partition per version of a bundled strategy, of whatever kind. Each materialisation runs on what the lake
holds; the launchpad's config chooses symbols, interval, days, parameters and cash.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from assets.failures import failures_in_words
from assets.market import bars_1d, bars_1h, bars_1m, instruments, um_bars_5m, um_funding
from assets.partitions import STRATEGIES
from assets.presentation import figure, page_path, table
from assets.research_config import BacktestConfig, SweepConfig, strategy_of_partition, usual_grid
from assets.research_plots import daily_returns_plot, equity_plot, sweep_plot
from assets.resources import MarketLake, OperationalStore, ReportFolder
from qtm.clock import iso_utc
from qtm.errors import DataError
from qtm.reports.formats import statistic

if TYPE_CHECKING:
    from qtm.backtest.account.result import AccountLineage
    from qtm.backtest.conditions.contract import Result
    from qtm.backtest.engine import Lineage
    from qtm.research import ResearchRun

GROUP = "research"
OWNERS = ["team:research"]
WHOLE_LAKE = dg.AllPartitionMapping()
"""A backtest uses whatever days the lake holds inside the window it is asked for."""
READS = [
    instruments,
    *(
        dg.AssetDep(one, partition_mapping=WHOLE_LAKE)
        for one in (bars_1m, bars_1h, bars_1d, um_bars_5m, um_funding)
    ),
]
REQUEST = "request"
"""Metadata of a backtest from which its tear sheet can be made again."""


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"numba", "polars"},
    partitions_def=STRATEGIES,
    deps=READS,
    description=(
        "One backtest of a strategy of any kind, on one symbol or on many of one account: orders decided at "
        "a bar's close fill at the next open with fees, slippage, venue rounding, funding, margin and the "
        "firm's risk limits. Metadata carries the figures and plots; `tear_sheet` makes the page. Choose "
        "symbols, interval, days and parameters in the launchpad."
    ),
)
def backtest(
    context: dg.AssetExecutionContext, config: BacktestConfig, lake: MarketLake
) -> dg.MaterializeResult:
    """Run the partition's strategy once."""
    from qtm.reports.made_from import lake_version

    with failures_in_words():
        strategy = strategy_of_partition(context.partition_key)
        symbols, interval = config.place(strategy)
        request = {
            "symbols": symbols, "interval": interval, "params": config.params, **config.options(),
        }  # fmt: skip
        run = _run(strategy, request, lake)
    result, figures = run.result, run.statistics
    made_from, stopped = result.lineage, result.standstill
    data = lake_version(made_from)
    context.log.info(
        f"{made_from.bars:,} bars: return {figures.total_return:+.2%}, Sharpe {figures.sharpe:.2f}"
    )
    return dg.MaterializeResult(
        metadata={
            "trading stopped": "no" if stopped is None else stopped.in_words(),
            "return %": round(100 * figures.total_return, 3),
            "Sharpe": figure(figures.sharpe),
            **({} if stopped is None else {"Sharpe while it traded": figure(stopped.sharpe)}),
            "max drawdown %": round(100 * figures.max_drawdown, 3),
            "CVaR 95 % a day, %": figure(100 * figures.cvar_95),
            "ran on": _ran_on(made_from),
            "equity": equity_plot(result),
            "daily returns": daily_returns_plot(result),
            "figures": table(
                [
                    {"figure": name.replace("_", " "), "value": statistic(name, value)}
                    for name, value in figures.as_dict().items()
                ]
            ),
            "by symbol": _by_symbol(result),
            "orders by state": _orders_by_state(result),
            "loss limits": "; ".join(result.limit_notes) or "not passed",
            "last orders": table(_last_orders(result)),
            "kind": strategy.kind,
            "parameters": dg.MetadataValue.json(made_from.params),
            REQUEST: dg.MetadataValue.json(request),
            "strategy version": made_from.strategy_version,
            "data version": data,
            "waived or left out": "; ".join(made_from.waivers) or "nothing",
        },
        data_version=dg.DataVersion(
            f"{made_from.strategy_version}, bars {data}, {sorted(made_from.params.items())}"
        ),
    )


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"plotly"},
    partitions_def=STRATEGIES,
    deps=[backtest],
    description=(
        "The newest backtest of this version as one page, and as PDF: equity, drawdown, monthly table, "
        "trades, exposure, costs, tails, crises, lineage, and the verdict of its examination for luck where "
        "one of exactly these parameters is on record."
    ),
)
def tear_sheet(
    context: dg.AssetExecutionContext, lake: MarketLake, reports: ReportFolder, store: OperationalStore
) -> dg.MaterializeResult:
    """Make the page of the partition's newest backtest."""
    from qtm.clock import SystemClock
    from qtm.reports.page import render_page, write_report
    from qtm.reports.pdf import write_pdf
    from qtm.reports.verdict_section import examined_in_words
    from qtm.research.examined import others_examined, verdict_on_record

    with failures_in_words():
        strategy = strategy_of_partition(context.partition_key)
        run = _run(strategy, _newest_request(context), lake)
        verdict = verdict_on_record(strategy, run.result, store.effective_url)
        others = [] if verdict else others_examined(strategy, store.effective_url)
        made_from = run.result.lineage
        name = f"{made_from.strategy}-{made_from.symbol}-{made_from.interval}"
        document = run.document_with(verdict, others)
        page = write_report(reports.path("tear-sheets", f"{name}.html"), render_page(document))
        pdf = reports.path("tear-sheets", f"{name}.pdf")
        write_pdf(pdf, document, made_ms=SystemClock().now_ms())
    if verdict:
        luck = verdict.summary
    elif others:
        luck = (
            "these parameters were never examined: materialise `overfitting` with them as `params`; "
            f"examined were {examined_in_words(others)}"
        )
    else:
        luck = "never examined: materialise `overfitting`"
    return dg.MaterializeResult(
        metadata={
            "tear sheet": page_path(page),
            "PDF": page_path(pdf),
            "verdict": luck,
            "ran on": _ran_on(made_from),
            "parameters": dg.MetadataValue.json(made_from.params),
            "sections": table([{"section": one.title} for one in document.sections]),
            "equity": equity_plot(run.result),
            "strategy version": made_from.strategy_version,
        }
    )


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"numba", "polars"},
    partitions_def=STRATEGIES,
    deps=READS,
    description=(
        "Combinations of a grid of parameters on the same bars, costs and limits (all of them, a random "
        "choice, or a Bayesian search), to see whether a result is a plateau or a lonely peak. The best of "
        "many trials is luck until `overfitting` says otherwise."
    ),
)
def sweep(
    context: dg.AssetExecutionContext, config: SweepConfig, lake: MarketLake, reports: ReportFolder
) -> dg.MaterializeResult:
    """Run the partition's strategy over a grid."""
    from qtm.sweep import sweep as run_sweep

    with failures_in_words():
        strategy = strategy_of_partition(context.partition_key)
        symbols, interval = config.place(strategy)
        grid = config.grid or usual_grid(strategy)
        swept = run_sweep(
            strategy,
            symbols,
            interval,
            grid=grid,
            method=config.method,
            trials=config.trials,
            budget_bytes=config.budget_mb * 2**20,
            lake=lake.open(),
            **config.options(),
        )
    found = swept.table
    ranked = found.sort("sharpe", descending=True, nulls_last=True)
    name = f"{strategy.name}-{swept.symbol}-{swept.interval}"
    path = reports.path("sweeps", f"{name}.parquet")
    ranked.write_parquet(path)
    page = swept.page(reports.path("sweeps", f"{name}.html"))
    best = ranked.row(0, named=True)
    return dg.MaterializeResult(
        metadata={
            "heat maps": page_path(page),
            "ran on": f"{swept.symbol} {swept.interval}",
            "combinations": len(ranked),
            "best Sharpe": figure(best["sharpe"]),
            "median Sharpe": figure(found["sharpe"].median()),
            "share with positive Sharpe": float((found["sharpe"] > 0).mean() or 0.0),
            "best parameters": dg.MetadataValue.json({name: best[name] for name in grid}),
            "Sharpe over the grid": sweep_plot(found, list(grid)),
            "best 20": table([_ranked_row(row, grid) for row in ranked.head(20).iter_rows(named=True)]),
            "grid": dg.MetadataValue.json({name: list(values) for name, values in grid.items()}),
            "memory, MiB": round(swept.footing.total / 2**20, 1),
            "all rows": dg.MetadataValue.path(path.resolve()),
            "kind": strategy.kind,
            "strategy version": strategy.version,
        },
    )


def _ranked_row(row: Mapping[str, Any], grid: Mapping[str, Any]) -> dict[str, Any]:
    """What tells combinations apart; the parquet file has every figure."""
    figures = ("sharpe", "total_return", "max_drawdown", "trades", "win_rate", "fees")
    return {
        **{name: row[name] for name in grid},
        **{name.replace("_", " "): statistic(name, row[name]) for name in figures},
    }


def _run(strategy: Any, request: dict[str, Any], lake: MarketLake) -> "ResearchRun":
    from qtm.research import backtest as run_one

    return run_one(strategy, lake=lake.open(), **request)


def _newest_request(context: dg.AssetExecutionContext) -> dict[str, Any]:
    """What the partition's newest backtest was asked for; DataError when there is none."""
    found = context.instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=backtest.key, asset_partitions=[context.partition_key]), limit=1
    ).records
    made = found[0].asset_materialization if found else None
    if made is None or REQUEST not in made.metadata:
        raise DataError(
            "there is no backtest of this version",
            where=context.partition_key,
            remedy="materialise `backtest` of the same partition first",
        )
    request: dict[str, Any] = json.loads(json.dumps(made.metadata[REQUEST].value))
    return request


def _ran_on(made_from: "Lineage | AccountLineage") -> str:
    """`BTCUSDT 1m, 2024-01-01 to 2025-06-30, 787,680 bars`."""
    days = f"{iso_utc(made_from.first_ms)[:10]} to {iso_utc(made_from.last_ms)[:10]}"
    return f"{made_from.symbol} {made_from.interval}, {days}, {made_from.bars:,} bars"


def _by_symbol(result: "Result") -> dg.MarkdownMetadataValue:
    """What each symbol of an account earned and cost."""
    by_asset = getattr(result, "by_asset", None)
    return dg.MetadataValue.md("one symbol") if by_asset is None else table(by_asset)


def _orders_by_state(result: "Result") -> dg.MarkdownMetadataValue:
    """How many orders filled, expired, or were refused and by which control."""
    return table(
        result.orders.group_by("status", "control")
        .agg(pl.len().alias("orders"))
        .sort("orders", descending=True)
        .with_columns(pl.col("control").map_elements(_named, return_dtype=pl.String))
    )


def _named(controls: str) -> str:
    """`PT-03,PT-07` as `PT-03 maximum order value, PT-07 worst-case position`."""
    from qtm.risk.rules import CONTROL_NAMES

    return ", ".join(f"{one} {CONTROL_NAMES.get(one, '')}".strip() for one in controls.split(","))


def _last_orders(result: "Result") -> pl.DataFrame:
    """The newest orders, in the columns that every kind has."""
    shown = result.orders.tail(15).reverse()
    if "decided_ms" not in shown.columns:
        shown = shown.with_columns((pl.col("sent_ns") // 1_000_000).alias("decided_ms"))
    decided = pl.col("decided_ms").map_elements(iso_utc, return_dtype=pl.String).alias("decided")
    names = ("symbol", "side", "qty", "limit_price", "status", "control", "fill_price", "fee")
    return shown.select(decided, *(name for name in names if name in shown.columns))

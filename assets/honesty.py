"""Group `research`, second half: how much of a backtest is luck.

Every combination tried is counted in the trial registry of the operational store, whoever tried it and
wherever: the Sharpe ratio is deflated by the number of all of them.
"""

from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from assets.failures import failures_in_words
from assets.partitions import STRATEGIES
from assets.presentation import figure, page_path, table
from assets.research import GROUP, OWNERS, READS, ResearchConfig, default_grid
from assets.research_plots import walk_plot
from assets.resources import MarketLake, OperationalStore, ReportFolder
from qtm.clock import iso_utc

if TYPE_CHECKING:
    from qtm.backtest.overfitting.walk_forward import Step


class GridConfig(ResearchConfig):
    """A grid of parameters on one symbol; trials run without the gate: it is the signal that is judged."""

    grid: dict[str, list[float]] = Field(
        default_factory=dict,
        description="Values per parameter; if left out, multiples of each whole-number default.",
    )


class WalkConfig(GridConfig):
    """A walk forward over one or several symbols."""

    symbols: list[str] = Field(default_factory=list, description="Symbols to choose among; else `symbol`.")
    train_days: int = Field(180, description="Days to choose on.", ge=1)
    test_days: int = Field(30, description="Days to trade the choice.", ge=1)
    anchored: bool = Field(False, description="Choose on all days so far instead of the last ones.")


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"numba", "scipy"},
    partitions_def=STRATEGIES,
    deps=READS,
    check_specs=[
        dg.AssetCheckSpec(
            "gates_passed",
            asset="overfitting",
            description="The best combination passes every gate: deflated Sharpe, probability of "
            "overfitting, superior ability, doubled costs, stable neighbours, stress.",
        )
    ],
    description=(
        "The best of a grid examined for luck: Sharpe ratio deflated by every trial on record, probability "
        "of backtest overfitting (CSCV), superior ability (Hansen), doubled costs, parameter stability, "
        "stress windows. Most strategies fail, and the verdict says at which gate and why."
    ),
)
def overfitting(
    context: dg.AssetExecutionContext,
    config: GridConfig,
    lake: MarketLake,
    reports: ReportFolder,
    store: OperationalStore,
) -> dg.MaterializeResult:
    """Examine the partition's strategy over a grid."""
    from qtm.backtest.registry import TrialRegistry
    from qtm.honesty import examine
    from qtm.reports.overfitting_report import overfitting_page
    from qtm.reports.page import write_report

    with failures_in_words():
        found = examine(
            context.partition_key,
            config.symbol,
            config.interval,
            grid=config.grid or default_grid(context.partition_key),
            market=config.market,
            start=config.start,
            end=config.end,
            cash=config.cash,
            lake=lake.open(),
            registry=TrialRegistry.open(store.effective_url),
        )
        file = f"{context.partition_key}-{config.symbol}-{config.interval}.html"
        path = write_report(reports.path("overfitting", file), overfitting_page(found))
    verdict = found.verdict
    gates = [
        {
            "gate": gate.bound.title,
            "measured": gate.measured,
            "bound": gate.bound.value,
            "passed": gate.passed,
            "why": gate.explanation,
        }
        for gate in verdict.gates
    ]
    return dg.MaterializeResult(
        metadata={
            "report": page_path(path),
            "verdict": verdict.summary,
            "gates passed": len(verdict.gates) - len(verdict.failed),
            "trials counted": verdict.subject.trials,
            "gates": table(gates),
            "parameters judged": dg.MetadataValue.json(verdict.subject.params),
            "strategy version": verdict.subject.strategy_version,
            "data version": str(verdict.subject.data_version),
        },
        check_results=[
            dg.AssetCheckResult(
                check_name="gates_passed",
                passed=verdict.passed,
                severity=dg.AssetCheckSeverity.WARN,
                description=verdict.summary,
            )
        ],
    )


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"numba"},
    partitions_def=STRATEGIES,
    deps=READS,
    description=(
        "Choose symbol and parameters on the past, trade the next window, choose again: the joined equity "
        "is out of sample throughout, with the cost of every refit. Efficiency near one means that choices "
        "carry over."
    ),
)
def walk_forward(
    context: dg.AssetExecutionContext, config: WalkConfig, lake: MarketLake, store: OperationalStore
) -> dg.MaterializeResult:
    """Walk the partition's strategy forward."""
    from qtm.backtest.registry import TrialRegistry
    from qtm.backtest.statistics import sharpe_ratio
    from qtm.honesty import walk_forward as walk

    with failures_in_words():
        walked = walk(
            context.partition_key,
            config.symbols or [config.symbol],
            config.interval,
            grid=config.grid or default_grid(context.partition_key),
            train_days=config.train_days,
            test_days=config.test_days,
            anchored=config.anchored,
            market=config.market,
            start=config.start,
            end=config.end,
            cash=config.cash,
            lake=lake.open(),
            registry=TrialRegistry.open(store.effective_url),
        )
    return dg.MaterializeResult(
        metadata={
            "return out of sample %": round(100 * (float(walked.equity[-1]) / walked.cash - 1), 3),
            "Sharpe out of sample": figure(sharpe_ratio(walked.returns)),
            "efficiency": figure(walked.efficiency),
            "refits": len(walked.steps),
            "different choices": walked.choices,
            "equity": walk_plot(walked, context.partition_key),
            "steps": table([_step_row(step) for step in walked.steps]),
        },
    )


def _step_row(step: "Step") -> dict[str, object]:
    return {
        "chosen on": f"{iso_utc(step.train_from_ms)[:10]} to {iso_utc(step.train_to_ms)[:10]}",
        "traded to": iso_utc(step.test_to_ms)[:10],
        "symbol": step.symbol,
        "parameters": ", ".join(f"{name} {value:g}" for name, value in step.params._asdict().items()),
        "Sharpe a day, before": round(step.train_sharpe, 4),
        "after": round(step.test_sharpe, 4),
        "return %": round(100 * step.test_return, 2),
    }

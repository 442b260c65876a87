"""Group `research`, second half: how much of a backtest is luck.

Every combination tried is counted in the trial registry of the operational store, whoever tried it and
wherever: the Sharpe ratio is deflated by the number of all of them.
"""

import math
from typing import TYPE_CHECKING

import dagster as dg

from assets.failures import failures_in_words
from assets.partitions import STRATEGIES
from assets.presentation import figure, page_path, table
from assets.research import GROUP, OWNERS, READS
from assets.research_config import ExaminationConfig, WalkConfig, strategy_of_partition, usual_grid
from assets.research_plots import sharpe_plot, walk_plot
from assets.resources import MarketLake, OperationalStore, ReportFolder
from qtm.clock import iso_utc
from qtm.errors import RiskError
from qtm.reports.formats import money, percent
from qtm.reports.verdict_section import bound_in_words, shown

if TYPE_CHECKING:
    from qtm.backtest.overfitting.stress_replay import StressReplay
    from qtm.backtest.overfitting.walk_forward import Step


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
        "stress windows. Most strategies fail, and the verdict says at which gate and why; it goes on record "
        "for `qtm promote`."
    ),
)
def overfitting(
    context: dg.AssetExecutionContext,
    config: ExaminationConfig,
    lake: MarketLake,
    reports: ReportFolder,
    store: OperationalStore,
) -> dg.MaterializeResult:
    """Examine the partition's strategy over a grid."""
    from qtm.backtest.registry import TrialRegistry
    from qtm.honesty import examine, put_on_record
    from qtm.reports.overfitting_report import overfitting_page
    from qtm.reports.page import write_report

    with failures_in_words():
        strategy = strategy_of_partition(context.partition_key)
        symbols, interval = config.place(strategy)
        found = examine(
            strategy,
            symbols,
            interval,
            grid=config.grid or usual_grid(strategy),
            params=config.params or None,
            registry=TrialRegistry.open(store.effective_url),
            lake=lake.open(),
            **config.options(),
        )
        subject = found.verdict.subject
        file = f"{subject.strategy}-{subject.symbol}-{subject.interval}.html"
        path = write_report(reports.path("overfitting", file), overfitting_page(found))
        try:
            candidate = put_on_record(found, f"Dagster run {context.run.run_id}", store.effective_url)
            on_record = f"candidate {candidate.digest[:12]} (`qtm promote {subject.strategy}`)"
        except RiskError as error:
            on_record = f"nothing: {error}"
    verdict = found.verdict
    gates = [
        {
            "gate": gate.bound.title,
            "measured": shown(gate.control, gate.measured),
            "wanted": bound_in_words(gate.control, gate.bound),
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
            "trials": sharpe_plot(found),
            "stress events": table([_stress_row(event) for event in found.measured.stress]),
            "could not be measured": table(
                [{"test": name, "why": why} for name, why in found.measured.unmeasured.items()]
            ),
            "on record for": on_record,
            "ran on": f"{subject.symbol} {subject.interval}, {iso_utc(subject.first_ms)[:10]} to "
            f"{iso_utc(subject.last_ms)[:10]}",
            "kind": strategy.kind,
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
    context: dg.AssetExecutionContext,
    config: WalkConfig,
    lake: MarketLake,
    reports: ReportFolder,
    store: OperationalStore,
) -> dg.MaterializeResult:
    """Walk the partition's strategy forward."""
    from qtm.backtest.registry import TrialRegistry
    from qtm.backtest.statistics import sharpe_ratio
    from qtm.honesty import walk_forward as walk
    from qtm.reports.page import render_page, write_report
    from qtm.reports.walk_forward_report import walk_forward_document

    with failures_in_words():
        strategy = strategy_of_partition(context.partition_key)
        symbols, interval = config.place(strategy)
        walked = walk(
            strategy,
            config.choices or [symbols],
            interval,
            grid=config.grid or usual_grid(strategy),
            train_days=config.train_days,
            test_days=config.test_days,
            anchored=config.anchored,
            registry=TrialRegistry.open(store.effective_url),
            lake=lake.open(),
            **config.options(),
        )
        document = walk_forward_document(walked, strategy=strategy.name, interval=interval)
        place = walked.trials[0].records[0].symbol
        file = f"{strategy.name}-{place}-{interval}.html"
        path = write_report(reports.path("walk-forward", file), render_page(document))
    return dg.MaterializeResult(
        metadata={
            "report": page_path(path),
            "return out of sample %": round(100 * (float(walked.equity[-1]) / walked.cash - 1), 3),
            "Sharpe out of sample": figure(sharpe_ratio(walked.returns)),
            "efficiency": "not measurable: the choices had promised no profit"
            if math.isnan(walked.efficiency)
            else figure(walked.efficiency),
            "ran on": f"{place} {interval}, traded {iso_utc(walked.steps[0].train_to_ms)[:10]} to "
            f"{iso_utc(walked.steps[-1].test_to_ms)[:10]}",
            "windows": f"{config.train_days} days to choose on, {config.test_days} to trade"
            + (", all days so far to choose on" if config.anchored else ""),
            "refits": len(walked.steps),
            "different choices": walked.choices,
            "equity": walk_plot(walked, strategy.name),
            "steps": table([_step_row(step) for step in walked.steps]),
            "kind": strategy.kind,
            "strategy version": strategy.version,
        },
    )


def _stress_row(event: "StressReplay") -> dict[str, object]:
    return {
        "event": event.name,
        "days": f"{event.first_day} to {event.last_day}",
        "strategy": percent(event.strategy_return, signed=True),
        "market": percent(event.market_return, signed=True),
        "worst fall": percent(event.worst_fall),
        "lowest equity": money(event.worst_equity),
    }


def _step_row(step: "Step") -> dict[str, object]:
    return {
        "chosen on": f"{iso_utc(step.train_from_ms)[:10]} to {iso_utc(step.train_to_ms)[:10]}",
        "traded to": iso_utc(step.test_to_ms)[:10],
        "symbol": step.symbol,
        "parameters": ", ".join(f"{name} {value:g}" for name, value in step.params._asdict().items()),
        "Sharpe a year, before": round(step.train_sharpe * math.sqrt(365), 2),
        "after": round(step.test_sharpe * math.sqrt(365), 2),
        "return %": round(100 * step.test_return, 2),
    }

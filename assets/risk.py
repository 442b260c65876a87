"""Group `risk`: what the book risks each day, and what live trading did."""

from typing import TYPE_CHECKING

import dagster as dg

from assets.checks import verdict_over_days
from assets.failures import failures_in_words
from assets.live_record import journal_metadata, read_journal
from assets.partitions import DAILY, DAY_MS, Window, run_window
from assets.portfolio import rows_of_days, weights
from assets.presentation import page_path
from assets.resources import MarketLake, OperationalStore, ReportFolder
from assets.risk_facts import report_metadata, report_plots
from assets.weights_table import Book, read_books
from qtm.errors import DataError
from qtm.settings import settings

if TYPE_CHECKING:
    from qtm.portfolio.daily import DailyAllocation, DailyHistory
    from qtm.reports.risk_report import RiskReport

GROUP = "risk"
OWNERS = ["team:risk"]
SAME_WEIGHT = 1e-4
"""Largest difference between the weights held and the optimum solved again that rounding explains."""


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"plotly", "polars"},
    partitions_def=DAILY,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[weights],
    check_specs=[
        dg.AssetCheckSpec(
            "limits_kept",
            asset="risk_report",
            description="No limit of the report (CVaR, weight, position, drawdown ...) is exceeded.",
        ),
        dg.AssetCheckSpec(
            "risk_models_hold",
            asset="risk_report",
            description="No VaR or CVaR model shows red in its back-test (Basel zones, Acerbi-Szekely).",
        ),
    ],
    description=(
        "The daily risk report of the book: VaR and CVaR by every engine, components, limits and their use, "
        "stress replays, drawdown, model back-tests, exposures, what changed since the last report. One HTML "
        "page and the same figures as JSON. It describes exactly the weights in the lake: when the bars have "
        "changed since they were made, the report is refused."
    ),
)
def risk_report(
    context: dg.AssetExecutionContext, lake: MarketLake, reports: ReportFolder
) -> dg.MaterializeResult:
    """One report per day, in order, so that each compares with the one before."""
    from qtm.portfolio.daily import daily_history
    from qtm.reports.risk_report import write_risk_report

    opened, window, folder = lake.open(), run_window(context), reports.path("risk")
    breached, red = {}, {}
    with failures_in_words():
        history = daily_history(opened, settings().market.daily_universe, as_of_ms=window.end_ms - DAY_MS)
        books = read_books(opened, window)
        for day, row in zip(window.each(), rows_of_days(history, window), strict=True):
            if day.start_ms not in books:
                context.add_asset_metadata({"verdict": "no book that day"}, partition_key=day.first)
                continue
            known = history.until(row)
            answer = solved_again(books[day.start_ms], known, day)
            written = write_risk_report(known, answer, settings().risk, folder)
            context.add_asset_metadata(
                _day_metadata(written, pictures=window.is_recent(day.start_ms)), partition_key=day.first
            )
            limits = [limit.name for limit in written.figures.limits if limit.breached]
            models = [v.model for v in written.figures.verdicts if v.worst.name == "RED"]
            breached.update({day.first: ", ".join(limits)} if limits else {})
            red.update({day.first: ", ".join(models)} if models else {})
            context.log.info(f"{day.first}: {written.page}")
    return dg.MaterializeResult(
        metadata={
            "reports": dg.MetadataValue.path(str(folder.resolve())),
            "bars version": str(history.version),
        },
        data_version=dg.DataVersion(f"bars {history.version}, weights {opened.version('weights')}"),
        check_results=[
            verdict_over_days("limits_kept", window.days, breached),
            verdict_over_days("risk_models_hold", window.days, red, severity=dg.AssetCheckSeverity.WARN),
        ],
    )


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"sqlite"},
    description=(
        "What the execution journal holds: orders by state, refusals by control, fills, inventory and fees "
        "of every account. The sensor `journal_sensor` makes it again whenever orders moved."
    ),
)
def live_trading(store: OperationalStore) -> dg.MaterializeResult:
    """The execution journal, summarised."""
    if not store.exists():
        nothing = "no stream has run here yet: start `qtm paper serve` and `qtm stream`"
        return dg.MaterializeResult(metadata={"stream runs": 0, "orders": 0, "journal": nothing})
    with failures_in_words(), store.reading() as connection:
        record = read_journal(connection)
    return dg.MaterializeResult(metadata=journal_metadata(record))


def solved_again(book: Book, history: "DailyHistory", day: Window) -> "DailyAllocation":
    """The allocation behind the weights of a day, solved again under its own mandate.

    Raises
    ------
    DataError
        When solving again gives other weights: the bars were changed since.
    """
    from qtm.portfolio.daily import allocate_daily

    answer = allocate_daily(history, book.mandate)
    solved = dict(zip(answer.allocation.problem.symbols, answer.allocation.weights, strict=True))
    for symbol in sorted(solved.keys() | book.weights.keys()):
        held, found = book.weights.get(symbol, 0.0), float(solved.get(symbol, 0.0))
        if abs(held - found) > SAME_WEIGHT:
            raise DataError(
                f"the weights of {day.first} are out of date: {symbol} is held at {held:.4f}, the bars in "
                f"the lake now give {found:.4f}",
                where=f"{history.lake}/weights",
                remedy="materialise `weights` for that day again, then the report",
            )
    return answer


def _day_metadata(written: "RiskReport", *, pictures: bool) -> dict[str, dg.MetadataValue]:
    shown = {"report": page_path(written.page), **report_metadata(written.figures)}
    return {**shown, **report_plots(written.figures)} if pictures else shown

"""Group `risk`: what the book risks each day, and what live trading did."""

from typing import TYPE_CHECKING

import dagster as dg

from assets.books import books_of_run
from assets.checks import verdict_over_days
from assets.failures import failures_in_words
from assets.live_record import journal_metadata, read_journal
from assets.partitions import DAILY, run_window
from assets.portfolio import weights
from assets.presentation import figure, page_path, table
from assets.resources import MarketLake, OperationalStore, ReportFolder
from assets.risk_facts import report_metadata, report_plots
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import bars_dataset
from qtm.settings import settings

if TYPE_CHECKING:
    from qtm.reports.risk_report import RiskReport

GROUP = "risk"
OWNERS = ["team:risk"]


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
        "The daily risk report: VaR and CVaR by every engine, components, limits and their use, stress, "
        "drawdown, model back-tests, exposures, liquidity, funding, breaches and waivers, the running "
        "account by strategy and asset, what changed since the report before. HTML, PDF and JSON. It "
        "describes exactly the weights in the lake: when the bars have changed since they were made, the "
        "report is refused."
    ),
)
def risk_report(
    context: dg.AssetExecutionContext, lake: MarketLake, reports: ReportFolder, store: OperationalStore
) -> dg.MaterializeResult:
    """One report per day, in order, so that each compares with the one before."""
    from qtm.clock import SystemClock
    from qtm.reports.pdf import write_pdf
    from qtm.reports.risk_report import risk_report_document, write_risk_report
    from qtm.reports.surroundings import read_surroundings
    from qtm.risk.limits import load_limits

    opened, window, folder = lake.open(), run_window(context), reports.path("risk")
    bars_version = str(opened.version(bars_dataset(Market.SPOT, Interval.D1)))
    breached, red = {}, {}
    with failures_in_words():
        tree = load_limits(settings().risk, path=settings().risk.limits_file)
        for day, known, answer in books_of_run(opened, window):
            if answer is None:
                context.add_asset_metadata({"verdict": "no book that day"}, partition_key=day.first)
                continue
            with store.database() as database:
                around = read_surroundings(opened, answer, database, tree)
            written = write_risk_report(known, answer, settings().risk, folder, around)
            document = risk_report_document(written.figures)
            write_pdf(written.page.with_suffix(".pdf"), document, made_ms=SystemClock().now_ms())
            context.add_asset_metadata(
                _day_metadata(written, pictures=window.is_recent(day.start_ms)), partition_key=day.first
            )
            limits = [limit.name for limit in written.figures.all_limits if limit.breached]
            models = [v.engine for v in written.figures.verdicts if v.light.name == "RED"]
            breached.update({day.first: ", ".join(limits)} if limits else {})
            red.update({day.first: ", ".join(models)} if models else {})
            context.log.info(f"{day.first}: {written.page}")
    return dg.MaterializeResult(
        metadata={
            "reports": dg.MetadataValue.path(str(folder.resolve())),
            "bars version": bars_version,
        },
        data_version=dg.DataVersion(f"bars {bars_version}, weights {opened.version('weights')}"),
        check_results=[
            verdict_over_days("limits_kept", window.days, breached),
            verdict_over_days("risk_models_hold", window.days, red, severity=dg.AssetCheckSeverity.WARN),
        ],
    )


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"plotly"},
    deps=[risk_report],
    description=(
        "The week and the month up to the newest daily risk report, summed up from the reports themselves: "
        "CVaR, P&L, breaches, lights, positions, and the days without a report. HTML, PDF and JSON."
    ),
)
def risk_roll_ups(reports: ReportFolder) -> dg.MaterializeResult:
    """A weekly and a monthly roll-up; nothing is measured again."""
    from qtm.clock import SystemClock
    from qtm.reports.pdf import write_pdf
    from qtm.reports.risk_roll_up import Period, newest_report
    from qtm.reports.risk_roll_up_page import roll_up_document, write_roll_up

    folder = reports.path("risk")
    shown: dict[str, dg.MetadataValue] = {}
    with failures_in_words():
        last = newest_report(folder)
        for period in Period:
            page, summed = write_roll_up(folder, last, period)
            write_pdf(page.with_suffix(".pdf"), roll_up_document(summed), made_ms=SystemClock().now_ms())
            body = summed.body()
            shown |= {
                f"{period} report": page_path(page),
                f"{period} days": dg.MetadataValue.text(f"{summed.first} to {summed.last}"),
                f"{period} highest CVaR %": figure(100 * body["cvar"]["highest"]),
                f"{period} P&L %": figure(100 * body["pnl"]),
                f"{period} days without a report": dg.MetadataValue.int(len(summed.missing)),
                f"{period} breaches": table(
                    [{"limit": name, "days": len(days)} for name, days in summed.breaches.items()]
                ),
            }
    return dg.MaterializeResult(metadata=shown)


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


def _day_metadata(written: "RiskReport", *, pictures: bool) -> dict[str, dg.MetadataValue]:
    shown = {"report": page_path(written.page), **report_metadata(written.figures)}
    return {**shown, **report_plots(written.figures)} if pictures else shown

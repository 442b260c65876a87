"""Group `portfolio`: the daily book under the CVaR mandate, kept in the lake's `weights` table."""

from typing import TYPE_CHECKING

import dagster as dg
import polars as pl
from pydantic import Field

from assets.checks import verdict_over_days
from assets.columns import weights_table
from assets.failures import failures_in_words
from assets.market import bars_1d
from assets.partitions import DAILY, DAY_MS, Window, day_text, run_window
from assets.presentation import INK, LOSS, MUTED, plot, table
from assets.resources import MarketLake
from assets.weights_table import write_weights
from qtm.errors import DataError
from qtm.settings import settings

if TYPE_CHECKING:
    from qtm.portfolio.daily import DailyAllocation, DailyHistory, Mandate

GROUP = "portfolio"
OWNERS = ["team:portfolio"]
TOLERANCE = 1e-6
"""How far a weight or a measure may lie beyond its bound before a check fails."""

WEIGHT_CHECKS = [
    dg.AssetCheckSpec(
        "weights_within_mandate",
        asset="weights",
        blocking=True,
        description="Every weight is between zero and the largest allowed, and they sum to at most one.",
    ),
    dg.AssetCheckSpec(
        "cvar_within_cap",
        asset="weights",
        blocking=True,
        description="CVaR measured again on the scenarios, outside the solver, does not exceed the cap.",
    ),
    dg.AssetCheckSpec(
        "solved_as_posed",
        asset="weights",
        description="The mandate could be satisfied; otherwise the weights are the recorded fallback.",
    ),
]


class MandateConfig(dg.Config):
    """The book's mandate for this run; what is left out comes from the settings' risk section."""

    cvar_cap: float | None = Field(None, description="Daily CVaR cap as a fraction of capital.")
    max_weight: float | None = Field(None, description="Most weight of one symbol.")
    window: int = Field(730, description="Daily returns looked at.")
    least_history: int = Field(180, description="Fewest returns a symbol needs to be held.")

    def mandate(self) -> "Mandate":
        """The mandate, checked."""
        from dataclasses import replace

        from qtm.portfolio.daily import Mandate

        base = Mandate.from_settings(settings().risk)
        return replace(
            base,
            cvar_cap=base.cvar_cap if self.cvar_cap is None else self.cvar_cap,
            max_weight=base.max_weight if self.max_weight is None else self.max_weight,
            window=self.window,
            least_history=self.least_history,
        )


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"cvxpy", "deltalake"},
    partitions_def=DAILY,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[bars_1d],
    metadata=weights_table(),
    check_specs=WEIGHT_CHECKS,
    description=(
        "Weights of the daily universe at each close: the highest shrunk expected return whose historical "
        "CVaR stays under the cap (Rockafellar-Uryasev), long only, cash allowed. Uses only bars known at "
        "that close. If no weights satisfy the mandate, the minimum-CVaR book stands in and the check "
        "`solved_as_posed` names the smallest set of constraints to relax. A "
        "day with too few bars before it has no book."
    ),
)
def weights(
    context: dg.AssetExecutionContext, config: MandateConfig, lake: MarketLake
) -> dg.MaterializeResult:
    """CVaR-constrained weights, one set per day."""
    from qtm.portfolio.daily import allocate_daily, daily_history

    opened, window = lake.open(), run_window(context)
    with failures_in_words():
        mandate = config.mandate()
        history = daily_history(opened, settings().market.daily_universe, as_of_ms=window.end_ms - DAY_MS)
        rows = rows_of_days(history, window)
        require_history(history, rows[-1], mandate)
        book, too_early = [], {}
        for row in rows:
            if row < mandate.least_history:
                too_early[day_text(int(history.open_time_ms[row]))] = (
                    f"no book: {row} daily returns before it, {mandate.least_history} needed"
                )
                continue
            book.append(allocate_daily(history.until(row), mandate))
            context.log.info(f"{day_text(book[-1].as_of_ms)}: {book[-1].allocation.outcome.value}")
        version = write_weights(opened, window, book)
    for answer in book:
        shown = _day_metadata(answer)
        if window.is_recent(answer.as_of_ms):
            shown["plot"] = _book_plot(answer)
        context.add_asset_metadata(shown, partition_key=day_text(answer.as_of_ms))
    for day, why in too_early.items():
        context.add_asset_metadata({"outcome": why}, partition_key=day)
    return dg.MaterializeResult(
        metadata={
            "days without a book": len(too_early),
            "table": dg.MetadataValue.path(opened.tables.uri("weights")),
            "delta version": str(version),
            "bars version": str(history.version),
            "mandate": dg.MetadataValue.json(
                {
                    "cvar_cap": mandate.cvar_cap,
                    "alpha": mandate.alpha,
                    "max_weight": mandate.max_weight,
                    "window": mandate.window,
                    "least_history": mandate.least_history,
                }
            ),
        },
        data_version=dg.DataVersion(f"bars {history.version}, weights {version}"),
        check_results=_checks(book, mandate),
    )


def rows_of_days(history: "DailyHistory", window: Window) -> list[int]:
    """The row of each day of `window` in `history`.

    Raises
    ------
    DataError
        Naming the first day without a bar.
    """
    where = {int(time): row for row, time in enumerate(history.open_time_ms)}
    for day in window.each():
        if day.start_ms not in where:
            raise DataError(
                f"no daily bar opens on {day.first}",
                where=history.lake,
                remedy="materialise bars_1d for that day first; held are "
                f"{day_text(int(history.open_time_ms[0]))} to {day_text(int(history.open_time_ms[-1]))}",
            )
    return [where[day.start_ms] for day in window.each()]


def require_history(history: "DailyHistory", row: int, mandate: "Mandate") -> None:
    """Refuse a run whose last day has too little history for any book.

    Earlier days of a range may lack it: the first months of a lake have bars and no book yet.

    Raises
    ------
    DataError
        Naming the day the daily bars must start on.
    """
    if row >= mandate.least_history:
        return
    day_ms = int(history.open_time_ms[row])
    first = day_text(day_ms - mandate.least_history * DAY_MS)
    raise DataError(
        f"a book for {day_text(day_ms)} needs {mandate.least_history} daily returns, the lake holds {row}",
        where=f"{history.lake}/spot_bars_1d",
        remedy=f"materialise bars_1d from {first} on, then weights",
    )


def _day_metadata(answer: "DailyAllocation") -> dict[str, dg.MetadataValue]:
    allocation = answer.allocation
    metadata: dict[str, dg.MetadataValue] = {
        "outcome": dg.MetadataValue.text(allocation.outcome.value),
        "CVaR % a day": dg.MetadataValue.float(round(100 * allocation.cvar, 4)),
        "CVaR cap %": dg.MetadataValue.float(100 * answer.mandate.cvar_cap),
        "expected return % a day": dg.MetadataValue.float(round(100 * allocation.expected_return, 4)),
        "cash %": dg.MetadataValue.float(round(100 * (1 - float(allocation.weights.sum())), 2)),
        "scenarios": dg.MetadataValue.int(len(answer.scenarios.returns)),
        "book": table(_holdings(answer)),
        "binding constraints": dg.MetadataValue.md(
            "\n".join(f"- {binding.words}" for binding in allocation.binding) or "none"
        ),
    }
    if answer.scenarios.excluded:
        metadata["left out"] = dg.MetadataValue.md(
            "\n".join(f"- {one.symbol}: {one.reason}" for one in answer.scenarios.excluded)
        )
    if allocation.reason:
        metadata["why a fallback"] = dg.MetadataValue.text(allocation.reason)
    return metadata


def _holdings(answer: "DailyAllocation") -> pl.DataFrame:
    """Symbols held, heaviest first: weight and share of the book's CVaR, both in per cent."""
    allocation = answer.allocation
    shares = allocation.components / allocation.cvar if allocation.cvar > 0 else allocation.components * 0
    book = pl.DataFrame(
        {
            "symbol": list(allocation.problem.symbols),
            "weight %": (100 * allocation.weights).round(2),
            "share of CVaR %": (100 * shares).round(1),
        }
    )
    return book.filter(pl.col("weight %").abs() >= 0.01).sort("weight %", descending=True)


def _book_plot(answer: "DailyAllocation") -> dg.MarkdownMetadataValue:
    held = _holdings(answer)
    title = (
        f"{day_text(answer.as_of_ms)}: CVaR {answer.allocation.cvar:.2%} a day under a cap of "
        f"{answer.mandate.cvar_cap:.2%}"
    )
    with plot(title, height=2.2) as (picture, axis):
        places = range(len(held))
        axis.bar([x - 0.2 for x in places], held["weight %"], width=0.4, color=INK, label="weight %")
        axis.bar(
            [x + 0.2 for x in places], held["share of CVaR %"], width=0.4, color=LOSS, label="share of CVaR %"
        )
        axis.set_xticks(list(places), [s.removesuffix("USDT") for s in held["symbol"]], rotation=45)
        axis.legend(fontsize=7, frameon=False, labelcolor=MUTED)
    return picture.markdown


def _checks(book: "list[DailyAllocation]", mandate: "Mandate") -> list[dg.AssetCheckResult]:
    outside, above, fallback = {}, {}, {}
    for answer in book:
        day, allocation = day_text(answer.as_of_ms), answer.allocation
        heaviest, total = float(allocation.weights.max()), float(allocation.weights.sum())
        if (
            float(allocation.weights.min()) < -TOLERANCE
            or heaviest > mandate.max_weight + TOLERANCE
            or total > 1 + TOLERANCE
        ):
            outside[day] = f"weights sum to {total:.4f}, the largest is {heaviest:.4f}"
        if allocation.cvar > mandate.cvar_cap + TOLERANCE:
            above[day] = f"CVaR {allocation.cvar:.4%} against a cap of {mandate.cvar_cap:.4%}"
        if allocation.reason:
            fallback[day] = allocation.reason
    days = len(book)
    return [
        verdict_over_days("weights_within_mandate", days, outside),
        verdict_over_days("cvar_within_cap", days, above),
        verdict_over_days("solved_as_posed", days, fallback, severity=dg.AssetCheckSeverity.WARN),
    ]

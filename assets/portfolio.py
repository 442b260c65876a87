"""Group `portfolio`: the daily book under the CVaR mandate, kept in the lake's `weights` table."""

from typing import TYPE_CHECKING

import dagster as dg
import numpy as np
import polars as pl
from pydantic import Field

from assets.checks import verdict_over_days
from assets.columns import weights_table
from assets.failures import failures_in_words
from assets.partitions import DAILY, DAY_MS, Window, day_text, run_window
from assets.presentation import INK, LOSS, MUTED, plot, table
from assets.resources import MarketLake
from assets.scenarios import require_history, rows_of_days, scenarios, scenarios_of_day
from assets.weights_table import read_books, write_weights
from qtm.market.lake import Lake
from qtm.settings import settings

if TYPE_CHECKING:
    from qtm.portfolio.daily import DailyAllocation
    from qtm.portfolio.mandate import Mandate

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
        description="CVaR of the weights and scenarios read back from the lake does not exceed the cap.",
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

    def mandate(self) -> "Mandate":
        """The mandate, checked."""
        from dataclasses import replace

        from qtm.portfolio.mandate import Mandate

        base = Mandate.from_settings(settings().risk)
        return replace(
            base,
            cvar_cap=base.cvar_cap if self.cvar_cap is None else self.cvar_cap,
            max_weight=base.max_weight if self.max_weight is None else self.max_weight,
        )


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"cvxpy", "deltalake"},
    partitions_def=DAILY,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[scenarios],
    metadata=weights_table(),
    check_specs=WEIGHT_CHECKS,
    description=(
        "Weights of the daily universe at each close: the highest shrunk expected return whose historical "
        "CVaR stays under the cap (Rockafellar-Uryasev), long only, cash allowed. Uses the day's stored "
        "scenarios and only bars known at that close. If no weights satisfy the mandate, the minimum-CVaR "
        "book stands in and the check "
        "`solved_as_posed` names the smallest set of constraints to relax. A "
        "day with too few bars before it has no book."
    ),
)
def weights(
    context: dg.AssetExecutionContext, config: MandateConfig, lake: MarketLake
) -> dg.MaterializeResult:
    """CVaR-constrained weights, one set per day."""
    from qtm.portfolio.daily import allocate_daily
    from qtm.portfolio.history import daily_history

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
            known = history.until(row)
            book.append(allocate_daily(known, mandate, scenarios=scenarios_of_day(opened, known, mandate)))
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
        check_results=_checks(opened, window, book, mandate),
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


def _checks(
    lake: Lake, window: Window, book: "list[DailyAllocation]", mandate: "Mandate"
) -> list[dg.AssetCheckResult]:
    """Hold what the lake now says against the mandate; the solver is not asked."""
    from qtm.portfolio.scenarios.storage import load_scenarios

    outside, above = {}, {}
    held = read_books(lake, window) if book else {}
    for day_ms, kept in held.items():
        day, found = day_text(day_ms), list(kept.weights.values())
        if (
            min(found) < -TOLERANCE
            or max(found) > mandate.max_weight + TOLERANCE
            or sum(found) > 1 + TOLERANCE
        ):
            outside[day] = f"weights sum to {sum(found):.4f}, the largest is {max(found):.4f}"
        tomorrow = load_scenarios(lake, day_ms).scenarios
        weights_ = np.array([kept.weights.get(symbol, 0.0) for symbol in tomorrow.symbols])
        cvar = tomorrow.cvar(weights_, mandate.alpha)
        if cvar > mandate.cvar_cap + TOLERANCE:
            above[day] = f"CVaR {cvar:.4%} against a cap of {mandate.cvar_cap:.4%}"
    fallback = {day_text(one.as_of_ms): one.allocation.reason for one in book if one.allocation.reason}
    days = len(book)
    return [
        verdict_over_days("weights_within_mandate", days, outside),
        verdict_over_days("cvar_within_cap", days, above),
        verdict_over_days("solved_as_posed", days, fallback, severity=dg.AssetCheckSeverity.WARN),
    ]

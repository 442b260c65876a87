"""Group `portfolio`: the day's scenarios, the one picture of tomorrow that weights, report and gate read."""

from typing import TYPE_CHECKING

import dagster as dg
import numpy as np

from assets.checks import verdict_over_days
from assets.columns import scenarios_table
from assets.failures import failures_in_words
from assets.market import bars_1d
from assets.partitions import DAILY, DAY_MS, Window, day_text, run_window
from assets.presentation import table
from assets.resources import MarketLake
from qtm.errors import DataError
from qtm.market.lake import Lake
from qtm.settings import settings

if TYPE_CHECKING:
    from qtm.portfolio.history import DailyHistory
    from qtm.portfolio.mandate import Mandate
    from qtm.portfolio.scenarios.scenario_set import ScenarioSet

SAME_RETURN = 1e-9
"""Largest difference between a stored return and the one made again that rounding explains."""


@dg.asset(
    group_name="portfolio",
    owners=["team:portfolio"],
    kinds={"numpy", "deltalake"},
    partitions_def=DAILY,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[bars_1d],
    metadata=scenarios_table(),
    check_specs=[
        dg.AssetCheckSpec(
            "returns_possible",
            asset="scenarios",
            blocking=True,
            description="Every return is a number above -100 %, and the probabilities sum to one.",
        ),
        dg.AssetCheckSpec(
            "fresh",
            asset="scenarios",
            blocking=True,
            description="The newest day the scenarios were made from is the day they are made for.",
        ),
        dg.AssetCheckSpec(
            "whole_universe",
            asset="scenarios",
            description="No symbol of the universe was left out for want of history.",
        ),
    ],
    description=(
        "Joint returns of the universe over the next day, as of each close, by the firm's model (settings "
        "`risk.scenario_model`, `risk.scenario_window`, `risk.least_history`). The optimiser, the risk "
        "measures, the report and the gate's CVaR budget all read these rows: one measure of risk. A day "
        "with too few bars before it has none."
    ),
)
def scenarios(context: dg.AssetExecutionContext, lake: MarketLake) -> dg.MaterializeResult:
    """One scenario set per day, each in a commit of its own."""
    from qtm.portfolio.daily import daily_scenarios
    from qtm.portfolio.history import daily_history
    from qtm.portfolio.mandate import Mandate
    from qtm.portfolio.scenarios.storage import store_scenarios

    opened, window = lake.open(), run_window(context)
    impossible, stale, narrow = {}, {}, {}
    version, too_early = None, 0
    with failures_in_words():
        mandate = Mandate.from_settings(settings().risk)
        history = daily_history(opened, settings().market.daily_universe, as_of_ms=window.end_ms - DAY_MS)
        rows = rows_of_days(history, window)
        require_history(history, rows[-1], mandate)
        for row in rows:
            day = day_text(int(history.open_time_ms[row]))
            if row < mandate.least_history:
                why = f"none: {row} daily returns before it, {mandate.least_history} needed"
                context.add_asset_metadata({"outcome": why}, partition_key=day)
                too_early += 1
                continue
            known = history.until(row)
            made = daily_scenarios(known, mandate)
            version = store_scenarios(opened, made, known.as_of_ms)
            context.add_asset_metadata(_day_metadata(made), partition_key=day)
            if not possible(made):
                impossible[day] = "a return is missing or below -100 %, or probabilities do not sum to one"
            if made.provenance.window_ms[1] != known.as_of_ms:
                stale[day] = f"made from bars up to {day_text(made.provenance.window_ms[1])}"
            if made.excluded:
                narrow[day] = ", ".join(one.symbol for one in made.excluded)
    return dg.MaterializeResult(
        metadata={
            "model": mandate.scenarios.model.value,
            "days without scenarios": too_early,
            "table": dg.MetadataValue.path(opened.tables.uri("scenarios")),
            "delta version": str(version),
            "bars version": str(history.version),
        },
        data_version=dg.DataVersion(f"bars {history.version}, scenarios {version}"),
        check_results=[
            verdict_over_days("returns_possible", window.days, impossible),
            verdict_over_days("fresh", window.days, stale),
            verdict_over_days("whole_universe", window.days, narrow, severity=dg.AssetCheckSeverity.WARN),
        ],
    )


def scenarios_of_day(lake: Lake, history: "DailyHistory", mandate: "Mandate") -> "ScenarioSet":
    """The stored scenarios of the last day of `history`, proven to be what its bars give.

    Raises
    ------
    DataError
        If the lake holds none for that day, or the bars in the lake now give others.
    """
    from qtm.portfolio.daily import daily_scenarios
    from qtm.portfolio.scenarios.storage import load_scenarios

    stored = load_scenarios(lake, history.as_of_ms).scenarios
    again = daily_scenarios(history, mandate)
    same = stored.symbols == again.symbols and stored.returns.shape == again.returns.shape
    if not same or not np.allclose(stored.returns, again.returns, rtol=0.0, atol=SAME_RETURN):
        day = day_text(history.as_of_ms)
        raise DataError(
            f"the scenarios of {day} are out of date: the bars in the lake, or the settings, give others",
            where=f"{history.lake}/scenarios",
            remedy="materialise `scenarios` for that day again, then what follows from it",
        )
    return stored


def possible(made: "ScenarioSet") -> bool:
    """Whether every return could happen and the probabilities are probabilities."""
    chances = made.probabilities
    return bool(np.isfinite(made.returns).all() and (made.returns > -1.0).all()) and (
        chances is None or abs(float(chances.sum()) - 1.0) < SAME_RETURN
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
    """Refuse a run whose last day has too little history for any scenario.

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
        f"scenarios for {day_text(day_ms)} need {mandate.least_history} daily returns, the lake holds {row}",
        where=f"{history.lake}/spot_bars_1d",
        remedy=f"materialise bars_1d from {first} on, then scenarios",
    )


def _day_metadata(made: "ScenarioSet") -> dict[str, dg.MetadataValue]:
    worst = made.returns.mean(axis=1).argmin()
    metadata: dict[str, dg.MetadataValue] = {
        "scenarios": dg.MetadataValue.int(made.returns.shape[0]),
        "symbols": dg.MetadataValue.int(len(made.symbols)),
        "equally likely that tell as much": dg.MetadataValue.float(round(made.effective_rows, 1)),
        "worst, equal weights %": dg.MetadataValue.float(round(100 * float(made.returns[worst].mean()), 2)),
        "made by": dg.MetadataValue.text(made.model),
    }
    if made.excluded:
        metadata["left out"] = table([{"symbol": e.symbol, "why": e.reason} for e in made.excluded])
    return metadata

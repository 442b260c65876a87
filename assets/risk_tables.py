"""Group `risk`, the tables: measures, stress losses and model back-tests of each day's book, for SQL.

They hold the figures of the daily report by day, so that a desk can ask how a measure moved over a year.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from assets.books import books_of_run
from assets.checks import verdict_over_days
from assets.columns import risk_table
from assets.failures import failures_in_words
from assets.partitions import DAILY, Window, run_window
from assets.portfolio import weights
from assets.resources import MarketLake
from assets.risk_facts import measures_metadata, models_metadata, stress_metadata
from qtm.market.lake import Lake, months_between
from qtm.settings import settings

if TYPE_CHECKING:
    from qtm.reports.risk_figures import RiskFigures

GROUP = "risk"
OWNERS = ["team:risk"]
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class RiskTable:
    """One table of the lake: its asset, what it is, and its columns beside the day."""

    name: str
    description: str
    columns: dict[str, Any]


MEASURES = RiskTable(
    "risk_measures",
    "VaR and CVaR of each day's book by every engine and level, over a day, ten days and an hour, as "
    "fractions of capital: historical, filtered, parametric, Cornish-Fisher, extreme value, stressed. An "
    "engine that does not apply is null and says why.",
    {"engine": pl.String, "alpha": pl.Float64, "var": pl.Float64, "cvar": pl.Float64, "note": pl.String},
)
STRESS = RiskTable(
    "stress",
    "What each dated event on record would cost each day's book, as fractions of capital: on closes, with "
    "every coin at its low at once, with hedges gone, and with shorts at their highs.",
    {
        "event": pl.String,
        "on_closes": pl.Float64,
        "on_lows": pl.Float64,
        "on_lows_longs_only": pl.Float64,
        "on_extremes": pl.Float64,
        "worst_symbol": pl.String,
    },
)
MODEL_BACKTESTS = RiskTable(
    "model_backtests",
    "How the VaR 99 % and ES 97.5 % forecasts of the last 250 days held for each day's book: exceptions, "
    "coverage tests, Acerbi-Szekely Z1 and Z2, both lights and the worse of them. Amber and red act on "
    "the limits of a running stream.",
    {
        "model": pl.String,
        "days": pl.Int64,
        "exceptions": pl.Int64,
        "expected": pl.Float64,
        "kupiec_p": pl.Float64,
        "christoffersen_p": pl.Float64,
        "z1": pl.Float64,
        "z2": pl.Float64,
        "var_light": pl.String,
        "es_light": pl.String,
        "light": pl.String,
    },
)
TABLES = (MEASURES, STRESS, MODEL_BACKTESTS)


@dg.multi_asset(
    name="risk_tables",
    partitions_def=DAILY,
    backfill_policy=dg.BackfillPolicy.single_run(),
    specs=[
        dg.AssetSpec(
            one.name,
            deps=[weights],
            group_name=GROUP,
            owners=OWNERS,
            kinds={"numpy", "deltalake"},
            description=one.description,
            metadata=risk_table(one.name, one.columns),
        )
        for one in TABLES
    ],
    check_specs=[
        dg.AssetCheckSpec(
            "cvar_at_least_var",
            asset=MEASURES.name,
            description="No engine shows a CVaR below its VaR, which no loss distribution can have.",
        ),
        dg.AssetCheckSpec(
            "rises_with_level",
            asset=MEASURES.name,
            description="No engine shows a smaller VaR or CVaR at a higher level.",
        ),
        dg.AssetCheckSpec(
            "components_sum",
            asset=MEASURES.name,
            description="The positions' parts of the CVaR sum to the CVaR of the weights on the stored "
            "scenarios.",
        ),
    ],
)
def risk_tables(context: dg.AssetExecutionContext, lake: MarketLake) -> Iterator[dg.MaterializeResult]:
    """Measure each day's book once and keep the figures in three tables."""
    from qtm.reports.risk_measurement import measure_book
    from qtm.reports.surroundings import Surroundings, hourly_path

    opened, window = lake.open(), run_window(context)
    rows: dict[str, list[tuple[Any, ...]]] = {one.name: [] for one in TABLES}
    impossible, falling, torn = {}, {}, {}
    with failures_in_words():
        for day, history, answer in books_of_run(opened, window):
            if answer is None:
                continue
            symbols, held = answer.allocation.problem.symbols, answer.allocation.weights
            around = Surroundings(hourly=hourly_path(opened, symbols, held, day.end_ms))
            figures = measure_book(history, answer, settings().risk, around=around)
            found = {
                MEASURES.name: measure_rows(figures),
                STRESS.name: stress_rows(figures),
                MODEL_BACKTESTS.name: model_rows(figures),
            }
            wrong = [e.engine for e in figures.tails if e.cvar < e.var - ROUNDING]
            impossible.update({day.first: ", ".join(wrong)} if wrong else {})
            sunk = levels_falling(figures)
            falling.update({day.first: ", ".join(sunk)} if sunk else {})
            parts = sum(line.component for line in figures.exposures)
            if abs(parts - answer.scenarios.cvar(answer.allocation.weights, answer.mandate.alpha)) > ROUNDING:
                torn[day.first] = f"components sum to {parts:.6%}, CVaR is {answer.allocation.cvar:.6%}"
            pictures = window.is_recent(day.start_ms)
            shown = {
                MEASURES.name: measures_metadata(figures, pictures=pictures),
                STRESS.name: stress_metadata(figures, pictures=pictures),
                MODEL_BACKTESTS.name: models_metadata(figures, pictures=pictures),
            }
            for one in TABLES:
                rows[one.name] += [(day.start_ms, *row) for row in found[one.name]]
                context.add_asset_metadata(shown[one.name], asset_key=one.name, partition_key=day.first)
        versions = {one.name: _write(opened, one, rows[one.name], window) for one in TABLES}
    for one in TABLES:
        measured = [
            verdict_over_days("cvar_at_least_var", window.days, impossible),
            verdict_over_days("rises_with_level", window.days, falling),
            verdict_over_days("components_sum", window.days, torn),
        ]
        yield dg.MaterializeResult(
            asset_key=one.name,
            metadata={
                "delta version": str(versions[one.name]),
                "table": dg.MetadataValue.path(opened.tables.uri(one.name)),
            },
            data_version=dg.DataVersion(f"{one.name} {versions[one.name]}"),
            check_results=measured if one is MEASURES else [],
        )


def levels_falling(figures: "RiskFigures") -> list[str]:
    """Engines with a smaller VaR or CVaR at a higher level."""
    found = []
    for engine in dict.fromkeys(e.engine for e in figures.tails):
        known = sorted(
            (e.alpha, e.var, e.cvar) for e in figures.tails if e.engine == engine and e.var == e.var
        )
        if any(b[1] < a[1] - ROUNDING or b[2] < a[2] - ROUNDING for a, b in pairwise(known)):
            found.append(engine)
    return found


def measure_rows(figures: "RiskFigures") -> list[tuple[Any, ...]]:
    """One row per engine and level; what an engine refuses is null."""
    return [(e.engine, e.alpha, _known(e.var), _known(e.cvar), e.note) for e in figures.tails]


def stress_rows(figures: "RiskFigures") -> list[tuple[Any, ...]]:
    """One row per dated event that the bars cover."""
    return [
        (e.name, e.on_closes, e.on_lows, e.on_lows_longs_only, e.on_extremes, e.worst_symbol)
        for e in figures.stress
    ]


def model_rows(figures: "RiskFigures") -> list[tuple[Any, ...]]:
    """One row per model."""
    return [
        (
            v.engine,
            v.forecasts,
            v.exceptions,
            v.expected,
            _known(v.coverage.p_value),
            _known(v.joint.p_value),
            v.z1,
            _known(v.z2),
            v.var_light.light.name.lower(),
            v.shortfall_light.name.lower(),
            v.light.name.lower(),
        )
        for v in figures.verdicts
    ]  # fmt: skip


def _known(value: float) -> float | None:
    return None if value != value else value  # NaN is the one number that is not itself


def _write(lake: Lake, one: RiskTable, rows: Sequence[tuple[Any, ...]], window: Window) -> int:
    """Replace the days of `window` in one commit; returns the Delta version."""
    month = pl.from_epoch("open_time_ms", time_unit="ms").dt.strftime("%Y-%m").alias("month")
    frame = pl.DataFrame(list(rows), schema={"open_time_ms": pl.Int64, **one.columns}, orient="row")
    months = months_between(window.start_ms, window.end_ms)
    predicate = (
        f"month >= '{months[0]}' AND month <= '{months[-1]}' "
        f"AND open_time_ms >= {window.start_ms} AND open_time_ms < {window.end_ms}"
    )
    return lake.tables.overwrite(
        one.name, frame.with_columns(month), predicate=predicate, partition_by=["month"]
    )

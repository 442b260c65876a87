"""The daily book: from the lake's daily bars to an allocation under a mandate.

This is the one path that the command line, the Dagster assets and the risk report share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from qtm.clock import iso_utc
from qtm.errors import ConfigError, DataError, RiskError
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake, bars_dataset
from qtm.portfolio.allocation import Allocation
from qtm.portfolio.means import after_funding, bayes_stein_mean, funding_carry
from qtm.portfolio.optimise import optimise
from qtm.portfolio.problem import Distribution, GroundNorm, Objective, PortfolioProblem, TailCap
from qtm.portfolio.scenarios.history import historical_scenarios
from qtm.portfolio.scenarios.recipe import ScenarioModel, ScenarioRecipe, make_scenarios
from qtm.portfolio.scenarios.scenario_set import Exclusion, ScenarioSet
from qtm.risk.measures import Floats
from qtm.settings import RiskSettings


class MeanModel(StrEnum):
    """Where expected returns come from."""

    SHRUNK = "shrunk"
    SAMPLE = "sample"
    ZERO = "zero"


@dataclass(frozen=True, slots=True)
class Mandate:
    """What the daily book may do; caps and floors are per day as fractions of capital.

    `window` is the number of daily returns looked at, `least_history` the fewest a symbol must have.
    With `allow_cash` up to all of the capital may stay uninvested. `further_caps` are CVaR caps at other
    levels, `rivals` scenario models under which every cap must hold too, and `radius` the Wasserstein
    distance (in units of daily return, measured in `ground`) by which all of them may be wrong.
    """

    alpha: float = 0.95
    cvar_cap: float = 0.04
    max_weight: float = 0.25
    allow_cash: bool = True
    objective: Objective = Objective.MAX_RETURN
    risk_aversion: float = 0.05
    window: int = 730
    least_history: int = 180
    scenarios: ScenarioRecipe = field(default_factory=ScenarioRecipe)
    mean: MeanModel = MeanModel.SHRUNK
    cost_rate: float = 0.0
    turnover_cap: float | None = None
    further_caps: tuple[TailCap, ...] = ()
    rivals: tuple[ScenarioRecipe, ...] = ()
    radius: float = 0.0
    ground: GroundNorm = GroundNorm.EUCLIDEAN

    def __post_init__(self) -> None:
        checks = (
            ("alpha", 0.5 < self.alpha < 1.0, "between 0.5 and 1"),
            ("cap", self.cvar_cap > 0.0, "above zero"),
            ("max-weight", 0.0 < self.max_weight <= 1.0, "above 0 and at most 1"),
            ("window", self.window >= 30, "at least 30 days"),
            ("least-history", 2 <= self.least_history <= self.window, "between 2 and the window"),
            ("risk-aversion", self.risk_aversion >= 0.0, "zero or more"),
            ("cost", self.cost_rate >= 0.0, "zero or more"),
            ("turnover-cap", self.turnover_cap is None or self.turnover_cap >= 0.0, "zero or more"),
            ("radius", self.radius >= 0.0, "zero or more"),
            ("cap-at", all(0.5 < cap.alpha < 1.0 for cap in self.further_caps), "with a level above 0.5"),
        )
        for name, good, allowed in checks:
            if not good:
                raise ConfigError(f"{name} is out of range", where=name, remedy=f"choose a value {allowed}")

    @classmethod
    def from_settings(cls, settings: RiskSettings) -> Mandate:
        """The mandate the settings' risk section describes."""
        try:
            model = ScenarioModel(settings.scenario_model)
        except ValueError:
            raise ConfigError(
                f"unknown scenario model {settings.scenario_model!r}",
                where="risk.scenario_model",
                remedy=f"use one of {', '.join(ScenarioModel)}",
            ) from None
        return cls(
            alpha=settings.cvar_alpha,
            cvar_cap=settings.cvar_cap,
            max_weight=settings.max_weight,
            window=settings.scenario_window,
            least_history=settings.least_history,
            scenarios=ScenarioRecipe(model),
        )

    @classmethod
    def from_record(cls, values: Mapping[str, Any]) -> Mandate:
        """The mandate whose `dataclasses.asdict` went through JSON.

        Raises
        ------
        DataError
            If the record does not describe a mandate of this version.
        """
        try:
            return cls(
                **{
                    **values,
                    "objective": Objective(values["objective"]),
                    "mean": MeanModel(values["mean"]),
                    "scenarios": ScenarioRecipe.from_record(values["scenarios"]),
                    "further_caps": tuple(TailCap(**cap) for cap in values["further_caps"]),
                    "rivals": tuple(ScenarioRecipe.from_record(rival) for rival in values["rivals"]),
                    "ground": GroundNorm(values["ground"]),
                }
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"this is no record of a mandate: {error}", where="mandate", remedy="make the weights again"
            ) from error


@dataclass(frozen=True, slots=True)
class DailyHistory:
    """Daily bars of a universe side by side, each table of shape (D, S), NaN where there is no bar.

    `funding` is the sum of a day's funding rates of perpetual futures, what a long position pays on its
    value; None for spot.
    """

    symbols: tuple[str, ...]
    open_time_ms: npt.NDArray[np.int64]
    closes: Floats
    lows: Floats
    highs: Floats
    quote_volumes: Floats
    lake: str
    version: int | None
    absent: tuple[Exclusion, ...] = ()
    funding: Floats | None = None

    @property
    def as_of_ms(self) -> int:
        """Open time of the last day, whose close everything is measured at."""
        return int(self.open_time_ms[-1])

    def until(self, row: int) -> DailyHistory:
        """The history as it was known at the close of day `row` (inclusive)."""
        return replace(
            self,
            open_time_ms=self.open_time_ms[: row + 1],
            closes=self.closes[: row + 1],
            lows=self.lows[: row + 1],
            highs=self.highs[: row + 1],
            quote_volumes=self.quote_volumes[: row + 1],
            funding=None if self.funding is None else self.funding[: row + 1],
        )

    def close_frame(self, window: int) -> pl.DataFrame:
        """Closes of the last `window` returns as a wide frame with nulls; of perpetuals, after funding."""
        rows = slice(-(window + 1), None)
        closes = self.closes[rows]
        if self.funding is not None:
            closes = after_funding(closes, self.funding[rows])
        columns = {symbol: closes[:, i] for i, symbol in enumerate(self.symbols)}
        frame = pl.DataFrame({"open_time_ms": self.open_time_ms[rows], **columns})
        return frame.fill_nan(None)


@dataclass(frozen=True, slots=True)
class DailyAllocation:
    """The allocation of one day with everything it came from."""

    as_of_ms: int
    mandate: Mandate
    scenarios: ScenarioSet
    allocation: Allocation
    lake: str
    lake_version: int | None


def daily_history(
    lake: Lake, symbols: Sequence[str], *, as_of_ms: int | None = None, market: Market = Market.SPOT
) -> DailyHistory:
    """Daily bars of `symbols` up to and including the day that opens at or before `as_of_ms`.

    A symbol without a single bar is left out and listed in `absent`; the rest of the universe is still
    measured. On a futures market the funding of each day comes along; a day without a funding rate in the
    lake has paid none.

    Raises
    ------
    DataError
        If the lake holds no daily bar of any of the symbols up to then.
    """
    dataset = bars_dataset(market, Interval.D1)
    version = lake.version(dataset)
    end_ms = None if as_of_ms is None else as_of_ms + 1
    bars = (
        lake.scan_bars(market, Interval.D1, symbols=symbols, end_ms=end_ms, version=version)
        .select("symbol", "open_time_ms", "close", "low", "high", "quote_volume")
        .collect()
    )
    if bars.is_empty():
        when = "" if as_of_ms is None else f" up to {iso_utc(as_of_ms)}"
        raise DataError(
            f"no daily bar of any symbol of the universe{when}",
            where=lake.uri,
            remedy="`qtm ingest bars -i 1d` first",
        )
    held = set(bars["symbol"].unique())
    present = tuple(symbol for symbol in symbols if symbol in held)
    wide = {
        column: bars.pivot(on="symbol", index="open_time_ms", values=column).sort("open_time_ms")
        for column in ("close", "low", "high", "quote_volume")
    }
    tables = {
        column: frame.select(present).cast(pl.Float64).fill_null(np.nan).to_numpy()
        for column, frame in wide.items()
    }
    times = wide["close"]["open_time_ms"].to_numpy().astype(np.int64)
    return DailyHistory(
        symbols=present,
        open_time_ms=times,
        closes=tables["close"],
        lows=tables["low"],
        highs=tables["high"],
        quote_volumes=tables["quote_volume"],
        lake=lake.uri,
        version=version,
        absent=tuple(
            Exclusion(symbol, "no daily bar in the lake") for symbol in symbols if symbol not in held
        ),
        funding=None if market is Market.SPOT else _daily_funding(lake, market, present, times),
    )


def _daily_funding(
    lake: Lake, market: Market, symbols: Sequence[str], times: npt.NDArray[np.int64]
) -> Floats:
    """Sum of the funding rates of each day that opens at `times`, shape (D, S)."""
    day = Interval.D1.ms
    rates = (
        lake.scan_funding(market, symbols=symbols, start_ms=int(times[0]), end_ms=int(times[-1]) + day)
        .select(
            "symbol",
            (pl.col("funding_time_ms") // day * day).alias("open_time_ms"),
            pl.col("rate").cast(pl.Float64),
        )
        .collect()
    )
    table = np.zeros((times.shape[0], len(symbols)))
    rows = {int(time): row for row, time in enumerate(times)}
    columns = {symbol: column for column, symbol in enumerate(symbols)}
    for symbol, time, rate in rates.iter_rows():
        if time in rows:
            table[rows[time], columns[symbol]] += rate
    return table


def daily_scenarios(history: DailyHistory, mandate: Mandate) -> ScenarioSet:
    """Scenarios of the mandate's window and model, with every exclusion and their origin on record."""
    return _scenarios_by(history, mandate, mandate.scenarios)


def daily_rivals(history: DailyHistory, mandate: Mandate) -> tuple[Distribution, ...]:
    """The distributions of the mandate's rival models, over the symbols of `daily_scenarios`."""
    made = (_scenarios_by(history, mandate, recipe) for recipe in mandate.rivals)
    return tuple(Distribution(one.returns, one.probabilities) for one in made)


def _scenarios_by(history: DailyHistory, mandate: Mandate, recipe: ScenarioRecipe) -> ScenarioSet:
    scenarios = historical_scenarios(history.close_frame(mandate.window), least_history=mandate.least_history)
    scenarios = replace(
        scenarios,
        excluded=(*history.absent, *scenarios.excluded),
        provenance=replace(scenarios.provenance, lake=history.lake, lake_version=history.version),
    )
    whole = _whole_history(history, scenarios.symbols) if recipe.stressed_rows else None
    return make_scenarios(scenarios, recipe, long_history=whole)


def _whole_history(history: DailyHistory, symbols: Sequence[str]) -> ScenarioSet:
    """Historical scenarios of `symbols` over every day held, newly listed ones filled in."""
    closes = history.close_frame(history.closes.shape[0]).select("open_time_ms", *symbols)
    return historical_scenarios(closes, least_history=2)


def daily_mean(history: DailyHistory, mandate: Mandate) -> Floats:
    """Expected returns of the symbols `daily_scenarios` measures, shape (N,), by the mandate's model.

    They come from the days of the window, whatever the scenario model: a thousand draws tell no more about
    the mean than the days they are drawn from. Of perpetuals, the price's mean is shrunk and the recent
    funding, which persists where price trends do not, is added whole.
    """
    prices = replace(history, funding=None)
    scenarios = historical_scenarios(prices.close_frame(mandate.window), least_history=mandate.least_history)
    mean = _mean(scenarios, mandate.mean)
    if history.funding is None:
        return mean
    columns = [history.symbols.index(symbol) for symbol in scenarios.symbols]
    return mean + funding_carry(history.funding[-mandate.window :, columns])


def daily_problem(
    scenarios: ScenarioSet,
    mean: Floats,
    mandate: Mandate,
    held: dict[str, float] | None = None,
    *,
    rivals: tuple[Distribution, ...] = (),
) -> PortfolioProblem:
    """The optimisation problem of `mandate` over `scenarios` and `rivals`, starting from the `held` weights.

    Raises
    ------
    RiskError
        If a held symbol has no scenarios: its risk is unknown, so it must be sold or measured first.
    """
    count = len(scenarios.symbols)
    unknown = sorted(
        name for name, weight in (held or {}).items() if weight and name not in scenarios.symbols
    )
    if unknown:
        raise RiskError(
            "a held symbol cannot be measured", where=", ".join(unknown), remedy="close it or add its history"
        )
    maximise = mandate.objective is not Objective.MIN_CVAR
    return PortfolioProblem(
        symbols=scenarios.symbols,
        scenarios=scenarios.returns,
        probabilities=scenarios.probabilities,
        mean=mean,
        lower=np.zeros(count),
        upper=np.full(count, mandate.max_weight),
        alpha=mandate.alpha,
        objective=mandate.objective,
        tail_caps=(
            *((TailCap(mandate.alpha, mandate.cvar_cap),) if maximise else ()),
            *mandate.further_caps,
        ),
        invested=(0.0, 1.0) if mandate.allow_cash and maximise else (1.0, 1.0),
        held=None if held is None else np.array([held.get(symbol, 0.0) for symbol in scenarios.symbols]),
        turnover_cap=mandate.turnover_cap,
        cost_rate=mandate.cost_rate,
        risk_aversion=mandate.risk_aversion,
        rivals=rivals,
        radius=mandate.radius,
        ground=mandate.ground,
    )


def allocate_daily(
    history: DailyHistory,
    mandate: Mandate,
    held: dict[str, float] | None = None,
    *,
    scenarios: ScenarioSet | None = None,
) -> DailyAllocation:
    """Scenarios, problem and weights for the last day of `history`, starting from the `held` weights.

    Parameters
    ----------
    history
        Daily bars up to the day decided at.
    mandate
        What the book may do.
    held
        Weights held now.
    scenarios
        The day's scenarios, such as those stored in the lake; by default they are made as `daily_scenarios`
        makes them.

    Raises
    ------
    RiskError
        As `optimise` and the scenario builder do; an infeasible mandate ends in a recorded fallback instead.
    """
    if scenarios is None:
        scenarios = daily_scenarios(history, mandate)
    mean, rivals = daily_mean(history, mandate), daily_rivals(history, mandate)
    problem = daily_problem(scenarios, mean, mandate, held, rivals=rivals)
    allocation = optimise(problem, start=problem.held)
    return DailyAllocation(
        as_of_ms=history.as_of_ms,
        mandate=mandate,
        scenarios=scenarios,
        allocation=allocation,
        lake=history.lake,
        lake_version=history.version,
    )


def _mean(scenarios: ScenarioSet, model: MeanModel) -> Floats:
    if model is MeanModel.ZERO:
        return np.zeros(len(scenarios.symbols))
    if model is MeanModel.SAMPLE:
        sample: Floats = scenarios.returns.mean(axis=0)
        return sample
    return bayes_stein_mean(scenarios.returns)

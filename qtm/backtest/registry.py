"""The trial registry: every backtest that could have been chosen is counted, not remembered.

The deflated Sharpe ratio needs to know how many strategies were tried and how much their Sharpe ratios
varied. Both come from here (see `qtm.backtest.trial_count`). The same trial run twice (same strategy
version, parameters, terms, symbol, interval, window and data version) is one trial.
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from sqlalchemy import Select, func, insert, select, tuple_

from qtm.backtest.conditions.contract import Conditions, Result
from qtm.backtest.statistics import DAYS_PER_YEAR, daily_returns
from qtm.backtest.trial_count import TrialCount, Tried, count_of
from qtm.backtest.trial_terms import GATED, LIMITS, terms_as_params, terms_on_one_symbol
from qtm.clock import Clock, SystemClock
from qtm.errors import RiskError, StoreError
from qtm.risk.rules import GateLimits
from qtm.risk.sized_targets import sizing_as_params
from qtm.store.database import Database, open_database
from qtm.store.schema import trials
from qtm.strategies.registry import Strategy
from qtm.trading.margin import MarginMode, margin_as_params

Floats = npt.NDArray[np.float64]

DAILY_SHARPE = "daily_sharpe"
"""Statistic every trial carries: Sharpe ratio per day, zero when it never traded."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One backtest, named by what it was made from.

    `statistics` are plain numbers and hold `daily_sharpe`; times are UTC milliseconds, `end_ms` is the open
    of the last bar; `data_version` is the lake's, None when the bars came from elsewhere; `data_versions` are
    those of every table that was read, funding included, by name.
    """

    strategy: str
    strategy_version: str
    params: dict[str, float]
    symbol: str
    interval: str
    start_ms: int
    end_ms: int
    data_version: int | None
    statistics: dict[str, float]
    data_versions: Mapping[str, int] = field(default_factory=dict)


def trial_of(result: Result) -> Trial:
    """The trial a finished run was, of whatever kind."""
    made_from = result.lineage
    returns = returns_to_ruin(result)
    statistics = {name: float(value) for name, value in result.statistics.as_dict().items()}
    return Trial(
        strategy=made_from.strategy,
        strategy_version=made_from.strategy_version,
        params={**{name: float(value) for name, value in made_from.params.items()}, **_terms_of(made_from)},
        symbol=made_from.symbol,
        interval=made_from.interval,
        start_ms=made_from.first_ms,
        end_ms=made_from.last_ms,
        data_version=made_from.data_version,
        statistics={**statistics, DAILY_SHARPE: daily_sharpe(returns)},
        data_versions=made_from.data_versions,
    )


def _terms_of(made_from: Any) -> dict[str, float]:
    """What a run was under, as parameters: another setting is another trial."""
    lines = getattr(made_from, "strategies", None)
    if lines is None:
        limits, margin = made_from.limits, made_from.margin
        return {
            **sizing_as_params(made_from.sizing),
            **terms_on_one_symbol(
                market=made_from.market,
                cash=made_from.cash,
                costs=made_from.costs,
                limits=None if limits is None else GateLimits(**limits),
                leverage=0.0 if margin is None else margin["leverage"],
                band=made_from.band,
            ),
        }
    named = [(f"{line.name}." if len(lines) > 1 else "", sizing_as_params(line.sizing)) for line in lines]
    sized = {f"{owner}{name}": value for owner, settings in named for name, value in settings.items()}
    return {
        **sized,
        **margin_as_params(MarginMode(made_from.margin_mode), made_from.leverages),
        **terms_as_params(
            cash=made_from.cash, costs=made_from.costs, limits=made_from.limits, band=made_from.band
        ),
    }


def trials_of_sweep(strategy: Strategy, table: pl.DataFrame, conditions: Conditions) -> list[Trial]:
    """The trials a sweep under `conditions` was, from its table (see `qtm.backtest.sweep.run_sweep`)."""
    names, place, terms = strategy.params_type._fields, conditions.place, conditions.terms_as_params
    return [
        Trial(
            strategy=strategy.name,
            strategy_version=strategy.version,
            params={**{name: float(row[name]) for name in names}, **terms},
            symbol=place.symbol,
            interval=place.interval,
            start_ms=place.first_ms,
            end_ms=place.last_ms,
            data_version=place.data_version,
            statistics={
                **{
                    name: float(value)
                    for name, value in row.items()
                    if name not in names and value is not None
                },
                DAILY_SHARPE: (row["sharpe"] or 0.0) / math.sqrt(DAYS_PER_YEAR),
            },
            data_versions=conditions.data_versions,
        )
        for row in table.iter_rows(named=True)
    ]


def returns_to_ruin(result: Result) -> Floats:
    """Daily returns of a run, shape (D,): -100 % on the day nothing is left, and zero from then on."""
    alive = np.minimum.accumulate(result.equity) > 0.0
    return daily_returns(result.open_time_ms, np.where(alive, result.equity, 0.0), result.cash)


def daily_sharpe(returns: Floats) -> float:
    """Mean over standard deviation (n - 1) of daily returns; zero for returns that never vary."""
    deviation = float(returns.std(ddof=1)) if returns.size > 1 else 0.0
    return float(returns.mean()) / deviation if deviation > 0.0 else 0.0


class TrialRegistry:
    """The registry inside the operational database (SQLite by default, PostgreSQL by URL)."""

    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self._database = database
        self._clock = clock or SystemClock()

    @classmethod
    def open(cls, url: str) -> TrialRegistry:
        """The registry at a database URL; ConfigError or StoreError when it cannot be opened."""
        return cls(open_database(url))

    def record(self, found: Iterable[Trial], run_id: str | None = None) -> str:
        """Write the trials of one run in one transaction; returns the run's id, a new one if none is given.

        Raises
        ------
        RiskError
            If a trial carries no finite `daily_sharpe`.
        """
        run_id, created_ms = run_id or str(uuid.uuid4()), self._clock.now_ms()
        rows = [_row(trial, run_id, created_ms) for trial in found]
        if rows:
            with self._database.write() as connection:
                connection.execute(insert(trials), rows)
        return run_id

    def recorded(self, run_id: str) -> list[dict[str, float]]:
        """The parameters of every trial written under a run's id."""
        rows = self._rows(select(trials.c.params).where(trials.c.run_id == run_id))
        return [json.loads(row.params) for row in rows]

    def count(self, strategy: str, window: tuple[int, int] | None = None) -> TrialCount:
        """How many distinct trials the strategy has had, over all versions, symbols, windows and data.

        `window` is that of the run to be judged, its first and last open time in UTC milliseconds.

        A strategy that was renamed is the same strategy: trials under another name count too when one of
        them gave the very Sharpe ratio of one of this strategy's, with the same parameters on the same bars.
        """
        names = {strategy, *self._twins(strategy)}
        asked = (*_WAY, "run_id", DAILY_SHARPE, "trial_id")
        query = select(*(trials.c[name] for name in asked)).where(trials.c.strategy.in_(names))
        query = query.order_by(trials.c.trial_id)
        return count_of(strategy, _tried(self._rows(query)), sorted(names - {strategy}), window)

    def strategies(self) -> list[str]:
        """Names under which anything was recorded, sorted."""
        query = select(trials.c.strategy).distinct().order_by(trials.c.strategy)
        return [row.strategy for row in self._rows(query)]

    def recorded_count(self, strategy: str | None = None) -> int:
        """How many runs are recorded, the same trial as often as it was run."""
        (row,) = self._rows(_of(select(func.count().label("runs")).select_from(trials), strategy))
        return int(row.runs)

    def lake_versions(self, dataset: str) -> list[int]:
        """Versions of a table of the lake that recorded trials were made from, sorted.

        A trial that names no tables counts for the bars of its interval on every market, to be safe.
        """
        query = select(trials.c.data_versions, trials.c.interval, trials.c.lake_version).distinct()
        found: set[int | None] = set()
        for row in self._rows(query):
            if row.data_versions is not None:
                found.add(json.loads(row.data_versions).get(dataset))
            elif row.interval == dataset.rsplit("_", 1)[-1]:
                found.add(row.lake_version)
        return sorted(version for version in found if version is not None)

    def table(self, strategy: str | None = None, newest: int | None = None) -> pl.DataFrame:
        """Recorded trials, newest first, with their parameters as text and their daily Sharpe ratio.

        `newest` limits how many; by default all of them.
        """
        columns = [column for column in trials.c if column.name != "statistics"]
        query = select(*columns).order_by(trials.c.trial_id.desc()).limit(newest)
        rows = self._rows(_of(query, strategy))
        for row in rows:
            _require_readable(row.daily_sharpe, row.trial_id)
        return pl.DataFrame({column.name: [row[at] for row in rows] for at, column in enumerate(columns)})

    def _twins(self, strategy: str) -> set[str]:
        """Other names that gave the very Sharpe ratio of one of this strategy's trials that traded."""
        mine = trials.alias()
        same = ("params", "symbol", "interval", "start_ms", "end_ms", DAILY_SHARPE)
        # Looked up in the list of this strategy's, where a join would compare every pair of trials.
        own = select(*(mine.c[name] for name in same)).where(mine.c.strategy == strategy)
        traded = select(trials.c.strategy).where(trials.c.strategy != strategy, trials.c.daily_sharpe != 0.0)
        query = traded.where(tuple_(*(trials.c[name] for name in same)).in_(own)).distinct()
        return {str(row.strategy) for row in self._rows(query)}

    def _rows(self, query: Select[Any]) -> Sequence[Any]:
        with self._database.read() as connection:
            return connection.execute(query).all()


_WAY = ("strategy_version", "params", "symbol", "interval", "start_ms", "end_ms", "lake_version")


def _of(query: Select[Any], strategy: str | None) -> Select[Any]:
    return query if strategy is None else query.where(trials.c.strategy == strategy)


def _row(trial: Trial, run_id: str, created_ms: int) -> dict[str, Any]:
    if not math.isfinite(trial.statistics.get(DAILY_SHARPE, math.nan)):
        raise RiskError(
            f"a trial must carry its {DAILY_SHARPE}",
            where=f"{trial.strategy} {trial.params}",
            remedy="build it with `trial_of`",
        )
    known = {name: value for name, value in trial.statistics.items() if math.isfinite(value)}
    return {
        "run_id": run_id,
        "strategy": trial.strategy,
        "strategy_version": trial.strategy_version,
        "params": json.dumps(trial.params, sort_keys=True),
        "symbol": trial.symbol,
        "interval": trial.interval,
        "start_ms": trial.start_ms,
        "end_ms": trial.end_ms,
        "lake_version": trial.data_version,
        "statistics": json.dumps(known, sort_keys=True),
        DAILY_SHARPE: known[DAILY_SHARPE],
        "data_versions": json.dumps(dict(trial.data_versions), sort_keys=True)
        if trial.data_versions
        else None,
        "created_ms": created_ms,
    }


def _tried(rows: Iterable[Any]) -> list[Tried]:
    """Every way of choosing under each set of limits, from all its runs; the newest run's figure counts."""
    runs: dict[tuple[Any, ...], list[str]] = {}
    ratios: dict[tuple[Any, ...], float] = {}
    for *named, run_id, ratio, trial_id in rows:
        _require_readable(ratio, trial_id)
        way = tuple(named)
        runs.setdefault(way, []).append(run_id)
        ratios[way] = ratio
    found = []
    for way, ratio in ratios.items():
        version, text, symbol, interval, start_ms, end_ms, _ = way
        params = json.loads(text)
        limits = params.pop(LIMITS, params.pop(GATED, None))
        if limits is not None:
            text = json.dumps(params, sort_keys=True)
        found.append(
            Tried(
                way=(version, text, *way[2:]),
                limits=limits,
                daily_sharpe=ratio,
                strategy_version=version,
                params=params,
                symbol=symbol,
                interval=interval,
                window=(start_ms, end_ms),
                runs=dict.fromkeys(runs[way]),
            )
        )
    return found


def _require_readable(ratio: float | None, trial_id: int) -> None:
    if ratio is None:
        raise StoreError(
            "a recorded trial cannot be read", where=f"trial {trial_id}", remedy="restore a backup"
        )

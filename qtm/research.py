"""One import and one call from an idea to a tear sheet, for notebooks and scripts:

    from qtm.research import backtest

    run = backtest("trend", "BTCUSDT", "1h", start="2024-01-01", end="2025-01-01", params={"fast": 24})
    run.statistics.sharpe
    run.tear_sheet()

In a notebook the run shows its tear sheet by itself. Data come from the lake of the settings; every order
passes the firm's risk limits as it would live, unless `gated=False`.
"""  # noqa: D400

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from qtm.backtest.engine import BacktestResult, run_backtest
from qtm.backtest.funding import FundingRates
from qtm.backtest.statistics import Statistics
from qtm.errors import ConfigError
from qtm.market.bars import BarSeries
from qtm.market.columns import ColumnFiles
from qtm.market.instruments import Instrument, Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake, bars_dataset
from qtm.quality.judge import require_passed
from qtm.reports.page import write_report
from qtm.reports.tear_sheet import tear_sheet_page
from qtm.risk.limits import load_limits
from qtm.risk.rules import GateLimits
from qtm.settings import settings
from qtm.strategies.contract import StepStrategy
from qtm.strategies.registry import load_strategy
from qtm.trading.book import Sizing
from qtm.trading.costs import SPOT_COSTS, UM_COSTS, CostModel

if TYPE_CHECKING:
    from qtm.backtest.registry import Trial


@dataclass(frozen=True)
class ResearchRun:
    """A finished backtest and what one asks of it."""

    result: BacktestResult

    @property
    def statistics(self) -> Statistics:
        """Performance figures."""
        return self.result.statistics

    @property
    def orders(self) -> pl.DataFrame:
        """Every order of the run."""
        return self.result.orders

    @cached_property
    def page(self) -> str:
        """The tear sheet as one self-contained HTML page."""
        return tear_sheet_page(self.result)

    def tear_sheet(self, path: Path | str | None = None) -> Path:
        """Write the tear sheet, by default under the reports folder of the settings; returns its path."""
        made_from = self.result.lineage
        name = f"tear-sheet-{made_from.strategy}-{made_from.symbol}-{made_from.interval}.html"
        return write_report(Path(path) if path else settings().reports_dir / name, self.page)

    def _repr_html_(self) -> str:
        """The tear sheet inside a notebook cell, isolated from the notebook's own styles."""
        source = self.page.replace("&", "&amp;").replace('"', "&quot;")
        return f'<iframe srcdoc="{source}" style="width:100%;height:900px;border:0"></iframe>'


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a run on one symbol needs, resolved from names and dates."""

    strategy: StepStrategy
    bars: BarSeries
    instrument: Instrument
    cash: float
    costs: CostModel
    sizing: Sizing
    limits: GateLimits | None
    funding: FundingRates | None
    data_version: int | None
    waivers: tuple[str, ...]


def backtest(
    strategy: str | StepStrategy,
    symbol: str,
    interval: str = "1m",
    *,
    market: str = "spot",
    start: str | date | None = None,
    end: str | date | None = None,
    params: Mapping[str, Any] | None = None,
    cash: float | None = None,
    costs: CostModel | None = None,
    sizing: Sizing | None = None,
    band: float = 0.01,
    gated: bool = True,
    lake: Lake | None = None,
) -> ResearchRun:
    """Run a strategy (a bundled name, a `.py` file, or a `StepStrategy`) on one symbol of the lake.

    The run is counted in the trial registry.

    Parameters
    ----------
    start, end
        First day and the day after the last, UTC (`2024-01-31` or `2024-01-31T12:00`); None means all.
    params
        Strategy parameters over its defaults.
    cash
        Quote currency to start with; the firm's capital by default.
    costs, sizing
        Defaults: the market's regular fees with 1 bp slippage; a target of 1.0 means all equity.
    gated
        False runs without the risk gate.

    Raises
    ------
    StrategyError, DataError, ConfigError
        For an unknown strategy, missing bars, or values that cannot be used.
    """
    inputs = gather(
        strategy,
        symbol,
        interval,
        market=market,
        start=start,
        end=end,
        cash=cash,
        costs=costs,
        sizing=sizing,
        gated=gated,
        lake=lake,
    )
    result = run_backtest(
        inputs.strategy,
        params,
        inputs.bars,
        inputs.instrument,
        cash=inputs.cash,
        costs=inputs.costs,
        sizing=inputs.sizing,
        band=band,
        limits=inputs.limits,
        funding=inputs.funding,
        data_version=inputs.data_version,
        waivers=inputs.waivers,
    )
    from qtm.backtest.registry import trial_of

    _record([trial_of(result)])
    return ResearchRun(result)


def _record(trials: Sequence[Trial]) -> None:
    """Count what was tried; the database's libraries load only when something is recorded."""
    from qtm.backtest.registry import TrialRegistry

    TrialRegistry.open(settings().database).record(trials)


def gather(
    strategy: str | StepStrategy,
    symbol: str,
    interval: str = "1m",
    *,
    market: str = "spot",
    start: str | date | None = None,
    end: str | date | None = None,
    cash: float | None = None,
    costs: CostModel | None = None,
    sizing: Sizing | None = None,
    gated: bool = True,
    lake: Lake | None = None,
) -> Inputs:
    """Resolve names and dates into checked bars, filters, limits and costs; see `backtest`."""
    config = settings()
    where = lake or Lake.from_settings(config)
    venue, step = parse_market(market), Interval.parse(interval)
    chosen = strategy if isinstance(strategy, StepStrategy) else load_strategy(strategy)
    start_ms, end_ms = parse_time(start), parse_time(end)
    if start_ms is not None and end_ms is not None and start_ms >= end_ms:
        raise ConfigError("the period is empty", where=f"{start} .. {end}", remedy="end must be after start")
    dataset = bars_dataset(venue, step)
    version = where.version(dataset)
    columns = ColumnFiles.of(where, config.home)
    bars = columns.bars(venue, step, symbol, start_ms=start_ms, end_ms=end_ms, version=version)
    instrument = where.instrument(venue, symbol)
    first, last = int(bars.open_time_ms[0]), int(bars.open_time_ms[-1]) + step.ms
    waivers = require_passed(where, venue, step, [symbol], first, last)
    limits = load_limits(config.risk, [instrument]).effective(chosen.name, symbol).limits if gated else None
    capital = float(config.risk.capital) if cash is None else float(cash)
    if not 0.0 < capital < float("inf"):
        raise ConfigError(f"cash must be a positive amount, not {capital}", where="cash")
    return Inputs(
        strategy=chosen,
        bars=bars,
        instrument=instrument,
        cash=capital,
        costs=costs or (SPOT_COSTS if venue is Market.SPOT else UM_COSTS),
        sizing=sizing or Sizing(),
        limits=limits,
        data_version=version,
        funding=funding_of(where, venue, symbol, first, last),
        waivers=tuple(f"{one.check}: {one.why} ({one.who})" for one in waivers),
    )


def funding_of(lake: Lake, market: Market, symbol: str, start_ms: int, end_ms: int) -> FundingRates | None:
    """The funding of a perpetual over a period; None on spot and for delivery contracts (`BTCUSDT_250926`).

    Raises
    ------
    DataError
        When the lake has none for the perpetual.
    """
    if market is Market.SPOT or "_" in symbol:
        return None
    rows = lake.scan_funding(market, symbols=[symbol], start_ms=start_ms, end_ms=end_ms).collect()
    return FundingRates.from_frame(rows)


def parse_market(text: str) -> Market:
    """`spot` or `um`; raises ConfigError for anything else."""
    try:
        return Market(text)
    except ValueError:
        raise ConfigError(f"unknown market {text!r}", remedy="use spot or um") from None


def parse_time(value: str | date | None) -> int | None:
    """UTC milliseconds of a day or a time; raises ConfigError when it cannot be read."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise ConfigError(
            f"{str(value)!r} is not a date", remedy="write 2024-01-31 or 2024-01-31T12:00"
        ) from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return int(moment.timestamp() * 1000)

"""Names and dates resolved into checked bars, filters, limits, costs and funding from the lake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Unpack

from qtm.backtest.account.panel import Listed, Panel
from qtm.backtest.funding import FundingRates
from qtm.errors import ConfigError
from qtm.market.bars import BarSeries
from qtm.market.columns import ColumnFiles
from qtm.market.instruments import Instrument, Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake, bars_dataset
from qtm.quality.judge import require_passed
from qtm.quality.record import Waiver
from qtm.research.request import Options, parse_market, parse_period, parse_symbols, parse_time
from qtm.risk.limits import LimitTree, load_limits
from qtm.risk.rules import GateLimits
from qtm.settings import settings
from qtm.strategies.contract import StepStrategy
from qtm.strategies.registry import load_step_strategy
from qtm.trading.book import Sizing
from qtm.trading.costs import SPOT_COSTS, UM_COSTS, CostModel

__all__ = ["Inputs", "PanelInputs", "funding_of", "gather", "gather_panel", "parse_market", "parse_time"]


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


@dataclass(frozen=True, slots=True)
class PanelInputs:
    """What a run on an account of many symbols needs, resolved from names and dates."""

    panel: Panel
    cash: float
    limits: LimitTree | None
    data_version: int | None
    waivers: tuple[str, ...]


def gather(
    strategy: str | StepStrategy, symbol: str, interval: str = "1m", **options: Unpack[Options]
) -> Inputs:
    """Resolve a step strategy, one symbol and the options.

    Raises
    ------
    StrategyError, DataError, ConfigError
        For an unknown strategy, missing bars, or values that cannot be used.
    """
    chosen = strategy if isinstance(strategy, StepStrategy) else load_step_strategy(strategy)
    found = gather_panel_series([symbol], interval, **options)
    (one,) = found.listed
    market = one.instrument.market
    limits = found.limits.effective(chosen.name, one.instrument.symbol).limits if found.limits else None
    return Inputs(
        strategy=chosen,
        bars=one.bars,
        instrument=one.instrument,
        cash=found.cash,
        costs=options.get("costs") or (SPOT_COSTS if market is Market.SPOT else UM_COSTS),
        sizing=options.get("sizing") or Sizing(),
        limits=limits,
        data_version=found.data_version,
        funding=one.funding,
        waivers=found.waivers,
    )


def gather_panel(
    symbols: str | Sequence[str], interval: str = "1m", **options: Unpack[Options]
) -> PanelInputs:
    """Resolve many symbols and the options into one panel; raises as `gather`."""
    found = gather_panel_series(symbols, interval, **options)
    return PanelInputs(Panel.of(found.listed), found.cash, found.limits, found.data_version, found.waivers)


@dataclass(frozen=True, slots=True)
class _Series:
    listed: list[Listed]
    cash: float
    limits: LimitTree | None
    data_version: int | None
    waivers: tuple[str, ...]


def gather_panel_series(symbols: str | Sequence[str], interval: str, **options: Unpack[Options]) -> _Series:
    """The bars, instruments and funding of every symbol, with what they were judged by."""
    config = settings()
    where = options.get("lake") or Lake.from_settings(config)
    named, step = parse_symbols(symbols, options.get("market", "spot")), Interval.parse(interval)
    start_ms, end_ms = parse_period(options.get("start"), options.get("end"))
    columns = ColumnFiles.of(where, config.home)
    versions = {market: where.version(bars_dataset(market, step)) for market, _ in named}
    listed: list[Listed] = []
    waivers: list[Waiver] = []
    for market, symbol in named:
        bars = columns.bars(market, step, symbol, start_ms=start_ms, end_ms=end_ms, version=versions[market])
        first, last = int(bars.open_time_ms[0]), int(bars.open_time_ms[-1]) + step.ms
        waivers += require_passed(where, market, step, [symbol], first, last)
        funding = funding_of(where, market, symbol, first, last)
        listed.append(Listed(where.instrument(market, symbol), bars, funding))
    limits = None
    if options.get("gated", True):
        limits = load_limits(config.risk, [one.instrument for one in listed])
    given = options.get("cash")
    capital = float(config.risk.capital) if given is None else float(given)
    if not 0.0 < capital < float("inf"):
        raise ConfigError(f"cash must be a positive amount, not {capital}", where="cash")
    return _Series(
        listed,
        capital,
        limits,
        # One number names the data only where there is one table.
        next(iter(versions.values())) if len(versions) == 1 else None,
        tuple(f"{one.check}: {one.why} ({one.who})" for one in waivers),
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

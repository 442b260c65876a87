"""One call from names and dates to a finished run, whatever the kind of strategy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import polars as pl

from qtm.backtest.account.engine import run_account
from qtm.backtest.account.result import AccountResult
from qtm.backtest.account.seats import Seat
from qtm.backtest.account.terms import Conditions
from qtm.backtest.engine import BacktestResult, run_backtest
from qtm.backtest.funding import FundingRates
from qtm.backtest.statistics import Statistics
from qtm.backtest.tape.engine import run_orders_backtest
from qtm.backtest.tape.events import Tape, tape_of_bars, tape_of_trades
from qtm.backtest.tape.result import OrdersResult
from qtm.errors import ConfigError, DataError
from qtm.market.datasets import trades_dataset
from qtm.market.instruments import Instrument, Market
from qtm.market.lake import Lake
from qtm.reports.account_sheet import account_sheet_document
from qtm.reports.blocks import Document
from qtm.reports.page import render_page, write_report
from qtm.reports.run_folder import write_run
from qtm.reports.tear_sheet import tear_sheet_document
from qtm.research.gathering import gather, gather_panel, gather_panel_series
from qtm.research.request import Options, parse_period, parse_symbols
from qtm.risk.limits import load_limits
from qtm.settings import settings
from qtm.strategies.contract import StepStrategy
from qtm.strategies.order_contract import OrderStrategy
from qtm.strategies.registry import Strategy, load_strategy
from qtm.trading.costs import SPOT_COSTS, UM_COSTS

if TYPE_CHECKING:
    from qtm.backtest.registry import Trial

TRADES = "trades"
"""Stands for an interval where an order strategy is to run on every trade of the lake."""


@dataclass(frozen=True)
class ResearchRun:
    """A finished backtest and what one asks of it."""

    result: BacktestResult | AccountResult | OrdersResult

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
        return render_page(self.document)

    def tear_sheet(self, path: Path | str | None = None) -> Path:
        """Write the tear sheet, by default under the reports folder of the settings; returns its path."""
        made_from = self.result.lineage
        name = f"tear-sheet-{made_from.strategy}-{made_from.symbol}-{made_from.interval}.html"
        return write_report(Path(path) if path else settings().reports_dir / name, self.page)

    @property
    def document(self) -> Document:
        """The tear sheet before it becomes a page or a PDF."""
        if isinstance(self.result, AccountResult):
            return account_sheet_document(self.result)
        return tear_sheet_document(self.result)

    def save(self, folder: Path | str) -> Path:
        """Write the run as a folder of files, for `qtm compare`; returns the folder."""
        bars = self.result.bars
        return write_run(Path(folder), self.result, bars.open_time_ms + bars.interval.ms)

    def _repr_html_(self) -> str:
        """The tear sheet inside a notebook cell, isolated from the notebook's own styles."""
        source = self.page.replace("&", "&amp;").replace('"', "&quot;")
        return f'<iframe srcdoc="{source}" style="width:100%;height:900px;border:0"></iframe>'


def backtest(
    strategy: str | Strategy | Sequence[Seat],
    symbols: str | Sequence[str],
    interval: str = "1m",
    *,
    params: Mapping[str, Any] | None = None,
    debug: bool = False,
    **options: Unpack[Options],
) -> ResearchRun:
    """Run a strategy of any kind on symbols of the lake; the run is counted in the trial registry.

    Parameters
    ----------
    strategy
        A bundled name, a `.py` file, a strategy, several names with commas between them (equal shares of one
        account), or seats (see `qtm.backtest.account.seats.Seat`).
    symbols
        One symbol, several with commas, or a list; `um:BTCUSDT` names its market.
    interval
        Bar length; `trades` runs an order strategy on every trade.
    params
        Strategy parameters over its defaults; with several strategies written `trend.fast`.
    debug
        Run steps as plain Python, where breakpoints work; the result is the same.
    options
        See `Options`.

    Raises
    ------
    StrategyError, DataError, ConfigError
        For an unknown strategy, missing bars, or values that cannot be used.
    """
    seats = _seats(strategy, params)
    named = parse_symbols(symbols, options.get("market", "spot"))
    first = seats[0].strategy
    result: Any
    if len(seats) == 1 and isinstance(first, OrderStrategy):
        result = _on_tape(first, seats[0].params, named, interval, debug, **options)
    elif len(seats) == 1 and isinstance(first, StepStrategy) and len(named) == 1 and not debug:
        result = _alone(first, seats[0].params, symbols, interval, **options)
    else:
        result = _on_account(seats, symbols, interval, debug, **options)
    from qtm.backtest.registry import trial_of

    _record([trial_of(result)])
    return ResearchRun(result)


def _seats(strategy: str | Strategy | Sequence[Seat], params: Mapping[str, Any] | None) -> list[Seat]:
    """The strategies with their parameters and shares."""
    given = dict(params or {})
    if isinstance(strategy, str):
        names = [name.strip() for name in strategy.split(",")]
        loaded = [load_strategy(name) for name in names]
        if len(loaded) == 1:
            return [Seat(loaded[0], given)]
        own: dict[str, dict[str, Any]] = {one.name: {} for one in loaded}
        for name, value in given.items():
            owner, dot, parameter = name.partition(".")
            if not dot or owner not in own:
                raise ConfigError(
                    f"whose parameter is {name!r}?", remedy=f"write {loaded[0].name}.{parameter or name}=..."
                )
            own[owner][parameter] = value
        return [Seat(one, own[one.name], share=1.0 / len(loaded)) for one in loaded]
    if isinstance(strategy, Strategy):
        return [Seat(strategy, given)]
    if given:
        raise ConfigError("seats carry their own parameters", where=", ".join(given))
    return list(strategy)


def _alone(
    strategy: StepStrategy,
    params: Any,
    symbols: str | Sequence[str],
    interval: str,
    **options: Unpack[Options],
) -> BacktestResult:
    """A step strategy on one symbol."""
    symbol = symbols if isinstance(symbols, str) else symbols[0]
    inputs = gather(strategy, symbol, interval, **options)
    return run_backtest(
        strategy,
        params,
        inputs.bars,
        inputs.instrument,
        cash=inputs.cash,
        costs=inputs.costs,
        sizing=inputs.sizing,
        band=options.get("band", 0.01),
        limits=inputs.limits,
        funding=inputs.funding,
        data_version=inputs.data_version,
        waivers=inputs.waivers,
    )


def _on_account(
    seats: list[Seat], symbols: str | Sequence[str], interval: str, debug: bool, **options: Unpack[Options]
) -> AccountResult:
    """Strategies on many symbols of one account."""
    inputs = gather_panel(symbols, interval, **options)
    sizing = options.get("sizing")
    seated = [
        Seat(load_strategy(one.strategy) if isinstance(one.strategy, str) else one.strategy, one.params,
             one.share, one.symbols, one.sizing or sizing)
        for one in seats
    ]  # fmt: skip
    conditions = Conditions(
        inputs.cash,
        costs=options.get("costs"),
        limits=inputs.limits,
        band=options.get("band", 0.01),
    )
    return run_account(
        seated,
        inputs.panel,
        conditions,
        debug=debug,
        data_version=inputs.data_version,
        waivers=inputs.waivers,
    )


def _on_tape(
    strategy: OrderStrategy,
    params: Any,
    named: list[tuple[Market, str]],
    interval: str,
    debug: bool,
    **options: Unpack[Options],
) -> OrdersResult:
    """An order strategy on the trades or the bars of one symbol."""
    if len(named) != 1:
        raise ConfigError(
            f"{strategy.name!r} trades one symbol, not {len(named)}",
            where=", ".join(name for _, name in named),
        )
    market, symbol = named[0]
    config = settings()
    version: int | None = None
    waivers: tuple[str, ...] = ()
    funding: FundingRates | None = None
    if interval == TRADES:
        given = options.get("cash")
        cash = float(config.risk.capital) if given is None else float(given)
        instrument, tape, version = _trades(market, symbol, **options)
    else:
        found = gather_panel_series([f"{market}:{symbol}"], interval, **options)
        one = found.listed[0]
        instrument, tape, funding = one.instrument, tape_of_bars(one.bars, one.instrument), one.funding
        version, waivers, cash = found.data_version, found.waivers, found.cash
    limits = None
    if options.get("gated", True):
        limits = load_limits(config.risk, [instrument]).effective(strategy.name, symbol).limits
    return run_orders_backtest(
        strategy,
        params,
        tape,
        instrument,
        cash=cash,
        costs=options.get("costs") or (SPOT_COSTS if market is Market.SPOT else UM_COSTS),
        limits=limits,
        funding=funding,
        data_version=version,
        waivers=waivers,
        compiled=not debug,
    )


def _trades(where: Market, symbol: str, **options: Unpack[Options]) -> tuple[Instrument, Tape, int | None]:
    """An instrument, every trade of it in the period, and the version of their table."""
    lake = options.get("lake") or Lake.from_settings(settings())
    start_ms, end_ms = parse_period(options.get("start"), options.get("end"))
    version = lake.version(trades_dataset(where))
    rows = lake.scan_trades(where, symbols=[symbol], start_ms=start_ms, end_ms=end_ms, version=version)
    frame = rows.collect()
    if frame.is_empty():
        raise DataError(
            "there are no trades to run on", where=f"{where} {symbol}", remedy="`qtm ingest trades` first"
        )
    instrument = lake.instrument(where, symbol)
    return instrument, tape_of_trades(frame, instrument), version


def _record(trials: Sequence[Trial]) -> None:
    """Count what was tried; the database's libraries load only when something is recorded."""
    from qtm.backtest.registry import TrialRegistry

    TrialRegistry.open(settings().database).record(trials)

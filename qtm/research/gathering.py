"""Names and dates resolved into a strategy and checked conditions to run it under, from the lake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Unpack

from qtm.backtest.account.panel import Listed, Panel
from qtm.backtest.account.terms import Conditions as AccountTerms
from qtm.backtest.conditions.account import AccountConditions
from qtm.backtest.conditions.bars import BarConditions
from qtm.backtest.conditions.contract import Conditions
from qtm.backtest.conditions.tape import TapeConditions
from qtm.backtest.tape.events import TRADES, tape_of_bars
from qtm.backtest.tape.mapped import tape_of_lake
from qtm.backtest.trial_terms import USUAL_BAND
from qtm.errors import ConfigError
from qtm.market.columns import ColumnFiles
from qtm.market.datasets import trades_dataset
from qtm.market.instruments import Instrument, Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake, bars_dataset
from qtm.quality.judge import require_passed
from qtm.quality.record import Waiver
from qtm.research.funding import funding_of, funding_versions, while_funded
from qtm.research.request import (
    Options,
    parse_leverage,
    parse_margin,
    parse_market,
    parse_period,
    parse_sizing,
    parse_symbols,
    parse_time,
)
from qtm.risk.limits import LimitTree, load_limits
from qtm.risk.rules import GateLimits
from qtm.settings import settings
from qtm.strategies.contract import StepStrategy
from qtm.strategies.order_contract import OrderStrategy
from qtm.strategies.registry import Strategy, load_strategy
from qtm.trading.book import Sizing
from qtm.trading.costs import SPOT_COSTS, UM_COSTS, CostModel
from qtm.trading.margin import USUAL_LEVERAGE, Margin, MarginMode, margin_of

__all__ = ["Inputs", "gather", "gather_account", "parse_market", "parse_time"]

_MOST_CASH = 1e12
"""Beyond, a float no longer holds a cent of it exactly through a run's sums."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """A strategy and what to run it under, resolved from names and dates."""

    strategy: Strategy
    conditions: Conditions


def gather(
    strategy: str | Strategy, symbols: str | Sequence[str], interval: str = "1m", **options: Unpack[Options]
) -> Inputs:
    """Resolve a strategy of any kind, its symbols and the options.

    Raises
    ------
    StrategyError, DataError, ConfigError
        For an unknown strategy, missing bars, or values that cannot be used.
    """
    chosen = load_strategy(strategy) if isinstance(strategy, str) else strategy
    named = parse_symbols(symbols, options.get("market", "spot"))
    mode = parse_margin(options.get("margin"))
    if isinstance(chosen, OrderStrategy):
        if mode is MarginMode.ISOLATED:
            raise ConfigError(
                f"{chosen.name!r} places orders on one symbol, whose account is its margin",
                where="margin=isolated",
                remedy="leave it out, or give a step, an allocator or a Python strategy",
            )
        return Inputs(chosen, _gather_tape(chosen, named, interval, **options))
    if isinstance(chosen, StepStrategy) and len(named) == 1 and mode is MarginMode.CROSS:
        return Inputs(chosen, _gather_bars(chosen, symbols, interval, **options))
    return Inputs(chosen, gather_account(symbols, interval, **options))


def gather_account(
    symbols: str | Sequence[str], interval: str = "1m", **options: Unpack[Options]
) -> AccountConditions:
    """Resolve many symbols and the options into one account; raises as `gather`."""
    found = _gather_series(symbols, interval, **options)
    instruments = [one.instrument for one in found.listed]
    mode, (default, named) = parse_margin(options.get("margin")), parse_leverage(options.get("leverage"))
    _check_futures(instruments, mode, default, named)
    leverage = USUAL_LEVERAGE if default is None else default
    return AccountConditions(
        Panel.of(found.listed),
        AccountTerms(
            found.cash,
            costs=options.get("costs"),
            limits=found.limits,
            band=options.get("band", USUAL_BAND),
            leverage=leverage,
            margin={one.key: margin_of(one, named[one.symbol]) for one in instruments if one.symbol in named},
            margin_mode=mode,
        ),
        sizing=parse_sizing(options.get("sizing")),
        data_version=found.data_version,
        waivers=found.waivers,
        data_versions=found.data_versions,
    )


def _gather_bars(
    strategy: StepStrategy, symbols: str | Sequence[str], interval: str, **options: Unpack[Options]
) -> BarConditions:
    """One symbol's bars."""
    found = _gather_series(symbols, interval, **options)
    (one,) = found.listed
    return BarConditions(
        one.bars,
        one.instrument,
        found.cash,
        _costs(one.instrument, **options),
        parse_sizing(options.get("sizing")) or Sizing(),
        band=options.get("band", USUAL_BAND),
        limits=_limits(found.limits, strategy, one.instrument),
        margin=_margin(one.instrument, **options),
        funding=one.funding,
        data_version=found.data_version,
        waivers=found.waivers,
        data_versions=found.data_versions,
    )


def _gather_tape(
    strategy: OrderStrategy, named: list[tuple[Market, str]], interval: str, **options: Unpack[Options]
) -> TapeConditions:
    """The trades or the bars of one symbol as a tape."""
    if len(named) != 1:
        raise ConfigError(
            f"{strategy.name!r} trades one symbol, not {len(named)}",
            where=", ".join(name for _, name in named),
        )
    if interval == TRADES:
        return _gather_trades(strategy, named[0], **options)
    found = _gather_series([":".join(named[0])], interval, **options)
    (one,) = found.listed
    return TapeConditions(
        tape_of_bars(one.bars, one.instrument),
        one.instrument,
        found.cash,
        _costs(one.instrument, **options),
        limits=_limits(found.limits, strategy, one.instrument),
        margin=_margin(one.instrument, **options),
        funding=one.funding,
        data_version=found.data_version,
        waivers=found.waivers,
        data_versions=found.data_versions,
    )


def _gather_trades(
    strategy: OrderStrategy, named: tuple[Market, str], **options: Unpack[Options]
) -> TapeConditions:
    """Every trade of one symbol in the period."""
    market, symbol = named
    lake = options.get("lake") or Lake.from_settings(settings())
    start_ms, end_ms = parse_period(options.get("start"), options.get("end"))
    version, paid = lake.version(trades_dataset(market)), funding_versions(lake, [named])
    instrument = lake.instrument(market, symbol)
    limits = load_limits(settings().risk, [instrument]) if options.get("gated", True) else None
    tape = tape_of_lake(
        ColumnFiles.of(lake, settings().home),
        instrument,
        lambda begin_ms, until_ms: funding_of(lake, market, symbol, begin_ms, until_ms, paid),
        start_ms=start_ms,
        end_ms=end_ms,
        version=version,
    )
    return TapeConditions(
        tape,
        instrument,
        _cash(**options),
        _costs(instrument, **options),
        limits=_limits(limits, strategy, instrument),
        margin=_margin(instrument, **options),
        data_version=version,
        data_versions=_named({trades_dataset(market): version, **paid}),
    )


def _costs(instrument: Instrument, **options: Unpack[Options]) -> CostModel:
    return options.get("costs") or (SPOT_COSTS if instrument.market is Market.SPOT else UM_COSTS)


def _margin(instrument: Instrument, **options: Unpack[Options]) -> Margin:
    """The margin terms of the only instrument of a run."""
    default, named = parse_leverage(options.get("leverage"))
    _check_futures([instrument], MarginMode.CROSS, default, named)
    usual = USUAL_LEVERAGE if default is None else default
    return margin_of(instrument, named.get(instrument.symbol, usual))


def _check_futures(
    instruments: Sequence[Instrument], mode: MarginMode, leverage: float | None, named: Mapping[str, float]
) -> None:
    """Raise ConfigError for terms of margin where there is nothing they could apply to."""
    futures = {one.symbol for one in instruments if one.market is not Market.SPOT}
    if not futures and (mode is MarginMode.ISOLATED or leverage is not None or named):
        raise ConfigError(
            "spot is paid in full: it has neither leverage nor a margin mode",
            where=", ".join(one.symbol for one in instruments),
            remedy="name futures (um:BTCUSDT), or leave margin and leverage out",
        )
    if unknown := sorted(set(named) - futures):
        raise ConfigError(
            f"leverage is given for {', '.join(unknown)}, which the account does not trade on um",
            remedy=f"it trades {', '.join(sorted(futures))}",
        )


def _limits(tree: LimitTree | None, strategy: Strategy, instrument: Instrument) -> GateLimits | None:
    return tree.effective(strategy.name, instrument.symbol).limits if tree else None


def _cash(**options: Unpack[Options]) -> float:
    given = options.get("cash")
    capital = float(settings().risk.capital) if given is None else float(given)
    if not 0.0 < capital <= _MOST_CASH:
        raise ConfigError(
            f"cash must be a positive amount up to {_MOST_CASH:g}, not {capital:g}", where="cash"
        )
    return capital


@dataclass(frozen=True, slots=True)
class _Series:
    listed: list[Listed]
    cash: float
    limits: LimitTree | None
    data_version: int | None
    data_versions: dict[str, int]
    waivers: tuple[str, ...]


def _gather_series(symbols: str | Sequence[str], interval: str, **options: Unpack[Options]) -> _Series:
    """The bars, instruments and funding of every symbol, with what they were judged by."""
    config = settings()
    where = options.get("lake") or Lake.from_settings(config)
    named, step = parse_symbols(symbols, options.get("market", "spot")), Interval.parse(interval)
    start_ms, end_ms = parse_period(options.get("start"), options.get("end"))
    columns = ColumnFiles.of(where, config.home)
    versions = {market: where.version(bars_dataset(market, step)) for market, _ in named}
    paid = funding_versions(where, named)
    listed: list[Listed] = []
    waivers: list[Waiver] = []
    for market, symbol in named:
        bars = columns.bars(market, step, symbol, start_ms=start_ms, end_ms=end_ms, version=versions[market])
        first, last = int(bars.open_time_ms[0]), int(bars.open_time_ms[-1]) + step.ms
        waivers += require_passed(where, market, step, [symbol], first, last)
        funding = funding_of(where, market, symbol, first, last, paid)
        listed.append(Listed(where.instrument(market, symbol), bars, funding))
    left_out: tuple[str, ...] = ()
    if end_ms is None:
        listed, left_out = while_funded(listed)
    limits = None
    if options.get("gated", True):
        limits = load_limits(config.risk, [one.instrument for one in listed])
    return _Series(
        listed,
        _cash(**options),
        limits,
        # One number names the bars only where they are of one table.
        next(iter(versions.values())) if len(versions) == 1 else None,
        _named({bars_dataset(market, step): version for market, version in versions.items()} | paid),
        (*(f"{one.check}: {one.why} ({one.who})" for one in waivers), *left_out),
    )


def _named(versions: Mapping[str, int | None]) -> dict[str, int]:
    """The tables that exist."""
    return {name: version for name, version in versions.items() if version is not None}

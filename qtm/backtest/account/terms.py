"""What an account trades under, and the same as numbers for compiled code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from qtm.backtest.account.memory import (
    ACCOUNT,
    LEG,
    LINE,
    MARGIN,
    MOST_BRACKETS,
    NOBODY,
    QUOTE,
    SLEEVE,
    SPOT,
    Memory,
    Records,
)
from qtm.backtest.account.panel import Panel
from qtm.backtest.session import SESSION
from qtm.backtest.trial_terms import USUAL_BAND, digest_of_limits
from qtm.errors import ConfigError
from qtm.market.instruments import Instrument, Market
from qtm.risk.rules import GateLimits, in_floats
from qtm.trading.book import grid_of
from qtm.trading.costs import SPOT_COSTS, UM_COSTS, CostModel, numbers_of
from qtm.trading.margin import NO_MARGIN, USUAL_LEVERAGE, Margin, MarginMode, margin_of

if TYPE_CHECKING:
    from qtm.backtest.account.seats import Seat
    from qtm.risk.limits import LimitTree

DAY_MS = 86_400_000


@dataclass(frozen=True)
class Conditions:
    """What an account trades under.

    Attributes
    ----------
    cash
        Quote currency to start with.
    costs
        One cost model for everything, or one per market; each market's regular fees by default.
    limits
        Gate limits: the firm's tree, one set for everybody, or None for no gate.
    band
        How far beyond the close protective limits stand, as a fraction.
    leverage
        Largest notional over equity on the margin account, or over the wallet of an isolated position when it
        is opened, within the contracts' brackets.
    margin
        Margin terms per instrument key instead of the contract's brackets and `leverage`.
    margin_mode
        Whether futures positions share the margin account or live on wallets of their own.
    spot_share
        Part of a strategy's cash that starts on spot, for strategies that trade on both markets.
    trade_from_ms
        Bars opening earlier only warm the strategies up.
    write_off_ms
        A symbol that has not traded for longer counts as delisted.
    haircut
        Fraction of its last price that is lost on a position in a delisted symbol.
    """

    cash: float
    costs: CostModel | Mapping[Market, CostModel] | None = None
    limits: LimitTree | GateLimits | None = None
    band: float = USUAL_BAND
    leverage: float = USUAL_LEVERAGE
    margin: Mapping[str, Margin] = field(default_factory=dict)
    margin_mode: MarginMode = MarginMode.CROSS
    spot_share: float = 0.5
    trade_from_ms: int | None = None
    write_off_ms: int = 7 * DAY_MS
    haircut: float = 0.5

    def __post_init__(self) -> None:
        for name, good, allowed in (
            ("cash", 0.0 < self.cash < float("inf"), "a positive amount"),
            ("spot_share", 0.0 < self.spot_share < 1.0, "between 0 and 1"),
            ("haircut", 0.0 <= self.haircut <= 1.0, "between 0 and 1"),
            ("write_off_ms", self.write_off_ms > 0, "above zero"),
            ("leverage", self.leverage >= 1.0, "at least 1"),
        ):
            if not good:
                raise ConfigError(f"{name} must be {allowed}", where=f"{name}={getattr(self, name)!r}")

    def costs_of(self, market: Market) -> CostModel:
        """What trading costs on a market."""
        if isinstance(self.costs, CostModel):
            return self.costs
        regular = SPOT_COSTS if market is Market.SPOT else UM_COSTS
        return regular if self.costs is None else self.costs.get(market, regular)

    def costs_by_market(self, panel: Panel) -> dict[str, CostModel]:
        """The cost model of every market of a panel."""
        markets = sorted({one.market for one in panel.instruments})
        return {str(market): self.costs_of(market) for market in markets}

    def margin_terms(self, instrument: Instrument) -> Margin:
        """Leverage and brackets of an instrument; none on spot."""
        if instrument.market is Market.SPOT:
            return NO_MARGIN
        return self.margin.get(instrument.key) or margin_of(instrument, self.leverage)

    def leverages(self, panel: Panel) -> dict[str, float]:
        """The leverage of every future of a panel, by its key."""
        futures = [one for one in panel.instruments if one.market is not Market.SPOT]
        return {one.key: self.margin_terms(one).leverage for one in futures}

    def limits_digest(self, panel: Panel) -> str | None:
        """Of all limits that orders on a panel may be judged by; None without a gate."""
        tree = self.limits
        if tree is None or isinstance(tree, GateLimits):
            return None if tree is None else digest_of_limits([tree])
        symbols = [one.symbol for one in panel.instruments]
        named = (
            "",
            *tree.file.strategy,
            *(name for one in tree.file.trader.values() for name in one.strategies),
        )
        return digest_of_limits(tree.effective(name, symbol).limits for name in named for symbol in symbols)


def new_memory(seats: Sequence[Seat], panel: Panel, conditions: Conditions) -> Memory:
    """A flat account with the strategies' cash in their purses."""
    chosen = [seat.columns(panel) for seat in seats]
    edges = np.cumsum([0, *(len(columns) for columns in chosen)])
    legs = np.zeros(int(edges[-1]), LEG)
    legs["instrument"] = np.concatenate(chosen)
    legs["strategy"] = np.repeat(np.arange(len(seats)), np.diff(edges))
    for leg in legs:
        symbol = panel.instruments[leg["instrument"]].symbol
        leg["limits"] = _limits(conditions, seats[leg["strategy"]].strategy.name, symbol)
    sleeves = np.zeros(len(seats), SLEEVE)
    sleeves["first"], sleeves["last"] = edges[:-1], edges[1:]
    for sleeve, seat in zip(sleeves, seats, strict=True):
        sizing, rule = seat.sizing_on(panel)
        sleeve["mode"], sleeve["amount"] = sizing.mode, sizing.amount
        sleeve["drift"], sleeve["rule"] = max(sizing.drift, rule.drift), list(rule)
        sleeve["cash"] = _purses(seat, panel, conditions)
        sleeve["limits"] = _limits(conditions, seat.strategy.name, "")
    sessions = np.zeros(len(seats) + 1, SESSION)
    worth = sleeves["cash"].sum(axis=1)
    for name in ("peak_equity", "last_equity", "day_start_equity"):
        sessions[name] = np.append(worth, worth.sum())
    account, quotes = _account(seats, panel, conditions), _quotes(panel, conditions, legs)
    account["impacted"] = bool((quotes["impact"] > 0.0).any())
    count = len(panel.instruments)
    lines = np.zeros(len(legs), LINE)
    lines["instrument"], lines["step_size"] = legs["instrument"], quotes["step_size"][legs["instrument"]]
    return Memory(
        account,
        sleeves,
        sessions,
        quotes,
        legs,
        marks=np.zeros(count),
        seen=np.zeros(count, np.int64),
        tick_sizes=quotes["tick_size"].copy(),
        ticks=np.zeros(count),
        queue=np.zeros(len(legs), np.int64),
        waiting=np.zeros(count, np.int64),
        lines=lines,
    )


def _account(seats: Sequence[Seat], panel: Panel, conditions: Conditions) -> Records:
    account = np.zeros(1, ACCOUNT)
    row = account[0]
    row["strategies"], row["netted"] = len(seats), len(seats) > 1
    row["gated"], row["funded"] = conditions.limits is not None, len(panel.rates) > 0
    row["margined"], row["band"] = panel.is_margined, conditions.band
    row["isolated"] = conditions.margin_mode is MarginMode.ISOLATED
    row["interval_ms"], row["haircut"] = panel.interval.ms, conditions.haircut
    row["write_off_ms"] = max(conditions.write_off_ms, 2 * panel.interval.ms)
    start = conditions.trade_from_ms
    row["trade_from_ms"] = panel.open_time_ms[0] if start is None else start
    row["limits"] = _limits(conditions, "", "")
    return account


def _purses(seat: Seat, panel: Panel, conditions: Conditions) -> tuple[float, float]:
    """Starting cash of a strategy on spot and on the margin account."""
    markets = {panel.instruments[n].market for n in seat.columns(panel)}
    held = seat.share * conditions.cash
    if markets == {Market.SPOT}:
        return held, 0.0
    if Market.SPOT not in markets:
        return 0.0, held
    return held * conditions.spot_share, held - held * conditions.spot_share


def _quotes(panel: Panel, conditions: Conditions, legs: Records) -> Records:
    """The instruments, each with the chain of its legs."""
    quotes = np.zeros(len(panel.instruments), QUOTE)
    legs["next"] = NOBODY
    for n, (quote, instrument) in enumerate(zip(quotes, panel.instruments, strict=True)):
        grid, margin = grid_of(instrument), conditions.margin_terms(instrument)
        quote["purse"] = SPOT if grid.spot else MARGIN
        for values in (grid._asdict(), numbers_of(conditions.costs_of(instrument.market))._asdict()):
            for name, value in values.items():
                quote[name] = value
        for name in ("leverage", "maintenance_rate", "liquidation_fee"):
            quote[name] = float(getattr(margin, name))
        quote["brackets"] = _brackets(margin)
        quote["limits"] = _limits(conditions, "", instrument.symbol)
        chain = np.flatnonzero(legs["instrument"] == n)
        quote["first_leg"] = chain[0] if chain.size else NOBODY
        legs["next"][chain[:-1]] = chain[1:]
    return quotes


def _brackets(margin: Margin) -> npt.NDArray[np.float64]:
    """An instrument's brackets, shape (MOST_BRACKETS, 4), the last one repeated; one when it names none."""
    own = margin.for_machine_code().brackets
    if not len(own):
        own = np.array([[0.0, margin.maintenance_rate, 0.0, margin.leverage]])
    if len(own) > MOST_BRACKETS:
        raise ConfigError(f"a contract has more than {MOST_BRACKETS} leverage brackets")
    return np.concatenate((own, np.repeat(own[-1:], MOST_BRACKETS - len(own), axis=0)))


def _limits(conditions: Conditions, strategy: str, symbol: str) -> list[float]:
    """The limits of a strategy on a symbol (`""`: of the firm) as floats; infinite without a gate."""
    limits = conditions.limits
    if limits is not None and not isinstance(limits, GateLimits):
        limits = limits.effective(strategy, symbol).limits
    return list(in_floats(limits))

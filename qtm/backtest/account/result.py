"""What an account run leaves behind: equity, orders, and what each asset and strategy earned and cost.

Its tables need polars, a fifth of a run's memory: that is imported when a table is asked for.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from qtm.backtest.account.panel import Panel
from qtm.backtest.session import LossLimit
from qtm.backtest.standstill import Standstill, standstill_of
from qtm.backtest.statistics import Statistics, round_trips_of_books, statistics_of
from qtm.market.bars import BarSeries
from qtm.market.instruments import Instrument

if TYPE_CHECKING:
    import polars as pl

Floats = npt.NDArray[np.float64]

_NAMED = 3
"""Symbols that a run's short name spells out."""


@dataclass(frozen=True, slots=True)
class AccountSnapshot:
    """All memory of a run after its last bar, as bytes; a run given it goes on as if it had never stopped.

    `layout` names how `memory` is laid out. `seen` are the bars sizing rules may look back on, as
    `qtm.risk.sized_targets.last_seen` gave them.
    """

    versions: tuple[str, ...]
    keys: tuple[str, ...]
    last_open_time_ms: int
    memory: bytes
    strategies: tuple[bytes, ...]
    layout: str
    seen: bytes = b""


@dataclass(frozen=True, slots=True)
class StrategyLine:
    """One strategy of a run: what it was, on what, with which part of the cash."""

    name: str
    version: str
    kind: str
    params: dict[str, float]
    share: float
    symbols: tuple[str, ...]
    sizing: dict[str, Any]


@dataclass(frozen=True, slots=True)
class AccountLineage:
    """What a result was made from, enough to make it again.

    `strategy`, `strategy_version`, `params`, `market` and `symbol` say it in the words of a run on one symbol
    (see `words_of`); `strategies` and `symbols` say it in full. `limits` and `funding` are digests of the
    gate's limits and of the funding charged, None without; `leverages` has that of every future by its key.
    `data_version` is the lake's where all bars come from one table; `data_versions` has that of every table
    that was read, by name.
    """

    strategy: str
    strategy_version: str
    params: dict[str, float]
    market: str
    symbol: str
    interval: str
    first_ms: int
    last_ms: int
    bars: int
    cash: float
    strategies: tuple[StrategyLine, ...]
    symbols: tuple[str, ...]
    costs: dict[str, dict[str, float]]
    limits: str | None
    margin_mode: str
    leverage: float
    leverages: dict[str, float]
    funding: str | None
    band: float
    write_off_days: float
    haircut: float
    data_version: int | None = None
    waivers: tuple[str, ...] = ()
    data_versions: dict[str, int] = field(default_factory=dict)

    @property
    def funded(self) -> bool:
        """Whether funding was charged."""
        return self.funding is not None


def words_of(strategies: tuple[StrategyLine, ...], symbols: tuple[str, ...]) -> dict[str, Any]:
    """Many strategies and symbols in the words of one: names joined by `+`, parameters with their owner."""
    params = (
        strategies[0].params
        if len(strategies) == 1
        else {f"{line.name}.{name}": value for line in strategies for name, value in line.params.items()}
    )
    return {
        "strategy": "+".join(line.name for line in strategies),
        "strategy_version": "+".join(line.version for line in strategies),
        "params": params,
        "symbol": short_name(symbols),
    }


def short_name(symbols: tuple[str, ...]) -> str:
    """A few symbols joined by `+`; many by their number and a digest of their names."""
    if len(symbols) > _NAMED:
        return f"{len(symbols)}-symbols-{hashlib.sha256(' '.join(symbols).encode()).hexdigest()[:6]}"
    return "+".join(name.replace(":", "-") for name in symbols)


@dataclass(frozen=True)
class AccountResult:
    """Equity and orders of one run on one account, with what they were made from.

    Attributes
    ----------
    equity, gross
        Shape (T,): the account's worth and the sum of its absolute positions at each close.
    sleeves
        Shape (T, K): each strategy's equity; empty when there is one strategy.
    signals
        Shape (T, S): each leg's target at each close, NaN for "no change"; empty unless they were kept.
    order_rows
        One `ACCOUNT_ORDER_ROW` per finished order of a leg, in time order.
    legs, purses
        The sub-books, shape (S,), and each strategy's cash on spot and margin, (K, 2), after the last bar.
    start_qty, start_flow
        Each leg's position and cash flow before the first bar.
    insured
        Debt that the venue's insurance fund took over at liquidations.
    loss_limits
        What became of the limits on losses: (strategy, its limit).
    notes
        What allocators put on record: (time in ms, strategy, words).
    """

    panel: Panel
    cash: float
    equity: Floats
    gross: Floats
    sleeves: Floats
    signals: Floats
    order_rows: npt.NDArray[np.void]
    legs: npt.NDArray[np.void]
    purses: Floats
    start_qty: Floats
    start_flow: Floats
    bars_invested: int
    insured: float
    sizes: Floats
    loss_limits: tuple[tuple[str, LossLimit], ...]
    notes: tuple[tuple[int, str, str], ...]
    lineage: AccountLineage
    snapshot: AccountSnapshot

    @property
    def quote(self) -> str:
        """The currency everything is counted in."""
        return self.panel.instruments[0].quote

    @property
    def instrument(self) -> Instrument:
        """The first instrument: for figures that need to know the currency only."""
        return self.panel.instruments[0]

    @property
    def open_time_ms(self) -> npt.NDArray[np.int64]:
        """When each bar of `equity` opened, shape (T,)."""
        return self.panel.open_time_ms

    @property
    def limit_notes(self) -> list[str]:
        """What became of the loss limits, in words: one sentence for every strategy that passed one."""
        known = [(name, limit.in_words()) for name, limit in self.loss_limits]
        return [f"{name}: {words}" for name, words in known if words]

    @cached_property
    def standstill(self) -> Standstill | None:
        """How it ended, if its loss limits stopped all of its strategies."""
        return standstill_of(
            self.open_time_ms, self.panel.interval.ms, self.equity, self.cash, self.order_rows,
            [limit for _, limit in self.loss_limits],
            is_flat=bool((np.abs(self.legs["qty"]) < self.sizes[self.legs["instrument"]]).all()),
        )  # fmt: skip

    @property
    def funding_paid(self) -> float:
        """Funding paid by all legs (received, if negative)."""
        return float(self.legs["funding_paid"].sum())

    @cached_property
    def bars(self) -> BarSeries:
        """The market as one series: equal parts of the cash in every instrument from its first open on, held.

        A part waits as cash for its listing and keeps the last price of what has died.
        """
        holding = np.zeros(len(self.panel))
        for n in range(len(self.panel.instruments)):
            close = self.panel.close[:, n]
            known = np.flatnonzero(np.isfinite(close))
            if not known.size:
                holding += 1.0
                continue
            last = np.maximum.accumulate(np.where(np.isfinite(close), np.arange(close.size), -1))
            worth = close[np.maximum(last, known[0])] / float(self.panel.open[known[0], n])
            worth[: known[0]] = 1.0
            holding += worth
        holding /= len(self.panel.instruments)
        nothing = np.zeros(len(self.panel))
        return BarSeries(
            f"{len(self.panel.instruments)} held in equal parts",
            self.panel.interval,
            self.panel.open_time_ms,
            np.concatenate(([1.0], holding[:-1])),
            holding,
            holding,
            holding,
            nothing,
        )

    @property
    def trades(self) -> npt.NDArray[np.void]:
        """The round trips of all legs in order of their end, an array of `qtm.backtest.statistics.TRADE`."""
        return self._round_trips[0]

    @cached_property
    def trades_by_leg(self) -> list[npt.NDArray[np.void]]:
        """The round trips of each leg."""
        trades, legs = self._round_trips
        order = np.argsort(legs, kind="stable")
        return np.split(trades[order], np.searchsorted(legs[order], np.arange(1, len(self.legs))))

    @cached_property
    def _round_trips(self) -> tuple[npt.NDArray[np.void], npt.NDArray[np.int64]]:
        return round_trips_of_books(
            self.order_rows,
            "flow_after",
            self.order_rows["leg"],
            self.sizes[self.legs["instrument"]],
            self.start_qty,
            self.start_flow,
        )

    @cached_property
    def statistics(self) -> Statistics:
        """Performance figures of the account; see `qtm.backtest.statistics`."""
        return statistics_of(
            self.panel.open_time_ms,
            self.panel.interval.ms,
            self.equity,
            self.cash,
            self.order_rows,
            self.trades,
            fees=float(self.legs["fees"].sum()),
            traded_notional=float(self.legs["traded_notional"].sum()),
            exposure=self.bars_invested / len(self.panel),
            funding=self.funding_paid,
        )

    @cached_property
    def orders(self) -> pl.DataFrame:
        """Every finished order of every leg; see `qtm.backtest.account.tables.orders_of`."""
        from qtm.backtest.account.tables import orders_of

        return orders_of(self)

    @cached_property
    def by_leg(self) -> pl.DataFrame:
        """A row per leg: what it earned, traded, paid and held; see `qtm.backtest.account.tables.by_leg`."""
        from qtm.backtest.account.tables import by_leg

        return by_leg(self)

    @cached_property
    def by_asset(self) -> pl.DataFrame:
        """`by_leg` summed over the strategies, most profitable first."""
        from qtm.backtest.account.tables import summed

        return summed(self.by_leg, "symbol")

    @cached_property
    def by_strategy(self) -> pl.DataFrame:
        """`by_leg` summed over the instruments."""
        from qtm.backtest.account.tables import summed

        return summed(self.by_leg, "strategy")


def digest_of(result: Any) -> str:
    """A hash over equity and orders: equal for equal runs."""
    held = hashlib.sha256(result.equity.tobytes())
    held.update(result.order_rows.tobytes())
    return held.hexdigest()

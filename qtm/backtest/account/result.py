"""What an account run leaves behind: equity, orders, and what each asset and strategy earned and cost."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from qtm.backtest.account.memory import ACCOUNT_CAUSES, ACCOUNT_STATUS
from qtm.backtest.account.panel import Panel
from qtm.backtest.session import LossLimit
from qtm.backtest.statistics import Statistics, round_trips_of_books, statistics_of
from qtm.market.bars import BarSeries
from qtm.market.instruments import Instrument
from qtm.risk.rules import controls

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
    (see `words_of`); `strategies` and `symbols` say it in full. `leverages` names the instruments with
    margin terms of their own. `data_version` is the lake's where all bars come from one table;
    `data_versions` has that of every table, by name.
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
    gated: bool
    margin_mode: str
    leverage: float
    leverages: dict[str, float]
    funded: bool
    band: float
    write_off_days: float
    haircut: float
    data_version: int | None = None
    waivers: tuple[str, ...] = ()
    data_versions: dict[str, int] = field(default_factory=dict)


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

    @cached_property
    def orders(self) -> pl.DataFrame:
        """Every finished order of every leg: decision, limit, outcome, fill, fee, and the book after it."""
        rows = self.order_rows
        instrument = self.legs["instrument"][rows["leg"]]
        step = self.sizes[instrument]
        tick = np.array([float(one.tick_size) for one in self.panel.instruments])[instrument]
        lots = rows["lots"]
        masks, which = np.unique(rows["breached"], return_inverse=True)
        refusals = np.array([",".join(controls(int(mask))) for mask in masks], dtype=object)
        names = np.array(self.panel.names, dtype=object)
        strategies = np.array([line.name for line in self.lineage.strategies], dtype=object)
        return pl.DataFrame(
            {
                "bar": rows["bar"],
                "decided_ms": rows["decided_ms"],
                "strategy": pl.Series(list(strategies[self.legs["strategy"][rows["leg"]]]), dtype=pl.String),
                "symbol": pl.Series(list(names[instrument]), dtype=pl.String),
                "sequence": rows["sequence"],
                "side": pl.Series(np.where(lots > 0, "BUY", "SELL").tolist(), dtype=pl.String),
                "lots": np.abs(lots),
                "qty": np.abs(lots) * step,
                "filled_lots": np.abs(rows["filled_lots"]),
                "filled_qty": np.abs(rows["filled_lots"]) * step,
                "crossed_lots": rows["crossed_lots"],
                "limit_price": rows["limit_ticks"] * tick,
                "status": _words(rows["status"], ACCOUNT_STATUS),
                "cause": _words(rows["cause"], ACCOUNT_CAUSES),
                "control": pl.Series(list(refusals[which]), dtype=pl.String),
                "fill_price": rows["fill_price"],
                "fee": rows["fee"],
                "qty_after": rows["qty_after"],
                "cash_after": rows["cash_after"],
            }
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
    def by_leg(self) -> pl.DataFrame:
        """A row per leg: what it earned, traded, paid and held.

        `profit` is in quote currency after all costs, `contribution` the same over the starting cash;
        `exposure` is its average absolute position over the account's equity, `turnover` its traded value a
        year over average equity.
        """
        years = len(self.panel) * self.panel.interval.ms / (365.0 * 86_400_000)
        closes = _last_closes(self.panel)
        rows = []
        for s, leg in enumerate(self.legs):
            n = int(leg["instrument"])
            profit = float(leg["flow"] - self.start_flow[s] + leg["qty"] * closes[n])
            rows.append(
                {
                    "strategy": self.lineage.strategies[int(leg["strategy"])].name,
                    "symbol": self.panel.names[n],
                    "profit": profit,
                    "contribution": profit / self.cash,
                    "exposure": self._exposure(s),
                    "turnover": float(leg["traded_notional"]) / float(self.equity.mean()) / years,
                    "traded": float(leg["traded_notional"]),
                    "fees": float(leg["fees"]),
                    "funding": float(leg["funding_paid"]),
                    "delisting": float(leg["delisting_cost"]),
                    "fills": int(leg["fills"]),
                    "crossed_lots": float(leg["crossed"]),
                    "round_trips": len(self.trades_by_leg[s]),
                    "position": float(leg["qty"]),
                }
            )
        return pl.DataFrame(rows)

    @cached_property
    def by_asset(self) -> pl.DataFrame:
        """`by_leg` summed over the strategies, most profitable first."""
        return _summed(self.by_leg, "symbol")

    @cached_property
    def by_strategy(self) -> pl.DataFrame:
        """`by_leg` summed over the instruments."""
        return _summed(self.by_leg, "strategy")

    def _exposure(self, s: int) -> float:
        """Average of |position| over the account's equity, at the closes of a leg's bars."""
        rows = self.order_rows[(self.order_rows["leg"] == s) & (self.order_rows["filled_lots"] != 0.0)]
        held = np.concatenate(([self.start_qty[s]], rows["qty_after"]))
        edges = np.concatenate(([0], np.clip(rows["bar"] + 1, 0, len(self.panel)), [len(self.panel)]))
        close = self.panel.close[:, self.legs["instrument"][s]]
        total = 0.0
        for qty, first, last in zip(held, edges[:-1], edges[1:], strict=True):
            if qty != 0.0 and last > first:
                total += abs(float(qty)) * float(np.nansum(close[first:last] / self.equity[first:last]))
        return total / len(self.panel)


def _words(codes: npt.NDArray[np.int64], names: tuple[str, ...]) -> pl.Series:
    return pl.Series(np.array(names, dtype=object)[codes].tolist(), dtype=pl.String)


def _last_closes(panel: Panel) -> Floats:
    """The last close of every instrument, zero for one that never traded; shape (N,)."""
    last = np.zeros(len(panel.instruments))
    for n in range(last.size):
        known = np.flatnonzero(np.isfinite(panel.close[:, n]))
        if known.size:
            last[n] = panel.close[known[-1], n]
    return last


def _summed(table: pl.DataFrame, by: str) -> pl.DataFrame:
    figures = [name for name in table.columns if name not in ("strategy", "symbol", "position")]
    return table.group_by(by, maintain_order=True).agg(pl.col(figures).sum()).sort("profit", descending=True)


def digest_of(result: Any) -> str:
    """A hash over equity and orders: equal for equal runs."""
    held = hashlib.sha256(result.equity.tobytes())
    held.update(result.order_rows.tobytes())
    return held.hexdigest()

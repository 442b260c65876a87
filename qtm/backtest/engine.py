"""Backtest one strategy on one symbol: the compiled loop, its inputs checked and its results kept.

Order of events, the same on the paper exchange and live: at the close of bar i the step answers with a
target; the sub-book turns it into a LIMIT IOC order `band` beyond the close; the gate judges it; at the open
of bar i+1 it fills as a taker, or expires because the price is beyond its limit and is tried again at the
next close while the target stands unmet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from qtm.backtest.funding import FundingRates, rates_per_bar
from qtm.backtest.intrabar import CAUSES
from qtm.backtest.kernels import loop_kernel
from qtm.backtest.layout import check_layout, layout_of
from qtm.backtest.session import ORDER_STATUS, LossLimit, Rules, new_session
from qtm.backtest.sinks import new_ledger, with_more_room, written_orders
from qtm.backtest.standstill import Standstill, standstill_of
from qtm.backtest.statistics import Statistics, round_trips, statistics_of
from qtm.clock import iso_utc
from qtm.compiled import compiled
from qtm.errors import DataError, StrategyError
from qtm.market.bars import BarSeries, require_order
from qtm.market.instruments import Instrument
from qtm.risk.rules import HALTED, GateLimits, controls, in_floats
from qtm.risk.sized_targets import bars_to_measure, base_and_rule, last_seen, sizing_in_words
from qtm.risk.sizing import Sizer
from qtm.strategies.compile_errors import COMPILER_ERRORS, explain_compile_error
from qtm.strategies.contract import StepStrategy
from qtm.trading.book import Sizing, grid_of, new_sub_book
from qtm.trading.costs import CostModel, numbers_of
from qtm.trading.margin import Margin, margin_of

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All memory of a run after its last bar, as bytes; a run given it goes on as if it had never stopped.

    `layout` names how the bytes are laid out. `seen` are the bars a sizing rule may look back on: highs, lows
    and closes, in that order.
    """

    strategy_version: str
    last_open_time_ms: int
    state: bytes
    book: bytes
    session: bytes
    layout: str
    seen: bytes = b""


@dataclass(frozen=True, slots=True)
class Lineage:
    """What a result was made from, enough to make it again.

    `funding` is the digest of the funding that was charged, None where none was; `band` is None for orders
    that a strategy places itself. `data_version` is that of the lake's table of bars or trades;
    `data_versions` has that of every table that was read, by name.
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
    costs: dict[str, float]
    sizing: dict[str, Any]
    limits: dict[str, float] | None
    margin: dict[str, Any] | None
    funding: str | None
    band: float | None
    data_version: int | None = None
    waivers: tuple[str, ...] = ()
    data_versions: dict[str, int] = field(default_factory=dict)

    @property
    def funded(self) -> bool:
        """Whether funding was charged."""
        return self.funding is not None


@dataclass(frozen=True)
class BacktestResult:
    """Signals, equity and orders of one run, with what they were made from.

    Attributes
    ----------
    signals
        Shape (T,): the step's answer at each close; NaN before `trade_from_ms` and for "no change".
    equity
        Shape (T,): cash plus position at each close, in quote currency.
    order_rows
        One `ORDER_ROW` per finished order, in time order.
    book
        The sub-book after the last bar, shape (1,).
    start
        Position and cash before the first bar.
    funding_paid
        Funding paid (received, if negative) in quote currency.
    loss_limit
        What became of the limits of the gate on losses.
    snapshot
        Where the run stands after its last bar.
    """

    bars: BarSeries
    instrument: Instrument
    cash: float
    signals: Floats
    equity: Floats
    order_rows: npt.NDArray[np.void]
    book: npt.NDArray[np.void]
    start: tuple[float, float]
    bars_invested: int
    funding_paid: float
    loss_limit: LossLimit
    lineage: Lineage
    snapshot: Snapshot

    @property
    def open_time_ms(self) -> npt.NDArray[np.int64]:
        """When each bar of `equity` opened, shape (T,)."""
        return self.bars.open_time_ms

    @property
    def limit_notes(self) -> list[str]:
        """What became of the loss limits, in words: nothing, or one sentence."""
        words = self.loss_limit.in_words()
        return [words] if words else []

    @cached_property
    def standstill(self) -> Standstill | None:
        """How it ended, if its loss limits stopped it."""
        return standstill_of(
            self.open_time_ms, self.bars.interval.ms, self.equity, self.cash, self.order_rows,
            [self.loss_limit], is_flat=abs(float(self.book["qty"][0])) < float(self.instrument.step_size),
        )  # fmt: skip

    @cached_property
    def orders(self) -> pl.DataFrame:
        """Every finished order with its decision, limit, outcome, fill, fee, and the book after it."""
        rows = self.order_rows
        tick, step = float(self.instrument.tick_size), float(self.instrument.step_size)
        lots = rows["lots"]
        names = np.array(
            [",".join(controls(int(mask))) for mask in np.unique(rows["breached"])], dtype=object
        )
        which = np.searchsorted(np.unique(rows["breached"]), rows["breached"])
        return pl.DataFrame(
            {
                "bar": rows["bar"],
                "decided_ms": rows["decided_ms"],
                "sequence": rows["sequence"],
                "side": pl.Series(lots > 0).replace_strict(
                    {True: "BUY", False: "SELL"}, return_dtype=pl.String
                ),
                "lots": np.abs(lots).astype(np.int64),
                "qty": np.abs(lots) * step,
                "limit_ticks": pl.Series(rows["limit_ticks"], nan_to_null=True).cast(pl.Int64),
                "limit_price": rows["limit_ticks"] * tick,
                "filled_qty": np.abs(rows["filled_lots"]) * step,
                "status": pl.Series(rows["status"]).replace_strict(
                    dict(enumerate(ORDER_STATUS)), return_dtype=pl.String
                ),
                "cause": pl.Series(rows["cause"]).replace_strict(
                    dict(enumerate(CAUSES)), return_dtype=pl.String
                ),
                "control": pl.Series("control", list(names[which]), dtype=pl.String),
                "fill_price": rows["fill_price"],
                "fee": rows["fee"],
                "qty_after": rows["qty_after"],
                "cash_after": rows["cash_after"],
            }
        )

    @cached_property
    def trades(self) -> npt.NDArray[np.void]:
        """The round trips, as an array of `qtm.backtest.statistics.TRADE`."""
        return round_trips(self.order_rows, float(self.instrument.step_size), *self.start)

    @cached_property
    def statistics(self) -> Statistics:
        """Performance figures of the run; see `qtm.backtest.statistics`."""
        return statistics_of(
            self.bars.open_time_ms,
            self.bars.interval.ms,
            self.equity,
            self.cash,
            self.order_rows,
            self.trades,
            fees=float(self.book["fees"][0]),
            traded_notional=float(self.book["traded_notional"][0]),
            exposure=self.bars_invested / len(self.bars),
            funding=self.funding_paid,
        )


def run_backtest(
    strategy: StepStrategy,
    params: Any,
    bars: BarSeries,
    instrument: Instrument,
    *,
    cash: float,
    costs: CostModel,
    sizing: Sizing | Sizer,
    band: float = 0.01,
    limits: GateLimits | None = None,
    trade_from_ms: int | None = None,
    margin: Margin | None = None,
    funding: FundingRates | None = None,
    resume: Snapshot | None = None,
    data_version: int | None = None,
    waivers: tuple[str, ...] = (),
    data_versions: Mapping[str, int] | None = None,
) -> BacktestResult:
    """Run `strategy` over `bars` with `cash` quote currency.

    Parameters
    ----------
    params
        The strategy's parameter tuple, or a mapping of values over the defaults.
    sizing
        What a target of 1.0 means: a share of equity or a quantity, or the size a rule gives.
    band
        How far beyond the close the protective limit stands, as a fraction.
    limits
        Gate limits to trade under; None runs without a gate.
    trade_from_ms
        Bars opening earlier only warm the strategy up.
    margin
        Leverage and liquidation of a futures account (`margin_of(instrument)` by default).
    funding
        Funding payments of a perpetual; None charges none (a delivery contract, or a deliberate omission).
    resume
        Snapshot of a run that ended just before these bars.
    data_version, waivers, data_versions
        Recorded in the lineage.

    Raises
    ------
    DataError
        For bars that are empty, out of order, or without a positive price.
    StrategyError
        For parameters out of range, or a step that does not compile or fails.
    """
    values = params if isinstance(params, strategy.params_type) else strategy.params(_mapping(params))
    check_bars(bars)
    rules = make_rules(
        bars, instrument, costs, sizing, band, limits, trade_from_ms, margin, funded=funding is not None,
        resume=resume,
    )  # fmt: skip
    state, book, session = _memory(strategy, cash, bars, resume)
    start = float(book["qty"][0]), float(book["cash"][0])
    ledger = new_ledger(len(bars))
    columns = columns_of(bars, rules.grid.tick_size, funding)
    kernel = loop_kernel(strategy).run
    given = values, state[0], book[0], session[0], rules, columns
    reached = call_kernel(strategy, kernel, *given, 0, ledger)
    while reached < len(bars):
        ledger = with_more_room(ledger)
        reached = call_kernel(strategy, kernel, *given, reached, ledger)
    return BacktestResult(
        bars=bars,
        instrument=instrument,
        cash=cash,
        signals=ledger.signals,
        equity=ledger.equity,
        order_rows=written_orders(ledger),
        book=book,
        start=start,
        bars_invested=int(session["bars_invested"][0]),
        funding_paid=float(session["funding_paid"][0]),
        loss_limit=LossLimit(
            int(session["loss_limit_ms"][0]), bool(rules.gated and rules.limits.at_loss_limit == HALTED)
        ),
        lineage=Lineage(
            strategy=strategy.name,
            strategy_version=strategy.version,
            params=dict(values._asdict()),
            market=str(instrument.market),
            symbol=bars.symbol,
            interval=str(bars.interval),
            first_ms=int(bars.open_time_ms[0]),
            last_ms=int(bars.open_time_ms[-1]),
            bars=len(bars),
            cash=cash,
            costs=rules.costs._asdict(),
            sizing=sizing_in_words(sizing),
            limits=rules.limits._asdict() if limits is not None else None,
            margin=rules.margin.as_dict() if rules.margin.leverage > 0.0 else None,
            funding=None if funding is None else funding.digest,
            band=band,
            data_version=data_version,
            waivers=waivers,
            data_versions=dict(data_versions or {}),
        ),
        snapshot=Snapshot(
            strategy.version,
            int(bars.open_time_ms[-1]),
            state.tobytes(),
            book.tobytes(),
            session.tobytes(),
            layout_of((state, book, session)),
            last_seen(rules.sizer, rules.seen),
        ),
    )


def make_rules(
    bars: BarSeries,
    instrument: Instrument,
    costs: CostModel,
    sizing: Sizing | Sizer,
    band: float,
    limits: GateLimits | None,
    trade_from_ms: int | None,
    margin: Margin | None,
    *,
    funded: bool,
    resume: Snapshot | None = None,
) -> Rules:
    """The run's constants with every number as the float or integer the machine code was compiled for."""
    base, sizer = base_and_rule(sizing)
    own = tuple(getattr(bars, name)[:, None] for name in ("high", "low", "close"))
    return Rules(
        grid=grid_of(instrument),
        sizing=base,
        sizer=sizer,
        seen=bars_to_measure(sizer, own, b"" if resume is None else resume.seen),
        costs=numbers_of(costs),
        limits=in_floats(limits),
        gated=limits is not None,
        margin=(margin_of(instrument) if margin is None else margin).for_machine_code(),
        funded=funded,
        band=float(band),
        interval_ms=bars.interval.ms,
        trade_from_ms=int(bars.open_time_ms[0]) if trade_from_ms is None else int(trade_from_ms),
    )


def columns_of(
    bars: BarSeries, tick_size: float, funding: FundingRates | None
) -> tuple[npt.NDArray[Any], ...]:
    """The columns as the machine code takes them: contiguous, 64 bit; copies only what is not.

    The last but one is the close in ticks (as `qtm.trading.costs.nearest_ticks` counts them), the last one
    the funding rate due at each open, empty without funding.
    """
    rates = np.empty(0) if funding is None else rates_per_bar(bars, funding)
    prices = (bars.open, bars.high, bars.low, bars.close, bars.volume)
    ticks = np.divide(bars.close, tick_size)
    return (
        np.ascontiguousarray(bars.open_time_ms, dtype=np.int64),
        *(np.ascontiguousarray(column, dtype=np.float64) for column in prices),
        np.rint(ticks, out=ticks),
        rates,
    )


def check_bars(bars: BarSeries) -> None:
    """Raise DataError naming the first bar the engine cannot run on."""
    require_order(bars)
    if are_prices(bars.open, bars.high, bars.low, bars.close):
        return
    for name in ("open", "high", "low", "close"):
        prices = getattr(bars, name)
        for bad in np.flatnonzero(~((prices > 0.0) & (prices < np.inf)))[:1]:
            raise DataError(
                f"the {name} price is {prices[bad]!r}",
                where=f"{bars.symbol} {iso_utc(int(bars.open_time_ms[bad]))}",
                remedy="run the quality checks on this period",
            )


@compiled
def are_prices(opens: Floats, highs: Floats, lows: Floats, closes: Floats) -> bool:
    """Whether all are positive and finite, looked at once: a year of minutes is more than a cache holds."""
    bad = 0
    for i in range(opens.size):
        bad += not (opens[i] > 0.0 and opens[i] < np.inf)
        bad += not (highs[i] > 0.0 and highs[i] < np.inf)
        bad += not (lows[i] > 0.0 and lows[i] < np.inf)
        bad += not (closes[i] > 0.0 and closes[i] < np.inf)
    return bad == 0


def call_kernel(strategy: StepStrategy, kernel: Any, *arguments: Any) -> Any:
    """Call machine code of `strategy`; compiler and step failures become a StrategyError."""
    try:
        return kernel(*arguments)
    except COMPILER_ERRORS as error:
        raise explain_compile_error(error, strategy.name, strategy.source) from error
    except (ArithmeticError, ValueError, IndexError) as error:
        raise StrategyError(
            f"the step of {strategy.name!r} failed: {error}",
            where=str(strategy.source),
            remedy="check its parameters and state, or run it with debug, which names the line",
        ) from error


def _mapping(params: Any) -> Mapping[str, Any]:
    if params is None:
        return {}
    return params._asdict() if hasattr(params, "_asdict") else dict(params)


def _memory(
    strategy: StepStrategy, cash: float, bars: BarSeries, resume: Snapshot | None
) -> tuple[Any, Any, Any]:
    """State, sub-book and session, fresh or from a snapshot."""
    state, book, session = strategy.new_state(), new_sub_book(cash), new_session(cash)
    if resume is None:
        return state, book, session
    if resume.strategy_version != strategy.version:
        raise StrategyError(
            f"the snapshot is of version {resume.strategy_version}, the strategy is {strategy.version}",
            where=strategy.name,
            remedy="start afresh, or run the version that made the snapshot",
        )
    if int(bars.open_time_ms[0]) <= resume.last_open_time_ms:
        raise DataError(
            "the bars begin before the snapshot ends",
            where=f"{bars.symbol} {iso_utc(int(bars.open_time_ms[0]))}",
            remedy=f"give bars opening after {iso_utc(resume.last_open_time_ms)}",
        )
    check_layout(resume.layout, (state, book, session), strategy.name)
    return (
        np.frombuffer(resume.state, state.dtype).copy(),
        np.frombuffer(resume.book, book.dtype).copy(),
        np.frombuffer(resume.session, session.dtype).copy(),
    )

"""What a run over a tape leaves behind, with the same face as a bar backtest's result.

Reports and statistics ask both for `bars`, `equity`, `order_rows`, `trades`, `statistics`, `lineage` and
`book`. Here the bars are the tape's trades on the grid the equity was sampled on, and a row is one fill, or
an order that ended without any.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from qtm.backtest.engine import BacktestResult, Lineage
from qtm.backtest.intrabar import CAUSES
from qtm.backtest.session import EXPIRED, FILLED, REFUSED, REJECTED, LossLimit
from qtm.backtest.sinks import ORDER_ROW
from qtm.backtest.standstill import Standstill, standstill_of
from qtm.backtest.statistics import Statistics, round_trips, statistics_of
from qtm.backtest.tape.events import Tape
from qtm.backtest.tape.ledger import REASONS
from qtm.backtest.tape.rules import Latency, Queue
from qtm.market.bars import BarSeries
from qtm.market.instruments import Instrument
from qtm.risk.rules import controls
from qtm.trading import desk as words
from qtm.trading.exact import UNITS, scale_of

if TYPE_CHECKING:
    from qtm.backtest.tape.memory import TapeSnapshot

Floats = npt.NDArray[np.float64]

_NS = 1_000_000
_ENDED_WITHOUT_FILL = {
    words.CANCELED: EXPIRED,
    words.EXPIRED: EXPIRED,
    words.REFUSED: REFUSED,
    words.REJECTED: REJECTED,
}


@dataclass(frozen=True)
class OrdersResult:
    """Equity, fills and orders of one run of an order strategy, with what they were made from.

    Attributes
    ----------
    equity
        Shape (T,): cash plus position at the end of each interval of the tape's grid, in quote currency.
    fill_rows, end_rows
        `FILL_ROW` per fill and `END_ROW` per ended order, in time order; money in units of 1e-8.
    books, start_books
        The account's books (`qtm.trading.desk_memory.BOOKS`) after and before the tape.
    intervals_invested
        Intervals of the grid that ended with a position.
    working, requests
        Orders still open at the end; requests made (placements, amendments, cancels).
    loss_limit
        What became of the limits of the gate on losses.
    """

    tape: Tape
    instrument: Instrument
    cash: float
    equity: Floats
    fill_rows: npt.NDArray[np.void]
    end_rows: npt.NDArray[np.void]
    books: np.void
    start_books: np.void
    intervals_invested: int
    working: int
    requests: int
    loss_limit: LossLimit
    lineage: Lineage
    snapshot: TapeSnapshot
    latency: Latency
    queue: Queue

    @property
    def limit_notes(self) -> list[str]:
        """What became of the loss limits, in words: nothing, or one sentence."""
        words = self.loss_limit.in_words()
        return [words] if words else []

    @cached_property
    def standstill(self) -> Standstill | None:
        """How it ended, if its loss limits stopped it."""
        return standstill_of(
            self.open_time_ms, self.tape.interval.ms, self.equity, self.cash, self.order_rows,
            [self.loss_limit], is_flat=abs(self.book["qty"][0]) < float(self.instrument.step_size),
        )  # fmt: skip

    @cached_property
    def fills(self) -> pl.DataFrame:
        """Every fill: when, which order, side, quantity, price, maker or taker, fee, the books after it.

        `lots_ahead` stood before the order when it joined its queue; null for one that never did, or where
        no depth is known.
        """
        rows = self.fill_rows
        tick, step = float(self.instrument.tick_size), float(self.instrument.step_size)
        return pl.DataFrame(
            {
                "ts_ns": rows["ts_ns"],
                "order": rows["handle"] // 256,
                "side": _names(np.where(rows["side"] > 0, 0, 1), ("BUY", "SELL")),
                "lots": rows["lots"],
                "qty": rows["lots"] * step,
                "ticks": rows["ticks"],
                "price": rows["ticks"] * tick,
                "maker": rows["maker"] == 1,
                "fee": rows["fee"] / UNITS,
                "cause": _names(rows["cause"], ("order", *CAUSES[1:])),
                "lots_ahead": pl.Series(rows["joined"]).replace(-1, None),
                "qty_after": rows["base_after"] / UNITS,
                "cash_after": rows["cash_after"] / UNITS,
            }
        )

    @cached_property
    def orders(self) -> pl.DataFrame:
        """Every ended order: what it asked, how it ended and why, and what of it traded at which price.

        `lots_ahead` as in `fills`.
        """
        rows = self.end_rows
        tick, step = float(self.instrument.tick_size), float(self.instrument.step_size)
        masks = [",".join(controls(int(mask))) for mask in rows["breached"]]
        traded = (
            self.fills.group_by("order")
            .agg(
                (pl.col("price") * pl.col("lots")).sum() / pl.col("lots").sum(),
                pl.col("fee").sum(),
            )
            .rename({"price": "fill_price"})
        )
        return pl.DataFrame(
            {
                "order": rows["handle"] // 256,
                "sent_ns": rows["sent_ns"],
                "live_ns": rows["live_ns"],
                "end_ns": rows["end_ns"],
                "side": _names(np.where(rows["side"] > 0, 0, 1), ("BUY", "SELL")),
                "kind": _names(rows["kind"], words.KINDS),
                "time_in_force": _names(rows["time_in_force"], words.TIMES_IN_FORCE),
                "post_only": (rows["flags"] & words.POST_ONLY) != 0,
                "reduce_only": (rows["flags"] & words.REDUCE_ONLY) != 0,
                "lots": rows["lots"],
                "qty": rows["lots"] * step,
                "filled_qty": (rows["lots"] - rows["left"]) * step,
                "limit_price": rows["ticks"] * tick,
                "trigger_price": rows["trigger_ticks"] * tick,
                "lots_ahead": pl.Series(rows["joined"]).replace(-1, None),
                "status": _names(rows["status"], words.STATUSES),
                "reason": _names(rows["reason"], REASONS),
                "control": pl.Series(masks, dtype=pl.String),
            }
        ).join(traded, on="order", how="left", maintain_order="left")

    @property
    def open_time_ms(self) -> npt.NDArray[np.int64]:
        """When each interval of `equity` opened, shape (T,)."""
        step_ms = self.tape.interval.ms
        return self.tape.start_ns // _NS + np.arange(len(self.equity), dtype=np.int64) * step_ms

    @cached_property
    def bars(self) -> BarSeries:
        """The tape's prices and volume on its grid; an interval without a trade stands at the last price."""
        return bars_of(self.tape, self.instrument)

    @cached_property
    def order_rows(self) -> npt.NDArray[np.void]:
        """A row of `qtm.backtest.sinks.ORDER_ROW` per fill and per order that ended without one."""
        fills = _rows_of_fills(self.fill_rows, self)
        unfilled = self.end_rows[self.end_rows["left"] == self.end_rows["lots"]]
        rest = _rows_of_unfilled(unfilled, self)
        rows = np.concatenate([fills, rest])
        order = np.argsort(np.concatenate([self.fill_rows["ts_ns"], unfilled["end_ns"]]), kind="stable")
        return _books_carried(np.asarray(rows[order]), self)

    @property
    def start(self) -> tuple[float, float]:
        """Position and cash before the tape."""
        return float(self.start_books["base"]) / UNITS, float(self.start_books["cash"]) / UNITS

    @cached_property
    def trades(self) -> npt.NDArray[np.void]:
        """The round trips, as an array of `qtm.backtest.statistics.TRADE`."""
        fills = _rows_of_fills(self.fill_rows, self)
        return round_trips(fills, float(self.instrument.step_size), *self.start)

    @cached_property
    def statistics(self) -> Statistics:
        """Performance figures of the run; an order counts once, however many fills it had."""
        figures = statistics_of(
            self.open_time_ms,
            self.tape.interval.ms,
            self.equity,
            self.cash,
            self.order_rows,
            self.trades,
            fees=float(self.books["fees"]) / UNITS,
            traded_notional=float(self.books["traded"]) / UNITS,
            exposure=self.intervals_invested / len(self.equity),
            funding=self.funding_paid,
        )
        return dataclasses.replace(figures, orders=len(self.end_rows) + self.working)

    @property
    def book(self) -> dict[str, list[float]]:
        """Position and money at the end under the names of a sub-book."""
        books = self.books
        return {
            "qty": [float(books["base"]) / UNITS],
            "cash": [float(books["cash"]) / UNITS],
            "fees": [float(books["fees"]) / UNITS],
            "traded_notional": [float(books["traded"]) / UNITS],
            "realised": [float(books["realised"]) / UNITS],
        }

    @property
    def funding_paid(self) -> float:
        """Funding paid (received, if negative) in quote currency."""
        return float(self.books["funding"]) / UNITS


SymbolResult = BacktestResult | OrdersResult
"""A run on one symbol, of either engine."""


def bars_of(tape: Tape, instrument: Instrument) -> BarSeries:
    """The trades (or bars) of a tape on its grid."""
    grid = tape.on_grid
    tick, lot = float(instrument.tick_size), float(instrument.step_size)
    opens_ms = tape.start_ns // _NS + np.arange(len(grid), dtype=np.int64) * tape.interval.ms
    opened, high, low, close = (grid[name] * tick for name in ("open", "high", "low", "close"))
    return BarSeries(tape.symbol, tape.interval, opens_ms, opened, high, low, close, grid["volume"] * lot)


def _rows_of_fills(fills: npt.NDArray[np.void], run: OrdersResult) -> npt.NDArray[np.void]:
    rows = np.zeros(len(fills), ORDER_ROW)
    _place(rows, fills["ts_ns"], fills, run)
    rows["lots"] = fills["side"] * fills["lots"]
    rows["limit_ticks"] = np.nan
    rows["status"] = FILLED
    rows["cause"] = fills["cause"]
    rows["fill_price"] = np.rint(fills["ticks"] * (scale_of(run.instrument).tick)) / UNITS
    rows["fee"] = fills["fee"] / UNITS
    rows["qty_after"] = fills["base_after"] / UNITS
    rows["cash_after"] = fills["cash_after"] / UNITS
    held = fills["base_after"] != 0
    rows["entry_after"][held] = fills["cost_after"][held] / fills["base_after"][held]
    rows["filled_lots"] = rows["lots"]
    return rows


def _rows_of_unfilled(ends: npt.NDArray[np.void], run: OrdersResult) -> npt.NDArray[np.void]:
    rows = np.zeros(len(ends), ORDER_ROW)
    _place(rows, ends["end_ns"], ends, run)
    rows["lots"] = ends["side"] * ends["lots"]
    rows["limit_ticks"] = np.where(ends["ticks"] != 0, ends["ticks"], np.nan)
    rows["status"] = [_ENDED_WITHOUT_FILL[int(status)] for status in ends["status"]]
    rows["breached"] = ends["breached"]
    rows["fill_price"] = np.nan
    return rows


def _books_carried(rows: npt.NDArray[np.void], run: OrdersResult) -> npt.NDArray[np.void]:
    """Give every order that ended without a fill the books of the fill before it."""
    filled = rows["status"] == FILLED
    last = np.maximum.accumulate(np.where(filled, np.arange(len(rows)), -1))
    books = run.start_books
    entry = float(books["cost"]) / float(books["base"]) if books["base"] != 0 else 0.0
    for name, before in zip(("qty_after", "cash_after", "entry_after"), (*run.start, entry), strict=True):
        rows[name] = np.where(last >= 0, rows[name][last], before)
    return rows


def _place(rows: Any, ts_ns: Any, source: Any, run: OrdersResult) -> None:
    """When a row happened; as in a bar backtest, the bar is the one before that it happened in."""
    step_ns = run.tape.interval.ms * _NS
    rows["bar"] = (ts_ns - run.tape.start_ns) // step_ns - 1
    rows["decided_ms"] = ts_ns // _NS
    rows["sequence"] = source["handle"] // 256


def _names(codes: Any, names: tuple[str, ...]) -> pl.Series:
    """Names of codes as a string column."""
    return pl.Series(np.asarray(names, dtype=object)[codes], dtype=pl.String)

"""The events of one symbol, for an order strategy."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from qtm.backtest.conditions.bars import taker_cost
from qtm.backtest.funding import FundingRates
from qtm.backtest.place import Place
from qtm.backtest.session import DAY_MS
from qtm.backtest.tape.engine import run_orders_backtest
from qtm.backtest.tape.events import NO_DEPTH, Tape
from qtm.backtest.tape.funding import with_payments
from qtm.backtest.tape.result import OrdersResult
from qtm.backtest.tape.rules import Latency, Queue
from qtm.backtest.tape.windows import has_market, window_of
from qtm.backtest.trial_terms import terms_on_one_symbol
from qtm.errors import StrategyError
from qtm.market.instruments import Instrument
from qtm.risk.rules import GateLimits
from qtm.strategies.order_contract import OrderStrategy
from qtm.trading.costs import CostModel
from qtm.trading.desk import WAKES
from qtm.trading.margin import Margin

_NS = 1_000_000


def _require_waking(strategy: OrderStrategy, params: Any, tape: Tape) -> None:
    """A strategy that nothing on the tape ever wakes would end without an order and without a word."""
    given = WAKES["bar"] if tape.bars.size else WAKES["trade"]
    given |= WAKES["quote"] if tape.depth != NO_DEPTH else 0
    values = params if isinstance(params, strategy.params_type) else strategy.params(params or {})
    if strategy.wakes & given or strategy.period_ns(values):
        return
    kind = "bars" if tape.bars.size else "trades without a book"
    there = " or ".join(name for name, bit in WAKES.items() if bit & given)
    raise StrategyError(
        f"nothing would ever wake {strategy.name!r} on {kind}",
        where=str(strategy.source),
        remedy=f"add {there} to its `wakes`, give it a `period_ms`, or run it on what it wakes by",
    )


@dataclass(frozen=True)
class TapeConditions:
    """See `qtm.backtest.conditions.contract.Conditions`; the fields are those of `run_orders_backtest`."""

    tape: Tape
    instrument: Instrument
    cash: float
    costs: CostModel
    limits: GateLimits | None = None
    margin: Margin | None = None
    funding: FundingRates | None = None
    latency: Latency = field(default_factory=Latency)
    queue: Queue = field(default_factory=Queue)
    data_version: int | None = None
    waivers: tuple[str, ...] = ()
    data_versions: Mapping[str, int] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        """Where and when, on the grid that equity is sampled on."""
        tape, step_ms = self.tape, self.tape.interval.ms
        first_ms, end_ms = tape.start_ns // _NS, tape.end_ns // _NS
        return Place(
            str(self.instrument.market), tape.symbol, (tape.symbol,), tape.resolution, first_ms,
            end_ms - step_ms, self.data_version,
        )  # fmt: skip

    @property
    def terms_as_params(self) -> dict[str, float]:
        """Leverage, capital, costs and limits as parameters; order strategies size their own orders."""
        return terms_on_one_symbol(
            market=str(self.instrument.market),
            cash=self.cash,
            costs=self.costs._asdict(),
            limits=self.limits,
            leverage=0.0 if self.margin is None else self.margin.leverage,
        )

    @property
    def days(self) -> npt.NDArray[np.int64]:
        """Every day of the tape: equity is sampled whether there are events or not."""
        place = self.place
        return np.arange(place.first_ms // DAY_MS, place.last_ms // DAY_MS + 1)

    @cached_property
    def _paid(self) -> Tape:
        """The tape with its funding payments, merged once for all runs."""
        return with_payments(self.tape, self.funding)

    def run(
        self, strategy: OrderStrategy, params: Any, *, trade_from_ms: int | None = None, debug: bool = False
    ) -> OrdersResult:
        """Run `params` over the tape; raises as `run_orders_backtest`, and where nothing wakes it."""
        _require_waking(strategy, params, self.tape)
        return run_orders_backtest(
            strategy,
            params,
            self._paid,
            self.instrument,
            cash=self.cash,
            costs=self.costs,
            latency=self.latency,
            queue=self.queue,
            limits=self.limits,
            margin=self.margin,
            trade_from_ms=trade_from_ms,
            data_version=self.data_version,
            waivers=self.waivers,
            data_versions=self.data_versions,
            compiled=not debug,
        )

    def between(self, begin_ms: int, end_ms: int, cash: float, *, warm_up: int) -> TapeConditions | None:
        """The same over a window and `warm_up` intervals before it, with other capital.

        The market stands at its beginning as it did there, and the payments are those of the whole.
        """
        start_ns = begin_ms * _NS - warm_up * self.tape.interval.ms * _NS
        if not has_market(self._paid, begin_ms * _NS, end_ms * _NS):
            return None
        tape = window_of(self._paid, self.instrument, self.costs, start_ns, end_ms * _NS)
        return dataclasses.replace(self, tape=tape, cash=cash, funding=None)

    def with_cash(self, cash: float) -> TapeConditions:
        """The same with other capital."""
        return dataclasses.replace(self, cash=cash)

    def with_costs(self, change: Callable[[CostModel], CostModel]) -> TapeConditions:
        """The same with other costs."""
        return dataclasses.replace(self, costs=change(self.costs))

    def closing_cost(self, result: OrdersResult) -> float:
        """What trading the open position away at the last price costs."""
        qty, close = float(result.book["qty"][0]), float(result.bars.close[-1])
        return taker_cost(qty, close, float(self.instrument.tick_size), self.costs)

    def terms(self, strategy: OrderStrategy) -> dict[str, Any]:
        """The engine's rules by name, the funding and the events as digests."""
        return {
            "cash": self.cash,
            "instrument": repr(self.instrument),
            "costs": self.costs._asdict(),
            "limits": None if self.limits is None else repr(self.limits),
            "margin": repr(self.margin),
            "latency": repr(self.latency),
            "queue": repr(self.queue),
            "events": hashlib.sha256(self.tape.events.view(np.uint8).data).hexdigest()[:16],
            "funding": None if self.funding is None else self.funding.digest,
        }

    @property
    def nbytes(self) -> int:
        """The events and bars of the tape; a mapped one (`qtm.backtest.tape.mapped`) takes none."""
        events = self._paid.events
        mapped = isinstance(events.base, np.memmap)
        return int(self.tape.bars.nbytes + (0 if mapped else events.nbytes))

"""Run an order strategy over a tape: inputs checked, the compiled engine run, results kept.

The way of an order: the step asks at the time it learns of an event (feed latency), the gate judges at once,
the request reaches the venue after the order latency and works from the next event on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from qtm.backtest.engine import Lineage
from qtm.backtest.funding import FundingRates
from qtm.backtest.layout import layout_of
from qtm.backtest.session import LossLimit
from qtm.backtest.tape.events import NO_DEPTH, Tape
from qtm.backtest.tape.flood import require_bearable
from qtm.backtest.tape.funding import with_payments
from qtm.backtest.tape.kernels import engine_calls, run_kernel
from qtm.backtest.tape.ledger import END_ROW, FILL_ROW, ROOM
from qtm.backtest.tape.loop import FULL, WAKE
from qtm.backtest.tape.memory import TapeSnapshot, memory_of, settled
from qtm.backtest.tape.result import OrdersResult
from qtm.backtest.tape.rules import Latency, Queue, make_rules
from qtm.errors import ConfigError, DataError, StrategyError
from qtm.market.instruments import Instrument, Market
from qtm.risk.rules import HALTED, GateLimits
from qtm.strategies.compile_errors import COMPILER_ERRORS, explain_compile_error
from qtm.strategies.order_contract import OrderStrategy
from qtm.trading.costs import CostModel
from qtm.trading.margin import NO_MARGIN, UM_MARGIN, Margin

_NS = 1_000_000
_MOST_CASH = 4e10


def run_orders_backtest(
    strategy: OrderStrategy,
    params: Any,
    tape: Tape,
    instrument: Instrument,
    *,
    cash: float,
    costs: CostModel,
    latency: Latency | None = None,
    queue: Queue | None = None,
    limits: GateLimits | None = None,
    margin: Margin | None = None,
    funding: FundingRates | None = None,
    marks: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None = None,
    trade_from_ms: int | None = None,
    resume: TapeSnapshot | None = None,
    data_version: int | None = None,
    waivers: tuple[str, ...] = (),
    data_versions: Mapping[str, int] | None = None,
    compiled: bool = True,
) -> OrdersResult:
    """Run `strategy` over `tape` with `cash` quote currency.

    Parameters
    ----------
    params
        The strategy's parameter tuple, or a mapping of values over the defaults.
    latency, queue
        None means no latency, and the pessimistic queue.
    limits
        Gate limits to trade under; None runs without a gate.
    margin
        Leverage, brackets and liquidation of a futures account (`UM_MARGIN` by default on USD-M, none on
        spot). A leverage of 0 on USD-M trades without margin.
    funding
        Funding payments of a perpetual; None charges what the tape holds (see `funding.with_payments`), else
        none (a delivery contract, or a deliberate omission).
    marks
        Times in ns and mark prices in ticks; they then decide liquidation and mark-price triggers.
    trade_from_ms
        Orders before it are dropped: the strategy only warms up.
    resume
        Snapshot of a run that ended where this tape begins.
    compiled
        False runs the step as plain Python inside the compiled engine, for a debugger; same result.

    Raises
    ------
    ConfigError, DataError
        For cash, costs, a tape or funding that cannot be used.
    StrategyError
        For parameters out of range, a step that does not compile or fails, or one that floods the ledger.
    """
    values = params if isinstance(params, strategy.params_type) else strategy.params(_mapping(params))
    _check(strategy, tape, cash)
    account = margin or (NO_MARGIN if instrument.market is Market.SPOT else UM_MARGIN)
    latency, queue = latency or Latency(), queue or Queue()
    whole = with_payments(tape, funding, marks)
    rules = make_rules(
        whole, instrument, costs, latency, queue, limits, account,
        wakes=strategy.wakes, period_ns=strategy.period_ns(values),
        trade_from_ns=0 if trade_from_ms is None else trade_from_ms * _NS, marked=whole.marked,
    )  # fmt: skip
    state, desk, levels = memory_of(strategy, whole, rules, cash, resume)
    start = desk["books"][0].copy()
    equity = np.empty((whole.end_ns - whole.start_ns) // int(rules["sample_ns"][0]))
    fills, ends = _run(strategy, values, state, desk, rules, levels, whole, equity, compiled=compiled)
    _close_of_tape(desk, rules, ends, equity)
    books = desk["books"][0]
    first_ms, step_ms = whole.start_ns // _NS, whole.interval.ms
    return OrdersResult(
        tape=whole,
        instrument=instrument,
        cash=cash,
        equity=equity,
        fill_rows=fills,
        end_rows=ends,
        books=books.copy(),
        start_books=start,
        intervals_invested=int(desk["invested"][0]),
        working=int(desk["count"][0]),
        requests=int(desk["asked"][0]),
        loss_limit=LossLimit(
            int(books["loss_limit_ms"]), limits is not None and limits.at_loss_limit == HALTED
        ),
        lineage=Lineage(
            strategy=strategy.name,
            strategy_version=strategy.version,
            params=dict(values._asdict()),
            market=str(instrument.market),
            symbol=whole.symbol,
            interval=whole.resolution,
            first_ms=first_ms,
            last_ms=whole.end_ns // _NS - step_ms,
            bars=len(equity),
            cash=cash,
            costs=costs._asdict(),
            sizing={},
            limits=_as_judged(rules) if limits is not None else None,
            margin=account.as_dict() if account.leverage > 0 else None,
            funding=whole.funding,
            band=None,
            data_version=data_version,
            waivers=waivers,
            data_versions=dict(data_versions or {}),
        ),
        snapshot=TapeSnapshot(
            strategy.version, whole.end_ns, int(rules["base_ticks"][0]), state.tobytes(),
            settled(desk), levels.tobytes(), layout_of((state, desk)),
        ),
        latency=latency,
        queue=queue,
    )  # fmt: skip


def _as_judged(rules: npt.NDArray[np.void]) -> dict[str, float]:
    """The limits as the gate of the run knows them, under the names every engine's lineage has."""
    return {name: float(rules["limits"][0][name]) for name in GateLimits._fields}


def _run(
    strategy: OrderStrategy,
    values: Any,
    state: Any,
    desk: Any,
    rules: Any,
    levels: Any,
    tape: Tape,
    equity: Any,
    *,
    compiled: bool,
) -> tuple[npt.NDArray[np.void], npt.NDArray[np.void]]:
    """Run to the end of the tape, with larger arrays for the ledger whenever they are full."""
    # Pages that are never written cost nothing, so there is room for an order every fourth event.
    rows = 4 * ROOM + len(tape) // 4
    fills, ends = np.empty(rows, FILL_ROW), np.empty(rows, END_ROW)
    runner = run_kernel(strategy).run if compiled else _plain_runner(strategy)
    try:
        while (
            runner(values, state[0], desk[0], rules[0], levels, tape.events, tape.bars, fills, ends, equity)
            == FULL
        ):
            require_bearable(strategy, values, tape, ends[: desk["end_rows"][0]])
            fills, ends = _larger(fills), _larger(ends)
    except COMPILER_ERRORS as error:
        if not compiled:
            raise
        raise explain_compile_error(error, strategy.name, strategy.source) from error
    except (ArithmeticError, ValueError, IndexError) as error:
        if not compiled:
            raise
        raise StrategyError(
            f"the step of {strategy.name!r} failed: {error}",
            where=str(strategy.source),
            remedy="check its parameters and state, or run it with compiled=False in a debugger",
        ) from error
    return fills[: desk["fill_rows"][0]], ends[: desk["end_rows"][0]]


def _larger(rows: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """The rows in an array of twice the length."""
    larger = np.empty(2 * len(rows), rows.dtype)
    larger[: len(rows)] = rows
    return larger


def _plain_runner(strategy: OrderStrategy) -> Any:
    """The loop around the step in plain Python: breakpoints in the step work."""
    calls = engine_calls()

    def run(params: Any, state: Any, desk: Any, rules: Any, *arrays: Any) -> int:
        # Records, not void scalars: a step written for compiled code says `desk.bid_ticks`.
        seen_state, seen_desk = _record(state), _record(desk)
        ends = arrays[4]
        while True:
            reached = calls.call_advance(desk, rules, *arrays)
            if reached != WAKE:
                return int(reached)
            strategy.step(params, seen_state, seen_desk.event, seen_desk.account, seen_desk)
            if desk["judged"] != desk["asked"]:
                calls.call_dispatch(desk, rules, ends)

    return run


def _record(void: Any) -> Any:
    """A view of a structured scalar whose fields are attributes."""
    base = void.base if isinstance(void.base, np.ndarray) else np.asarray(void)
    return base.reshape(-1).view(np.recarray)[0]


def _close_of_tape(desk: Any, rules: Any, ends: Any, equity: Any) -> None:
    """The samples that are due when the tape is over."""
    sample = engine_calls().call_take_sample
    while desk["sample_rows"][0] < len(equity):
        sample(desk[0], rules[0], ends, equity)


def _check(strategy: OrderStrategy, tape: Tape, cash: float) -> None:
    if not 0.0 < cash < _MOST_CASH:
        raise ConfigError(f"cash must be a positive amount below {_MOST_CASH:g}, not {cash}", where="cash")
    if strategy.needs_depth and tape.depth == NO_DEPTH:
        raise DataError(
            f"{strategy.name} needs the book's depth and this tape has none",
            where=tape.symbol,
            remedy="give a tape of recorded depth",
        )


def _mapping(params: Any) -> Mapping[str, Any]:
    if params is None:
        return {}
    return params._asdict() if hasattr(params, "_asdict") else dict(params)

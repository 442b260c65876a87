"""What is compiled ahead, and how: every engine runs on a few made-up bars, so nothing is guessed.

A job compiles what its runs need and the cache does not have yet; what it finds there costs it nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np

from qtm.backtest.account.answers import room_for
from qtm.backtest.account.engine import columns_of, run_account
from qtm.backtest.account.kernels import account_kernel, phase
from qtm.backtest.account.ledger import new_account_ledger
from qtm.backtest.account.panel import Listed, Panel
from qtm.backtest.account.seats import Seat
from qtm.backtest.account.terms import Conditions, new_memory
from qtm.backtest.conditions.bars import BarConditions
from qtm.backtest.engine import run_backtest
from qtm.backtest.fast_sweep import FastLane
from qtm.backtest.look_ahead import proof_market
from qtm.backtest.overfitting.bootstrap import bootstrap_means
from qtm.backtest.overfitting.monte_carlo import bootstrap_paths, shuffled_trades
from qtm.backtest.tape.engine import run_orders_backtest
from qtm.backtest.tape.events import tape_of_bars
from qtm.execution.signals import ClosedBar, Request
from qtm.execution.trader import SymbolTrader
from qtm.execution.trading_plan import TradingPlan
from qtm.execution.updates import OrderUpdate
from qtm.market.bars import Bar
from qtm.market.instruments import Instrument, Market
from qtm.risk.garch import garch_filtered_returns
from qtm.risk.marginal import BookCvar
from qtm.risk.sized_targets import bars_to_measure
from qtm.risk.sizing import SizingRule
from qtm.risk.sizing_rules import sizer_of
from qtm.risk.sizing_view import view_of_bars
from qtm.strategies.contract import StepStrategy, step_strategy
from qtm.strategies.order_contract import OrderStrategy
from qtm.strategies.registry import load_strategy
from qtm.trading.book import Account, Sizing
from qtm.trading.costs import SPOT_COSTS, UM_COSTS, fillable_lots, taker_price_ticks
from qtm.trading.margin import MarginMode
from qtm.trading.orders import Fill, OrderIntent, OrderStatus
from qtm.trading.plan import Plan

_BARS = 400
_CASH = 100_000.0
_AHEAD, _ASKING, _ORDERS = "trend", "breakout", "grid"
"""Bundled strategies: a step that does not look at its account, one that does, and one with orders."""


def shared_jobs() -> dict[str, Callable[[], None]]:
    """What all strategies share, by its name in words, the longest first."""
    return {
        "account engine": account_engine,
        "orders engine": orders_engine,
        "step engine and sweeps": step_engine,
        "figures and risk models": figures,
        "live trading": live_trading,
    }


def compile_strategy(name_or_path: str) -> None:
    """What one strategy adds to each engine it can run in.

    Raises
    ------
    StrategyError
        When there is no such strategy, or it does not compile.
    """
    strategy = load_strategy(name_or_path)
    if isinstance(strategy, StepStrategy):
        _on_bars(strategy)
        _on_accounts(strategy)
        _bar_by_bar(strategy)
    elif isinstance(strategy, OrderStrategy):
        _on_a_tape(strategy)


# --- shared -----------------------------------------------------------------------------------------------
def step_engine() -> None:
    """The parts of the step engine and of sweeps, and the statistics."""
    _on_bars(_step(_AHEAD))


def account_engine() -> None:
    """Every loop an account may run through on spot and on cross margin; isolated margin is for few."""
    _on_accounts(_step(_ASKING))
    _on_accounts(_step(_AHEAD))
    for market in Market:
        margined = market is Market.UM
        for watching, counting in ((True, True), (True, False), (False, True), (False, False)):
            if watching or not margined:  # futures may always be liquidated
                _through_no_bar(market, watching=watching, counting=counting)


def orders_engine() -> None:
    """The units of the orders engine."""
    _on_a_tape(_orders(_ORDERS))


def figures() -> None:
    """The resampling behind verdicts, the models of risk, and what sizes a ticket."""
    returns = np.random.default_rng(1).normal(0.0, 0.01, 260)
    bootstrap_paths(returns, paths=100, mean_block=5)
    shuffled_trades(returns, paths=100)
    bootstrap_means(returns[:, None], length=5.0, resamples=10, seed=1)
    garch_filtered_returns(returns[:, None])
    book = BookCvar(["A"], returns[:, None], 0.95, as_of_ms=0, max_age_ms=1)
    book.set_position("A", 1_000.0)
    book.set_working("A", buys=100.0, sells=0.0)
    book.order("A", 100.0, 0)
    bars = proof_market(_BARS, 1)
    view_of_bars(bars.high, bars.low, bars.close, equity=_CASH)


class _Nothing(NamedTuple):
    """No parameters."""


@step_strategy(
    name="in-and-out",
    summary="Buys and sells, with a stop.",
    params=_Nothing,
    bounds={},
    state={"bars": "i8"},
)
def _in_and_out(params: Any, state: Any, bar: Any, account: Any) -> Plan:
    state.bars += 1
    return Plan(1.0 if state.bars % 4 else 0.0, 0.9 * bar.close, np.nan, np.nan)


def live_trading() -> None:
    """What the stream and the paper exchange call from Python: orders sent, filled, refused and protected."""
    for sizer in (None, sizer_of("volatility:target=0.01")):
        plan = TradingPlan(
            _in_and_out, _in_and_out.params(), _instrument("A", Market.SPOT), _CASH, Sizing(), 60_000, 0,
            sizer=sizer,
        )  # fmt: skip
        _play(SymbolTrader(plan))
    taker_price_ticks(1, 100.0, 0.01, 1.0)
    fillable_lots(math.inf, 10.0, 0.001, SPOT_COSTS)


def _play(trader: SymbolTrader) -> None:
    """Let every second order be filled and the others be refused, over a few bars."""
    sent = 0
    bars = proof_market(100, 1)
    for i in range(len(bars)):
        opened = int(bars.open_time_ms[i])
        prices = (float(getattr(bars, name)[i]) for name in ("open", "high", "low", "close", "volume"))
        trader.on_bar(ClosedBar("A", opened, opened + 59_999, *prices))
        for request in trader.take_requests():
            if not isinstance(request, Request):
                continue
            intent = request.intent
            sent += 1
            if sent % 2:
                trader.on_report(_filled(intent, sent))
            else:
                trader.on_gate_refusal(intent.client_order_id, ("PT-03",))


def _filled(intent: OrderIntent, number: int) -> OrderUpdate:
    price = intent.price or Decimal(100)
    fill = Fill(
        intent.client_order_id, number, "A", intent.side, intent.qty, price, Decimal(0), "USDT", False, 0
    )
    return OrderUpdate(intent.client_order_id, "A", OrderStatus.FILLED, (fill,), intent.qty)


# --- one strategy in one engine ---------------------------------------------------------------------------
def _on_bars(strategy: StepStrategy) -> None:
    """A backtest with its statistics, and a sweep."""
    bars, instrument = proof_market(_BARS, 1), _instrument("PROOF", Market.SPOT)
    run_backtest(
        strategy, None, bars, instrument, cash=_CASH, costs=SPOT_COSTS, sizing=Sizing()
    ).statistics.as_dict()
    lane = FastLane(strategy, BarConditions(bars, instrument, _CASH, SPOT_COSTS), threads=1)
    list(lane.run([strategy.params()]))


def _on_accounts(strategy: StepStrategy) -> None:
    """An account; where the step looks at its account, one for each market, whose loops differ."""
    for market in Market if strategy.looks_at_account else (Market.SPOT,):
        run_account([Seat(strategy)], _panel(market), Conditions(_CASH)).statistics.as_dict()


def _bar_by_bar(strategy: StepStrategy) -> None:
    """One call of the step as the stream makes it, and one as plain Python, whose indicators are compiled."""
    bar, account = Bar(0, 1.0, 1.0, 1.0, 1.0, 1.0, 100.0), Account(0.0, 0.0, _CASH)
    strategy.compiled_step(strategy.params(), strategy.new_state()[0], bar, account)
    strategy.step(strategy.params(), strategy.new_state().view(np.recarray)[0], bar, account)


def _on_a_tape(strategy: OrderStrategy) -> None:
    """A run over bars as a tape, and one whose step is plain Python: the engine around it is not."""
    instrument = _instrument("PROOF", Market.UM)
    tape = tape_of_bars(proof_market(_BARS, 1), instrument)
    for compiled in (True, False):
        run_orders_backtest(
            strategy, None, tape, instrument, cash=_CASH, costs=UM_COSTS, compiled=compiled
        ).statistics.as_dict()


def _through_no_bar(market: Market, *, watching: bool, counting: bool) -> None:
    """The loop of an account that asks no step, called for no bar at all."""
    panel, conditions = _panel(market), Conditions(_CASH)
    memory = new_memory([Seat(_step(_AHEAD))], panel, conditions)
    ledger = new_account_ledger(len(panel), 1, memory.legs.size, keep_signals=False)
    columns, nobody = columns_of(panel), np.empty(0, np.uint8)
    seen = bars_to_measure(SizingRule(), (panel.high, panel.low, panel.close), b"")
    margin = MarginMode.CROSS if panel.is_margined else None
    kernel = account_kernel([None], margin=margin, watching=watching, counting=counting).run
    answers = room_for(1, memory.lines.size)
    kernel(*memory, *answers, columns, seen, ledger, nobody, 0, 0, 0, False)
    phase("write_off_dead")(
        memory.account[0], memory.sleeves, memory.quotes, memory.legs, memory.waiting, ledger.orders,
        columns[0][0], 0,
    )  # fmt: skip


def _panel(market: Market) -> Panel:
    """Two symbols."""
    listed = [(f"PROOF{number}", proof_market(_BARS, number)) for number in (1, 2)]
    return Panel.of([Listed(_instrument(name, market), replace(bars, symbol=name)) for name, bars in listed])


def _instrument(symbol: str, market: Market) -> Instrument:
    return Instrument(
        market, symbol, symbol, "USDT",
        tick_size=Decimal("0.01"), step_size=Decimal("0.001"), min_qty=Decimal("0.001"),
        max_qty=Decimal(10**6), min_notional=Decimal(5),
    )  # fmt: skip


def _step(name: str) -> StepStrategy:
    found = load_strategy(name)
    assert isinstance(found, StepStrategy)
    return found


def _orders(name: str) -> OrderStrategy:
    found = load_strategy(name)
    assert isinstance(found, OrderStrategy)
    return found

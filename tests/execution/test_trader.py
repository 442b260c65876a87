"""A position's protection when reports, closes and answers cross: one order out, none lost, none doubled.

The venue's side is played by hand here, because a race needs its reports in one exact order; against a real
exchange the same is proved by `tests/parity`.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from qtm.execution.signals import Cancel, ClosedBar, Request
from qtm.execution.trader import SymbolTrader, TradingPlan
from qtm.execution.updates import OrderUpdate
from qtm.trading.book import SIZE_BY_UNITS, Sizing
from qtm.trading.orders import Fill, OrderIntent, OrderStatus, OrderType, Purpose
from tests.backtest.scripted import NO_CHANGE, guarded
from tests.execution.support import BTC

MINUTE = 60_000


class Play:
    """A trader of one bitcoin and the hand that plays its venue."""

    def __init__(self, **exits: float) -> None:
        self.plan = TradingPlan(
            strategy=guarded, params=guarded.params(exits), instrument=BTC, cash=1_000.0,
            sizing=Sizing(SIZE_BY_UNITS, 1.0), interval_ms=MINUTE, trade_from_ms=0,
        )  # fmt: skip
        self.trader = SymbolTrader(self.plan)
        self.bars = 0
        self.trades = 0

    def bar(
        self, close: float, target: float = NO_CHANGE, *, high: float = 0.0, low: float = 0.0
    ) -> list[Request | Cancel]:
        opened, self.bars = self.bars * MINUTE, self.bars + 1
        bar = ClosedBar(
            "BTCUSDT", opened, opened + MINUTE - 1, close, high or close, low or close, close, target
        )
        self.trader.on_bar(bar)
        return self.trader.take_requests()

    def report(
        self, intent: OrderIntent, status: OrderStatus, price: float = 0.0, qty: str = "", **more: bool
    ) -> list[Request | Cancel]:
        fills = ()
        if price:
            self.trades += 1
            amount = Decimal(qty) if qty else intent.qty
            fills = (
                Fill(
                    intent.client_order_id, self.trades, "BTCUSDT", intent.side, amount, Decimal(str(price)),
                    Decimal(0), "USDT", False, 0,
                ),
            )  # fmt: skip
        executed = sum((fill.qty for fill in fills), Decimal(0))
        self.trader.on_report(
            OrderUpdate(
                intent.client_order_id,
                "BTCUSDT",
                status,
                fills,
                executed,
                level_passed=more.get("passed", False),
            )
        )
        return self.trader.take_requests()

    @property
    def held(self) -> float:
        return float(self.trader.book["qty"][0])

    def protected(self) -> OrderIntent:
        """Enter at 100 and let the protective order rest."""
        entry = only(self.bar(100.0, 1.0))
        guard = only(self.report(entry, OrderStatus.FILLED, 100.0))
        assert guard.purpose is Purpose.PROTECTION
        assert self.report(guard, OrderStatus.NEW) == []
        return guard


def only(requests: list[Request | Cancel]) -> OrderIntent:
    (request,) = requests
    return request.intent


def test_the_entry_s_fill_arms_the_plan_and_a_met_stop_disarms_it() -> None:
    play = Play(stop=5.0, take_profit=3.0)
    guard = play.protected()
    assert (guard.type, guard.stop_price, guard.take_profit) == (
        OrderType.STOP_LOSS_LIMIT, Decimal("95.00"), Decimal("103.00"),
    )  # fmt: skip
    assert guard.price == Decimal("94.05"), "the protective band below the stop"
    assert play.report(guard, OrderStatus.FILLED, 95.0) == []
    assert play.bar(95.0) == []
    assert (play.held, bool(play.trader.guard.exits.armed)) == (0.0, False)


def test_an_own_exit_waits_until_the_stop_is_withdrawn() -> None:
    play = Play(stop=5.0)
    guard = play.protected()
    assert play.bar(101.0, 0.0) == [Cancel(guard)]
    assert play.bar(102.0) == [], "one cancel is enough"
    exit_ = only(play.report(guard, OrderStatus.CANCELED))
    assert (exit_.purpose, exit_.qty, exit_.price) == (Purpose.TARGET, Decimal(1), Decimal("100.98"))
    assert play.report(exit_, OrderStatus.FILLED, 102.0) == []
    assert play.held == 0.0


def test_a_stop_that_fills_while_it_is_withdrawn_leaves_nothing_to_sell() -> None:
    play = Play(stop=5.0)
    guard = play.protected()
    assert play.bar(101.0, 0.0) == [Cancel(guard)]
    assert play.report(guard, OrderStatus.FILLED, 95.0) == []
    assert play.held == 0.0
    assert play.report(guard, OrderStatus.FILLED, 95.0) == [], "told twice"
    assert play.bar(101.0) == []


def test_what_a_withdrawn_stop_has_sold_is_not_sold_again() -> None:
    play = Play(stop=5.0)
    guard = play.protected()
    play.bar(101.0, 0.0)
    exit_ = only(play.report(guard, OrderStatus.CANCELED, 95.0, "0.4"))
    assert exit_.qty == Decimal("0.6")


def test_a_stop_asked_for_and_withdrawn_before_the_venue_has_it_is_cancelled_when_it_rests() -> None:
    play = Play(stop=5.0)
    entry = only(play.bar(100.0, 1.0))
    guard = only(play.report(entry, OrderStatus.FILLED, 100.0))
    assert play.bar(101.0, 0.0) == []
    assert play.report(guard, OrderStatus.NEW) == [Cancel(guard)]


def test_a_trail_moves_the_stop_by_withdrawing_it_first() -> None:
    play = Play(trail=2.0)
    guard = play.protected()
    assert guard.stop_price == Decimal("98.00")
    assert play.bar(104.0, high=105.0, low=99.0) == [Cancel(guard)]
    moved = only(play.report(guard, OrderStatus.CANCELED))
    assert moved.stop_price == Decimal("103.00")
    assert moved.client_order_id != guard.client_order_id
    play.report(moved, OrderStatus.NEW)
    assert play.bar(104.0) == [], "a level that stays is left alone"


def test_a_stop_that_may_not_be_withdrawn_goes_on_resting_until_it_may() -> None:
    play = Play(trail=2.0)
    guard = play.protected()
    assert play.bar(104.0, high=105.0, low=99.0) == [Cancel(guard)]
    play.trader.on_gate_refusal(guard.client_order_id, ("KS-03",))
    assert play.trader.take_requests() == []
    assert play.bar(104.0) == [Cancel(guard)], "asked again at the next close"
    assert only(play.report(guard, OrderStatus.CANCELED)).stop_price == Decimal("103.00")


def test_an_exit_that_expires_or_is_refused_leaves_the_position_protected() -> None:
    play = Play(stop=5.0)
    guard = play.protected()
    play.bar(101.0, 0.0)
    exit_ = only(play.report(guard, OrderStatus.CANCELED))
    again = only(play.report(exit_, OrderStatus.EXPIRED))
    assert (again.purpose, again.stop_price) == (Purpose.PROTECTION, Decimal("96.00")), (
        "5 below the last answer"
    )
    play.report(again, OrderStatus.NEW)
    assert play.bar(101.0) == [Cancel(again)], "the exit is tried again"
    exit_ = only(play.report(again, OrderStatus.CANCELED))
    play.trader.on_gate_refusal(exit_.client_order_id, ("PT-01",))
    assert only(play.trader.take_requests()).stop_price == Decimal("96.00")


def test_levels_the_market_has_passed_are_an_order_to_leave() -> None:
    play = Play(stop=5.0)
    entry = only(play.bar(100.0, 1.0))
    guard = only(play.report(entry, OrderStatus.FILLED, 100.0))
    leave = only(play.report(guard, OrderStatus.REJECTED, passed=True))
    assert (leave.type, leave.purpose, leave.reduce_only) == (OrderType.LIMIT, Purpose.PROTECTION, True)
    again = only([*play.report(leave, OrderStatus.EXPIRED), *play.bar(94.0)])
    assert again.price == Decimal("93.06"), "tried again from the newest close"
    assert play.report(again, OrderStatus.FILLED, 94.0) == []
    assert play.held == 0.0


def test_a_stop_whose_limit_the_market_has_jumped_is_withdrawn_and_left_at_the_market() -> None:
    play = Play(stop=5.0)
    guard = play.protected()
    assert play.bar(90.0, low=89.0) == [Cancel(guard)]
    leave = only(play.report(guard, OrderStatus.CANCELED))
    assert (leave.type, leave.price) == (OrderType.LIMIT, Decimal("89.10"))


@pytest.mark.parametrize("answer", ["refused by the gate", "rejected by the venue", "expired"])
def test_a_protective_order_nobody_took_is_asked_for_again_at_the_next_close(answer: str) -> None:
    play = Play(stop=5.0)
    entry = only(play.bar(100.0, 1.0))
    guard = only(play.report(entry, OrderStatus.FILLED, 100.0))
    if answer == "refused by the gate":
        play.trader.on_gate_refusal(guard.client_order_id, ("PT-05",))
        assert play.trader.take_requests() == []
    else:
        status = OrderStatus.REJECTED if answer == "rejected by the venue" else OrderStatus.EXPIRED
        assert play.report(guard, status) == []
    assert only(play.bar(100.0)).stop_price == Decimal("95.00")


def test_a_snapshot_goes_on_with_the_stop_that_rests() -> None:
    play = Play(stop=5.0, trail=2.0)
    guard = play.protected()
    play.trader = SymbolTrader(play.plan, play.trader.snapshot())
    assert play.bar(101.0, high=102.0) == [Cancel(guard)]
    moved = only(play.report(guard, OrderStatus.CANCELED))
    assert (moved.client_order_id, moved.stop_price) == ("guarded-BTCUSDT-S000002", Decimal("100.00"))

"""Stops and pairs of stop and take-profit at a real exchange: placed once, found again, cancelled whole."""

from decimal import Decimal
from pathlib import Path

import pytest

from qtm.clock import SystemClock
from qtm.execution.explain import explain
from qtm.execution.kill import kill
from qtm.execution.reconcile import order_breaks
from qtm.execution.status import account_status
from qtm.paper.faults import FaultRule
from qtm.risk.decisions import ApprovedOrder
from qtm.trading.orders import (
    OrderIntent,
    OrderStatus,
    OrderType,
    Purpose,
    Side,
    TimeInForce,
    protective_order_id,
)
from tests.execution.support import NOW_MS
from tests.execution.test_outbox import BTC, Desk, opened

PAIR = "1.05"


async def holding(desk: Desk) -> None:
    """Buy a bitcoin's tenth."""
    assert await desk.send(desk.approved(1)) is OrderStatus.FILLED
    for fill in desk.journal.fills():
        desk.gate.on_fill(fill)
    desk.gate.on_terminal("s-BTCUSDT-1")


def protect(desk: Desk, *, stop: str = "0.95", profit: str = "") -> ApprovedOrder:
    """A journaled stop at `stop` times the market, with a take-profit at `profit` times it."""

    def level(share: str) -> Decimal:
        return BTC.price(BTC.ticks(desk.price * Decimal(share)))

    intent = OrderIntent(
        protective_order_id("s", "BTCUSDT", 1), "s", "BTCUSDT", Side.SELL, OrderType.STOP_LOSS_LIMIT,
        Decimal("0.09"), level(str(Decimal(stop) * Decimal("0.99"))), TimeInForce.GTC, NOW_MS,
        reduce_only=True, purpose=Purpose.PROTECTION, stop_price=level(stop),
        take_profit=level(profit) if profit else None,
    )  # fmt: skip
    outcome = desk.gate.check(intent, NOW_MS)
    assert isinstance(outcome, ApprovedOrder), outcome.decision.reason
    desk.journal.record(outcome, "run-1")
    return outcome


def open_ids(desk: Desk) -> list[str]:
    return sorted(order.client_id for order in desk.exchange.venue.accounts["paper"].open_orders.values())


@pytest.mark.parametrize("profit", ["", PAIR])
async def test_it_rests_survives_its_process_and_is_one_order_to_us(tmp_path: Path, profit: str) -> None:
    async with opened(tmp_path) as desk:
        await holding(desk)
        order = protect(desk, profit=profit)
        assert await desk.send(order) is OrderStatus.NEW
        legs = ["s-BTCUSDT-S000001", *(["s-BTCUSDT-T000001"] if profit else [])]
        assert open_ids(desk) == legs
        assert await desk.venue.open_orders() == [("BTCUSDT", "s-BTCUSDT-S000001")]
        assert order_breaks(desk.journal, await desk.venue.open_orders()) == []
        assert desk.journal.order("s-BTCUSDT-S000001").intent == order.intent
        (shown,) = account_status(desk.journal, desk.clock)["open_orders"]
        assert shown["stop_price"] == str(order.intent.stop_price)
        assert explain(desk.journal, "s-BTCUSDT-S000001")["order"]["purpose"] == "PROTECTION"
        assert [one.status for one in await desk.sender.recover()] == [OrderStatus.NEW]
        assert open_ids(desk) == legs


@pytest.mark.parametrize("profit", ["", PAIR])
@pytest.mark.parametrize("fault", ["ack_lost", "unknown_executed", "unknown_not_executed"])
async def test_a_lost_answer_never_makes_a_second_stop(tmp_path: Path, fault: str, profit: str) -> None:
    async with opened(tmp_path) as desk:
        await holding(desk)
        desk.exchange.faults.add(FaultRule(fault, "orderList.oco" if profit else "order.place", times=1))
        assert await desk.send(protect(desk, profit=profit)) is OrderStatus.NEW
        assert [rule["struck"] for rule in desk.exchange.faults.describe()] == [1]
        assert len(open_ids(desk)) == 1 + bool(profit)


@pytest.mark.parametrize(("drift", "price"), [("stop", Decimal("0.95")), ("profit", Decimal(PAIR))])
async def test_whichever_leg_trades_is_the_order_that_filled(
    tmp_path: Path, drift: str, price: Decimal
) -> None:
    async with opened(tmp_path) as desk:
        await holding(desk)
        order = protect(desk, profit=PAIR)
        await desk.send(order)
        venue, level = desk.exchange.venue, int(BTC.ticks(desk.price * price)) * 10**6
        if drift == "stop":
            venue.pass_by("BTCUSDT", level)
        else:
            venue.print_trade("BTCUSDT", level + 10**6, 10**8, buyer_is_maker=False)
        applied = desk.journal.apply(await desk.sender.look(order.intent))
        assert applied.status is OrderStatus.FILLED
        (fill,) = desk.journal.fills("s-BTCUSDT-S000001")
        assert (fill.qty, fill.maker) == (Decimal("0.09"), drift == "profit")
        assert open_ids(desk) == []


async def test_cancelling_a_pair_whose_stop_is_gone_ends_its_take_profit(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk:
        await holding(desk)
        order = protect(desk, profit=PAIR)
        await desk.send(order)
        level = int(BTC.ticks(desk.price * Decimal(PAIR))) * 10**6
        desk.exchange.venue.print_trade("BTCUSDT", level + 10**6, 10**6, buyer_is_maker=False)
        assert open_ids(desk) == ["s-BTCUSDT-T000001"]
        update = await desk.sender.cancel(order.intent)
        assert (update.status, update.executed_qty) == (OrderStatus.CANCELED, Decimal("0.01"))
        assert update.client_order_id == "s-BTCUSDT-S000001"
        assert open_ids(desk) == []


async def test_a_cancel_whose_answer_is_lost_is_seen_through(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk:
        await holding(desk)
        order = protect(desk)
        await desk.send(order)
        desk.exchange.faults.add(FaultRule("unknown_not_executed", "order.cancel", times=5))
        assert (await desk.sender.cancel(order.intent)).status is OrderStatus.CANCELED
        assert [rule["struck"] for rule in desk.exchange.faults.describe()] == [5]
        assert open_ids(desk) == []


async def test_a_level_the_market_has_passed_is_told_apart_from_other_refusals(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk:
        await holding(desk)
        passed = await desk.sender.send(protect(desk, stop="1.02"))
        assert (passed.status, passed.level_passed) == (OrderStatus.REJECTED, True)
    async with opened(tmp_path / "other") as desk:  # nothing is held, so nothing can be sold
        desk.gate.exposure.positions["BTCUSDT"] = Decimal(1)
        refused = await desk.sender.send(protect(desk))
        assert (refused.status, refused.level_passed) == (OrderStatus.REJECTED, False)


async def test_a_kill_cancels_what_protects_a_position_and_leaves_the_position(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk:
        await holding(desk)
        await desk.send(protect(desk, profit=PAIR))
        report = await kill(
            desk.journal, desk.venue, SystemClock(), scope="strategy", target="s", actor="t", reason="drill"
        )
        assert (report.orders_before, report.residual) == (1, 0)
        assert open_ids(desk) == []
        assert (await desk.venue.balances())["BTC"] == Decimal("0.0999")

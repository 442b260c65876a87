"""Sending, when the venue misbehaves: one order is one order, and its outcome is always found out.

Against the paper exchange on a real port, told to misbehave. It books a repeated client order id as a second
order, as Binance does.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from qtm.clock import SystemClock
from qtm.errors import VenueError
from qtm.execution.journal import Journal
from qtm.execution.kill import kill
from qtm.execution.outbox import Sender
from qtm.execution.reconcile import reconcile
from qtm.execution.status import account_status
from qtm.execution.venue import BinanceSpot, VenueUnknown
from qtm.paper.faults import FaultRule
from qtm.paper.replay import STEP, BarReplay, ReplayBars
from qtm.paper.server import AccountSpec, PaperExchange
from qtm.risk.decisions import ApprovedOrder
from qtm.risk.exposure import Exposure
from qtm.risk.gate import Gate
from qtm.risk.limits import load_limits
from qtm.settings import RiskSettings
from qtm.store.database import open_database
from qtm.trading.costs import SPOT_COSTS
from qtm.trading.orders import OrderIntent, OrderStatus, OrderType, Side, TimeInForce
from tests.execution.support import NOW_MS, open_run
from tests.parity.market import START_MS, instrument, minute_bars

BTC = instrument("BTCUSDT")


class Desk:
    """A journal, a sender and the exchange they send to."""

    def __init__(self, folder: Path, exchange: PaperExchange, *, timeout_s: float = 0.5) -> None:
        self.exchange = exchange
        self.clock = SystemClock()
        self.journal = Journal(open_database(f"sqlite:///{folder / 'qtm.db'}"), "paper", self.clock, folder)
        open_run(self.journal.database, "run-1")
        self.venue = BinanceSpot(
            exchange.url, "paper-key", "paper-secret", timeout_s=timeout_s, recv_window_ms=500
        )
        self.sender = Sender(self.journal, self.venue, self.clock, lambda _: True)
        risk = RiskSettings(max_order_value=Decimal(10**9), max_position_value=Decimal(10**9))
        exposure = Exposure("USDT", {"BTCUSDT": "BTC"}, Decimal(100_000), {})
        self.gate = Gate(load_limits(risk, [BTC]), [BTC], exposure)
        self.price = Decimal(str(minute_bars("BTCUSDT", 3).open[0]))
        self.gate.on_price("BTCUSDT", self.price, NOW_MS)
        self.gate.arm(NOW_MS, "test")

    def approved(
        self, number: int, *, qty: str = "0.1", offset: str = "1.01", tif: str = "IOC"
    ) -> ApprovedOrder:
        """A journaled buy at `offset` times the market."""
        price = BTC.price(BTC.ticks(self.price * Decimal(offset)))
        intent = OrderIntent(
            f"s-BTCUSDT-{number}", "s", "BTCUSDT", Side.BUY, OrderType.LIMIT, Decimal(qty), price,
            TimeInForce(tif), NOW_MS,
        )  # fmt: skip
        outcome = self.gate.check(intent, NOW_MS)
        assert isinstance(outcome, ApprovedOrder), outcome.decision.reason
        self.journal.record(outcome, "run-1")
        return outcome

    async def send(self, order: ApprovedOrder) -> OrderStatus:
        return self.journal.apply(await self.sender.send(order)).status

    @property
    def trades(self) -> int:
        return sum(len(one.trades) for one in self.exchange.venue.accounts["paper"].history.values())


@asynccontextmanager
async def opened(folder: Path, **options: float) -> AsyncIterator[Desk]:
    series = ReplayBars.from_series(BTC, minute_bars("BTCUSDT", 30), start_ms=START_MS)
    account = AccountSpec("paper", "paper-key", "paper-secret", {"USDT": "100000"})
    async with PaperExchange(
        BarReplay([series], costs=SPOT_COSTS, speed=STEP), accounts=[account]
    ) as exchange:
        desk = Desk(folder, exchange, **options)
        try:
            yield desk
        finally:
            await desk.venue.close()


async def test_an_ioc_order_fills_and_its_executions_are_the_venues(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk:
        assert await desk.send(desk.approved(1)) is OrderStatus.FILLED
        (fill,) = desk.journal.fills("s-BTCUSDT-1")
        assert fill.qty == Decimal("0.1")
        assert fill.fee == fill.qty * Decimal("0.001") and fill.fee_asset == "BTC"


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        ("ack_lost", 1),
        ("timeout_executed", 1),
        ("unknown_executed", 1),
        ("unknown_not_executed", 1),
        ("unavailable", 1),
        ("request_lost", 1),
        ("ack_delay", 2),
        ("delay", 2),  # the request is still on its way when we stop waiting
    ],
)
async def test_a_lost_answer_never_makes_a_second_order(
    tmp_path: Path, fault: str, seconds: float
) -> None:  # T-PT12
    async with opened(tmp_path) as desk:
        desk.exchange.faults.add(FaultRule(fault, "order.place", times=1, seconds=seconds))
        order = desk.approved(1)
        assert await desk.send(order) is OrderStatus.FILLED
        assert desk.trades == 1
        assert len(desk.journal.fills("s-BTCUSDT-1")) == 1


async def test_exposure_stays_reserved_while_the_outcome_is_unknown(tmp_path: Path) -> None:  # T-PT12
    async with opened(tmp_path) as desk:
        desk.exchange.faults.add(FaultRule("ack_lost", "order.place", times=1))
        order = desk.approved(1, qty="0.5")
        with pytest.raises(VenueUnknown):
            assert desk.journal.begin_sending("s-BTCUSDT-1")
            await desk.venue.place(order)
        desk.journal.mark_unknown("s-BTCUSDT-1", "test")
        assert desk.gate.exposure.working_qty("BTCUSDT", Side.BUY) == Decimal("0.5")
        assert desk.journal.order("s-BTCUSDT-1").status is OrderStatus.UNKNOWN


async def test_what_the_venue_rejects_is_final_and_in_its_words(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk:
        assert await desk.send(desk.approved(1, qty="50")) is OrderStatus.REJECTED
        assert "insufficient balance" in desk.journal.order("s-BTCUSDT-1").reason
        assert desk.trades == 0


async def test_a_rate_limit_refuses_now_and_leaves_the_next_close_to_try_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk:
        desk.exchange.faults.add(FaultRule("rate_limited", "order.place", times=1))
        assert await desk.send(desk.approved(1)) is OrderStatus.EXPIRED
        assert desk.trades == 0


async def test_an_order_too_old_is_never_sent(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk:
        desk.sender.is_fresh = lambda _: False
        assert await desk.send(desk.approved(1)) is OrderStatus.EXPIRED
        assert desk.trades == 0


async def test_recovery_settles_every_state_a_crash_can_leave(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk:
        desk.approved(1)  # died before sending
        desk.approved(2)
        desk.journal.begin_sending("s-BTCUSDT-2")  # died before the wire
        third = desk.approved(3)
        desk.journal.begin_sending("s-BTCUSDT-3")
        await desk.venue.place(third)  # died before the answer was journaled
        for update in await desk.sender.recover():
            desk.journal.apply(update)
        assert desk.journal.open_orders() == []
        assert desk.trades == 3
        assert {fill.client_order_id[-1] for fill in desk.journal.fills()} == {"1", "2", "3"}
        assert await desk.sender.recover() == []


async def test_the_account_agrees_after_trading_and_a_foreign_trade_stops_the_run(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk:
        before = await reconcile(desk.journal, desk.venue, [BTC])
        assert before.cash == 100_000
        await desk.send(desk.approved(1))
        after = await reconcile(desk.journal, desk.venue, [BTC])
        assert after.positions["BTCUSDT"] == Decimal("0.0999")
        await desk.venue.place(desk.approved(2))  # at the venue, unknown to the journal
        with pytest.raises(VenueError, match=r"balance BTC: journal 0\.0999\d*, venue 0\.1998") as stopped:
            await reconcile(desk.journal, desk.venue, [BTC])
        assert "balance USDT" in str(stopped.value)


async def test_an_open_order_that_is_not_ours_stops_the_run(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk:
        await reconcile(desk.journal, desk.venue, [BTC])
        desk.exchange.venue.accounts["paper"]
        stranger = desk.approved(9, offset="0.98", tif="GTC")
        await desk.venue.place(stranger)
        with pytest.raises(VenueError, match="not what the journal says"):
            await reconcile(Journal(desk.journal.database, "other", desk.clock, tmp_path), desk.venue, [BTC])


@pytest.mark.parametrize("scope", [("firm", ""), ("strategy", "s"), ("symbol", "BTCUSDT")])
async def test_a_kill_is_done_when_the_venue_shows_nothing_open(
    tmp_path: Path, scope: tuple[str, str]
) -> None:
    async with opened(tmp_path) as desk:
        for number in range(1, 6):
            assert (
                await desk.send(desk.approved(number, qty="0.01", offset="0.98", tif="GTC"))
                is OrderStatus.NEW
            )
        desk.exchange.faults.add(FaultRule("unavailable", "order.cancel", times=2))
        report = await kill(
            desk.journal, desk.venue, desk.clock, scope=scope[0], target=scope[1], actor="me", reason="drill"
        )
        assert (report.orders_before, report.residual) == (5, 0)
        assert await desk.venue.open_orders() == []
        assert await desk.send(desk.approved(6)) is OrderStatus.CANCELED
        assert desk.trades == 0


async def test_after_a_kill_the_journal_shows_what_it_cancelled_though_no_stream_listens(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as desk:
        await desk.send(desk.approved(1, qty="0.01", offset="0.98", tif="GTC"))
        sent = desk.approved(2)
        assert desk.journal.begin_sending("s-BTCUSDT-2")
        await desk.venue.place(sent)  # filled at the venue; nobody read its answer
        desk.exchange.faults.add(FaultRule("unavailable", "order.status", times=1))
        await kill(desk.journal, desk.venue, desk.clock, actor="me", reason="drill")
        shown = account_status(desk.journal, desk.clock)
        assert shown["orders"] == {"canceled": 1, "inflight": 1}
        assert [one["client_order_id"] for one in shown["open_orders"]] == ["s-BTCUSDT-2"]
        assert desk.journal.order("s-BTCUSDT-1").reason == "kill firm"
        # Its execution is the stream's to journal, which moves its exposure by what it journals itself.
        assert desk.journal.fills() == []
        (settled,) = await desk.sender.recover()
        assert len(desk.journal.apply(settled).new_fills) == 1


async def test_a_kill_is_done_though_the_venue_tells_no_more_of_its_orders(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as desk:
        await desk.send(desk.approved(1, qty="0.01", offset="0.98", tif="GTC"))
        desk.exchange.faults.add(FaultRule("unavailable", "order.status"))
        report = await kill(desk.journal, desk.venue, desk.clock, actor="me", reason="drill")
        assert (report.cancelled, report.residual) == (1, 0)
        assert "still shows orders as open" in caplog.text


async def test_a_strategy_kill_touches_nothing_else(tmp_path: Path) -> None:  # T-KS3
    async with opened(tmp_path) as desk:
        await desk.send(desk.approved(1, qty="0.01", offset="0.98", tif="GTC"))
        report = await kill(
            desk.journal, desk.venue, desk.clock, scope="strategy", target="t", actor="me", reason="drill"
        )
        assert report.orders_before == 0
        assert len(await desk.venue.open_orders()) == 1
        assert desk.journal.order("s-BTCUSDT-1").status is OrderStatus.NEW


async def test_a_kill_that_the_venue_does_not_confirm_is_an_error_and_stays_latched(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk:
        await desk.send(desk.approved(1, qty="0.01", offset="0.98", tif="GTC"))
        desk.exchange.faults.add(FaultRule("rate_limited", "order.cancel"))
        with pytest.raises(VenueError, match="still open"):
            await kill(desk.journal, desk.venue, desk.clock, actor="me", reason="drill", patience_s=0.5)
        assert await desk.send(desk.approved(2)) is OrderStatus.CANCELED

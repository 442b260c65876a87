"""The record of a day holds whose execution was whose, what the gate refused, and what is killed."""

from decimal import Decimal

import pytest

from qtm.clock import ManualClock
from qtm.execution.day_record import Refusal, read_day
from qtm.execution.journal import Journal
from qtm.execution.updates import OrderUpdate
from qtm.risk.gate import Latch
from qtm.risk.light_action import obey
from qtm.risk.lights import Light, action_for
from qtm.store.database import open_database
from qtm.trading.orders import Fill, OrderStatus
from tests.execution.support import NOW_MS, approve, make_gate, open_run, order

D = Decimal


@pytest.fixture
def journal(tmp_path):
    database = open_database(f"sqlite:///{tmp_path / 'qtm.db'}")
    open_run(database, "run")
    return Journal(database, "paper", ManualClock(NOW_MS), tmp_path)


def execute(journal, number, trade_id, fee, asset, ts_ms=NOW_MS):
    sent = approve(order(number))
    journal.record(sent, "run", sending=True)
    intent = sent.intent
    name, side = intent.client_order_id, intent.side
    fill = Fill(name, trade_id, "BTCUSDT", side, D("0.5"), D("60000"), D(fee), asset, False, ts_ms)
    status = OrderStatus.PARTIALLY_FILLED
    journal.apply(OrderUpdate(intent.client_order_id, "BTCUSDT", status, (fill,), D("0.5"), ts_ms=ts_ms))


def read(journal, start_ms=NOW_MS - 1000, end_ms=NOW_MS + 1000):
    with journal.database.read() as connection:
        return read_day(connection, start_ms, end_ms)


def test_fees_are_in_quote_currency_and_a_base_fee_shortens_the_position(journal):
    execute(journal, 1, 1, "3", "USDT")
    execute(journal, 2, 2, "0.0005", "BTC")
    execute(journal, 3, 3, "0.01", "BNB")
    quote, base, other = read(journal).executions
    assert (quote.qty, quote.fee, quote.other_fee) == (0.5, 3.0, "")
    assert (base.qty, base.fee) == (pytest.approx(0.4995), pytest.approx(30.0))
    assert (other.fee, other.other_fee) == (0.0, "0.01 BNB")
    assert {one.strategy for one in (quote, base, other)} == {"s"}


def test_what_comes_after_the_day_is_not_in_it(journal):
    execute(journal, 1, 1, "3", "USDT")
    execute(journal, 2, 2, "3", "USDT", ts_ms=NOW_MS + 5000)
    assert len(read(journal).executions) == 1


def test_refusals_are_counted_by_control_and_kills_named(journal):
    outcome = make_gate().check(order(9, price="99000"), NOW_MS)
    journal.record(outcome, "run")
    held = Latch("firm", "")
    journal.latches.record(held, actor="A. Officer", reason="drill", latched_ns=NOW_MS * 1_000_000)
    record = read(journal)
    assert record.refusals == (Refusal("PT-01", "s", "BTCUSDT", 1),)
    assert record.refusals_by_control() == {"PT-01": 1}
    assert record.kills == ("firm by A. Officer: drill",)
    assert read(journal, NOW_MS + 1, NOW_MS + 2).refusals == ()


def test_the_newest_decision_tells_the_state_and_the_limits_of_a_gate(journal):
    gate = make_gate()
    journal.record(gate.check(order(1), NOW_MS), "run")
    assert not read(journal).gates[0].tightened
    obey(gate, gate.tree, action_for(Light.RED), NOW_MS)
    journal.record(gate.check(order(2), NOW_MS + 1), "run")
    (word,) = read(journal).gates
    assert (word.account, word.strategy, word.state) == ("paper", "s", "REDUCING")
    assert word.tightened and word.limits_version.endswith("x0.85")
    assert read(journal, NOW_MS + 2, NOW_MS + 3).gates == ()


def test_the_opening_balances_are_those_before_the_first_order(journal):
    journal.open_account({"USDT": D("1000.5"), "BTC": D(2)})
    assert read(journal).openings == {"paper": {"USDT": 1000.5, "BTC": 2.0}}

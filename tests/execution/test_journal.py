"""The journal: durable before the wire, each execution once, no state backwards, tampering visible."""

from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import select, update

from qtm.clock import ManualClock
from qtm.errors import StoreError
from qtm.execution.chain import GENESIS, chained, first_break
from qtm.execution.door import DecidedBefore, Door
from qtm.execution.explain import explain
from qtm.execution.journal import Journal
from qtm.execution.updates import OrderUpdate, advanced
from qtm.risk.decisions import ApprovedOrder, Refused
from qtm.risk.gate import Latch
from qtm.store.database import open_database
from qtm.store.schema import decisions, order_events
from qtm.trading.orders import Fill, OrderStatus, Side
from tests.execution.support import NOW_MS, approve, make_gate, open_run, order


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    clock = ManualClock(1_700_000_000_000)
    journal = Journal(open_database(f"sqlite:///{tmp_path / 'qtm.db'}"), "paper", clock, tmp_path)
    open_run(journal.database, "run-1")
    return journal


def fill(number: int, qty: str = "1") -> Fill:
    return Fill(
        "s-BTCUSDT-1", number, "BTCUSDT", Side.BUY, Decimal(qty), Decimal(60000), Decimal(0), "BTC", False, 5
    )


def hold(journal: Journal, scope: str, target: str) -> None:
    """A kill by row and by file."""
    held = Latch(scope, target)
    journal.latches.record(held, actor="me", reason="test", latched_ns=1)
    journal.latches.hold(held, actor="me", reason="test")


def report(status: OrderStatus, *fills: Fill, executed: str = "0") -> OrderUpdate:
    return OrderUpdate("s-BTCUSDT-1", "BTCUSDT", status, fills, Decimal(executed))


def test_an_approval_and_its_order_are_one_commit(journal: Journal) -> None:
    journal.record(approve(order(1)), "run-1")
    assert journal.decided("s-BTCUSDT-1") == (True, "")
    assert journal.order("s-BTCUSDT-1").status is OrderStatus.NEW_LOCAL
    with pytest.raises(StoreError):
        journal.record(approve(order(1)), "run-1")


def test_a_refusal_leaves_a_decision_and_no_order(journal: Journal) -> None:
    journal.record(make_gate().check(order(1, price="99999"), 1_700_000_000_000), "run-1")
    assert journal.decided("s-BTCUSDT-1") == (False, "PT-01")
    assert journal.open_orders() == []


def test_an_approved_order_comes_back_as_it_was_decided(journal: Journal) -> None:
    approved = approve(order(1))
    journal.record(approved, "run-1")
    assert journal.approved("s-BTCUSDT-1") == approved


def test_an_order_is_sent_once(journal: Journal) -> None:
    journal.record(approve(order(1)), "run-1")
    assert journal.begin_sending("s-BTCUSDT-1")
    assert not journal.begin_sending("s-BTCUSDT-1")


@pytest.mark.parametrize(("scope", "target"), [("firm", ""), ("strategy", "s"), ("symbol", "BTCUSDT")])
def test_a_committed_kill_stops_an_order_that_waits_to_be_sent(
    journal: Journal, scope: str, target: str
) -> None:
    journal.record(approve(order(1)), "run-1")
    hold(journal, scope, target)
    assert not journal.begin_sending("s-BTCUSDT-1")
    assert journal.order("s-BTCUSDT-1").status is OrderStatus.CANCELED


def test_a_kill_of_another_scope_or_account_holds_nothing(journal: Journal) -> None:
    journal.record(approve(order(1)), "run-1")
    hold(journal, "strategy", "t")
    hold(Journal(journal.database, "other", journal.clock, journal.latches.folder.parent), "firm", "")
    assert journal.begin_sending("s-BTCUSDT-1")


def test_a_kill_committed_between_check_and_commit_cancels_the_order(journal: Journal) -> None:
    door = Door(make_gate(), journal, "run-1")
    held = Latch("symbol", "BTCUSDT")
    journal.latches.record(held, actor="another host", reason="test", latched_ns=1)  # no file here
    answer = door.decide(order(1), NOW_MS)
    assert answer == DecidedBefore(order(1), approved=True)
    assert journal.order("s-BTCUSDT-1").status is OrderStatus.CANCELED


def test_an_intent_decided_before_a_restart_gets_its_recorded_answer(journal: Journal) -> None:
    first = Door(make_gate(), journal, "run-1")
    assert isinstance(first.decide(order(1), NOW_MS), ApprovedOrder)
    assert isinstance(first.decide(order(2, price="99999"), NOW_MS), Refused)
    again = Door(make_gate(), journal, "run-1")
    assert again.decide(order(1), NOW_MS) == DecidedBefore(order(1), approved=True)
    assert again.decide(order(2, price="99999"), NOW_MS) == DecidedBefore(
        order(2, price="99999"), approved=False
    )


def test_a_kill_by_file_alone_holds_even_when_nobody_can_read_it(journal: Journal) -> None:
    journal.record(approve(order(1)), "run-1")
    journal.record(approve(order(2)), "run-1")
    path = journal.latches.hold(Latch("strategy", "t"), actor="me", reason="test")
    assert journal.begin_sending("s-BTCUSDT-1")
    path.write_text("torn")
    assert not journal.begin_sending("s-BTCUSDT-2")


def test_only_a_person_releases_a_kill(journal: Journal) -> None:
    hold(journal, "firm", "")
    assert journal.latches.release(actor="head of desk") == 1
    journal.record(approve(order(1)), "run-1")
    assert journal.begin_sending("s-BTCUSDT-1")


def test_an_execution_reported_thrice_counts_once(journal: Journal) -> None:
    journal.record(approve(order(1, qty="2")), "run-1")
    journal.begin_sending("s-BTCUSDT-1")
    first = journal.apply(report(OrderStatus.PARTIALLY_FILLED, fill(1), executed="1"))
    again = journal.apply(report(OrderStatus.PARTIALLY_FILLED, fill(1), executed="1"))
    last = journal.apply(report(OrderStatus.FILLED, fill(1), fill(2), executed="2"))
    assert [len(one.new_fills) for one in (first, again, last)] == [1, 0, 1]
    assert not again.changed
    assert len(journal.fills("s-BTCUSDT-1")) == 2
    assert journal.order("s-BTCUSDT-1").status is OrderStatus.FILLED


def test_a_final_state_waits_for_the_executions_it_counts(journal: Journal) -> None:
    journal.record(approve(order(1, qty="2")), "run-1")
    journal.begin_sending("s-BTCUSDT-1")
    assert journal.apply(report(OrderStatus.FILLED, fill(2), executed="2")).status is OrderStatus.INFLIGHT
    assert journal.apply(report(OrderStatus.FILLED, fill(1), executed="2")).status is OrderStatus.FILLED


@pytest.mark.parametrize("late", [OrderStatus.NEW, OrderStatus.UNKNOWN, OrderStatus.CANCELED])
def test_a_late_report_never_reopens_or_rewrites_a_finished_order(late: OrderStatus) -> None:
    assert advanced(OrderStatus.FILLED, late) is OrderStatus.FILLED


def test_states_only_move_forward() -> None:
    assert advanced(OrderStatus.PARTIALLY_FILLED, OrderStatus.NEW) is OrderStatus.PARTIALLY_FILLED
    assert advanced(OrderStatus.UNKNOWN, OrderStatus.NEW) is OrderStatus.NEW
    assert advanced(OrderStatus.NEW, OrderStatus.EXPIRED) is OrderStatus.EXPIRED


def test_every_change_of_state_is_kept(journal: Journal) -> None:
    journal.record(approve(order(1)), "run-1")
    journal.begin_sending("s-BTCUSDT-1")
    journal.mark_unknown("s-BTCUSDT-1", "timeout")
    journal.apply(report(OrderStatus.EXPIRED))
    with journal.database.read() as connection:
        states = (
            connection.execute(select(order_events.c.status).order_by(order_events.c.event_id))
            .scalars()
            .all()
        )
    assert states == ["NEW_LOCAL", "INFLIGHT", "UNKNOWN", "EXPIRED"]


def test_the_hash_chain_is_the_published_construction() -> None:
    genesis = '{"seq":0,"ts":"2026-01-01T00:00:00.000000Z","type":"GENESIS"}'
    change = '{"approver":"u2","seq":1,"ts":"2026-01-01T00:00:01.000000Z","type":"LIMIT_CHANGE","who":"u1"}'
    first = chained(GENESIS, genesis)
    assert first == "aaa8b1ca3ae676ad6a27c51555239be93089e2f10ad23406f2049d8e6995d251"
    assert chained(first, change) == "16b40b50bec4d98bba2b451ea942fca965f664e3dd4c33650facc4c4d56de5d3"


def test_an_altered_decision_breaks_the_chain_where_it_was_altered(journal: Journal) -> None:
    for number in range(1, 5):
        journal.record(approve(order(number)), "run-1")

    def rows() -> list[tuple[str, str]]:
        with journal.database.read() as connection:
            query = select(decisions.c.record, decisions.c.hash).order_by(decisions.c.decision_id)
            return [(row.record, row.hash) for row in connection.execute(query)]

    assert first_break(rows()) is None
    assert first_break(rows()[1:]) == 0  # the oldest decision was removed
    with journal.database.write() as connection:
        third = decisions.c.client_order_id == "s-BTCUSDT-3"
        altered = rows()[2][0].replace("60000", "60001")
        connection.execute(update(decisions).where(third).values(record=altered))
    assert first_break(rows()) == 2


def test_a_strategy_locked_for_repeating_itself_stays_locked_over_a_restart(
    journal: Journal,
) -> None:  # T-PT06
    door = Door(make_gate(), journal, "run-1")
    answers = [door.decide(order(number, qty="0.001"), NOW_MS) for number in range(22)]
    refused = [answer.decision.breached for answer in answers if isinstance(answer, Refused)]
    assert refused == [("PT-06",), ("KS-03", "PT-06")]
    again = Door(make_gate(), journal, "run-1").decide(order(30, qty="0.001"), NOW_MS)
    assert isinstance(again, Refused) and again.decision.breached == ("KS-03",)


def test_an_explanation_has_the_signal_every_check_every_state_and_the_chain(journal: Journal) -> None:
    door = Door(make_gate(), journal, "run-1")
    door.decide(order(1), NOW_MS, {"target": 1.0, "bar": 5})
    journal.apply(report(OrderStatus.FILLED, fill(1), executed="1"))
    told = explain(journal, "s-BTCUSDT-1")
    assert told["signal"] == {"target": 1.0, "bar": 5}
    assert [state["state"] for state in told["states"]] == ["NEW_LOCAL", "INFLIGHT", "FILLED"]
    assert len(told["findings"]) == 15 and all(finding["passed"] for finding in told["findings"])
    assert told["fills"][0]["trade_id"] == 1 and told["chain_intact"]
    with pytest.raises(StoreError, match="no decision"):
        explain(journal, "s-BTCUSDT-9")

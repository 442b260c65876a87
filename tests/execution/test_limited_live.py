"""The caps of LIVE_LIMITED (TD-07) at the door: tighter limits, and a stop that only a person lifts."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import select, update

from qtm.clock import ManualClock
from qtm.execution.door import Door, PromotedRun
from qtm.execution.journal import Journal
from qtm.execution.limited_use import LIMITED_RUN, limited_terms, orders_of_day
from qtm.execution.status import account_status
from qtm.execution.updates import OrderUpdate
from qtm.risk.decisions import ApprovedOrder, Refused
from qtm.risk.exposure import Exposure
from qtm.risk.gate import Gate, Latch
from qtm.risk.light_action import tightened
from qtm.risk.limited import DAY_MS, LimitedLive
from qtm.risk.limits import capped, load_limits
from qtm.settings import LimitedSettings, RiskSettings
from qtm.store.database import open_database
from qtm.store.schema import kills, runs
from qtm.trading.orders import Fill, OrderIntent, OrderStatus, OrderType, Purpose, Side, TimeInForce
from tests.execution.support import BTC, NOW_MS, approve, open_run, order

CAPS = LimitedSettings(max_order_value=600, max_position_value=1000, max_orders_per_day=3, max_days=5)
TODAY_MS = NOW_MS // DAY_MS * DAY_MS
UNTIL_MS = NOW_MS + 5 * DAY_MS
LOCKED = Latch("strategy", "s")


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    database = open_database(f"sqlite:///{tmp_path / 'qtm.db'}")
    open_run(database, "run-1")
    return Journal(database, "paper", ManualClock(NOW_MS), tmp_path)


def limited(**changes: int) -> LimitedLive:
    return LimitedLive("s", CAPS.model_copy(update=changes), NOW_MS, UNTIL_MS)


def gate_under(caps: LimitedLive | None, now_ms: int = NOW_MS, **risk: Decimal) -> Gate:
    tree = load_limits(RiskSettings(**risk), [BTC])
    tree = tree if caps is None else capped(tree, caps.scope)
    exposure = Exposure("USDT", {"BTCUSDT": "BTC"}, Decimal(100_000), {})
    gate = Gate(tree, [BTC], exposure, limited=caps)
    gate.on_price("BTCUSDT", Decimal(60_000), now_ms)
    gate.arm(now_ms, "test")
    return gate


def door_at(journal: Journal, now_ms: int = NOW_MS, **changes: int) -> Door:
    """The door of a process that starts at `now_ms`."""
    return Door(gate_under(limited(**changes), now_ms), journal, "run-1")


def small(number: int, decided_ms: int = NOW_MS, side: Side = Side.BUY) -> OrderIntent:
    return order(number, side, qty="0.001", decided_ms=decided_ms)


def breached(answer: object) -> tuple[str, ...]:
    assert isinstance(answer, Refused)
    return answer.decision.breached


def refused_by(answer: object, control: str) -> str:
    """Which scope set the bound that refused the order."""
    assert isinstance(answer, Refused)
    (found,) = (one for one in answer.decision.findings if not one.passed)
    assert found.control == control
    return found.set_by


def stops_on_record(journal: Journal) -> list[str]:
    with journal.database.read() as connection:
        return list(connection.execute(select(kills.c.reason)).scalars())


def test_an_order_passes_at_the_cap_of_its_value_and_one_lot_above_names_the_cap() -> None:
    caps = limited()
    caps.orders_today = 0
    assert isinstance(gate_under(caps).check(order(1, qty="0.01"), NOW_MS), ApprovedOrder)
    answer = gate_under(caps).check(order(1, qty="0.01001"), NOW_MS)
    assert refused_by(answer, "PT-03").startswith("max_order_value of LIVE_LIMITED (TD-07), limits 0-")
    assert isinstance(gate_under(None).check(order(1, qty="0.01001"), NOW_MS), ApprovedOrder)


def test_a_position_stops_growing_at_its_cap_and_can_always_be_left() -> None:
    caps = limited()
    caps.orders_today = 0
    gate = gate_under(caps)
    for number, trade in ((1, "0.01"), (2, "0.006")):
        bought = order(number, qty=trade)
        assert isinstance(gate.check(bought, NOW_MS), ApprovedOrder)
        fill = Fill(
            bought.client_order_id, number, "BTCUSDT", Side.BUY, Decimal(trade), Decimal(60_000), Decimal(0),
            "USDT", False, NOW_MS,
        )  # fmt: skip
        gate.on_fill(fill)
        gate.on_terminal(bought.client_order_id)
    answer = gate.check(order(3, qty="0.00067"), NOW_MS)
    assert refused_by(answer, "PT-07").startswith("max_position_value of LIVE_LIMITED (TD-07)")
    assert isinstance(gate.check(order(4, Side.SELL, qty="0.01"), NOW_MS), ApprovedOrder)


def test_where_the_firm_is_tighter_than_the_cap_the_firm_holds() -> None:
    caps = limited()
    caps.orders_today = 0
    answer = gate_under(caps, max_order_value=Decimal(300)).check(order(1, qty="0.006"), NOW_MS)
    assert refused_by(answer, "PT-03").startswith("max_order_value of firm")


def test_a_yellow_light_tightens_the_cap_too() -> None:
    tree = capped(load_limits(RiskSettings(), [BTC]), limited().scope)
    found = tightened(tree, Decimal("0.5")).effective("s", "BTCUSDT")
    assert (found.limits.max_order_value, found.limits.max_position_value) == (300, 500)
    assert found.set_by["max_order_value"] == "LIVE_LIMITED (TD-07)"


def test_the_order_beyond_the_days_count_stops_the_strategy_until_a_person_lifts_it(journal: Journal) -> None:
    door = door_at(journal)
    for number in range(3):
        assert isinstance(door.decide(small(number), NOW_MS), ApprovedOrder)
    assert stops_on_record(journal) == []
    assert breached(door.decide(small(3), NOW_MS)) == ("TD-07",)
    (reason,) = stops_on_record(journal)
    assert reason == (
        "TD-07 cap of LIVE_LIMITED: order 4 breaks 3 orders a UTC day (max_orders_per_day of control.limited)"
    )
    assert journal.latches.on_file() == [LOCKED]
    tomorrow_ms = TODAY_MS + DAY_MS
    again = door_at(journal, tomorrow_ms)  # another process, another day: nothing but a person re-arms
    assert breached(again.decide(small(4, tomorrow_ms), tomorrow_ms)) == ("KS-03",)
    assert len(stops_on_record(journal)) == 1
    journal.latches.release(actor="ann")
    again = door_at(journal, tomorrow_ms)
    assert isinstance(again.decide(small(5, tomorrow_ms), tomorrow_ms), ApprovedOrder)


def test_lifting_the_stop_does_not_lift_the_cap_of_that_day(journal: Journal) -> None:
    door = door_at(journal)
    for number in range(4):
        door.decide(small(number), NOW_MS)
    journal.latches.release(actor="ann")
    door.refresh_latches()
    assert breached(door.decide(small(4), NOW_MS)) == ("TD-07",)
    assert len(stops_on_record(journal)) == 2 and journal.latches.on_file() == [LOCKED]


def test_a_process_that_was_killed_has_not_forgotten_what_was_sent(journal: Journal) -> None:
    for number in range(3):  # each order by a process of its own, of which nothing but the journal is left
        assert isinstance(door_at(journal).decide(small(number), NOW_MS), ApprovedOrder)
    assert breached(door_at(journal).decide(small(3), NOW_MS)) == ("TD-07",)


def test_an_order_belongs_to_the_utc_day_it_was_decided_on_and_refused_ones_do_not_count(
    journal: Journal,
) -> None:
    door = door_at(journal)
    assert breached(door.decide(order(9, qty="1"), NOW_MS)) == ("PT-03", "PT-07")
    for number in range(3):
        yesterday_ms = TODAY_MS - 1
        assert isinstance(door.decide(small(number, yesterday_ms), NOW_MS), ApprovedOrder)
    assert isinstance(door.decide(small(3, TODAY_MS), NOW_MS), ApprovedOrder)


def test_a_day_begins_with_its_first_millisecond_and_other_strategies_and_accounts_have_their_own(
    journal: Journal,
) -> None:
    other = Journal(journal.database, "other", journal.clock, Path())
    sent = [
        (journal, small(1, TODAY_MS - 1)),
        (journal, small(2, TODAY_MS)),
        (journal, small(3, TODAY_MS + DAY_MS - 1)),
        (journal, small(4, TODAY_MS + DAY_MS)),
        (journal, order(5, strategy="another", decided_ms=TODAY_MS)),
        (other, small(6, TODAY_MS)),
    ]
    for of, intent in sent:
        of.record(approve(intent), "run-1")
    with journal.database.read() as connection:
        days = (TODAY_MS - DAY_MS, TODAY_MS, TODAY_MS + DAY_MS)
        assert [orders_of_day(connection, "paper", "s", day_ms) for day_ms in days] == [1, 2, 1]
        assert orders_of_day(connection, "paper", "s", TODAY_MS + DAY_MS - 1) == 2


def test_a_stop_passes_although_a_tighter_cap_has_been_overrun_already() -> None:
    caps = limited(max_orders_per_day=1)
    caps.orders_today = 3
    stop = order(1, Side.SELL, purpose=Purpose.PROTECTION, reduce_only=True)
    assert [one.passed for one in caps.findings(stop, NOW_MS)] == [True, True]
    assert [one.passed for one in caps.findings(small(2), NOW_MS)] == [False, True]


def test_a_stop_that_follows_the_market_uses_up_no_order(journal: Journal) -> None:
    door = door_at(journal, max_orders_per_day=1)
    bought = small(1)
    assert isinstance(door.decide(bought, NOW_MS), ApprovedOrder)
    door.gate.on_fill(
        Fill(
            bought.client_order_id, 1, "BTCUSDT", Side.BUY, Decimal("0.001"), Decimal(60_000), Decimal(0),
            "USDT", False, NOW_MS,
        )
    )  # fmt: skip
    door.gate.on_terminal(bought.client_order_id)
    for number in range(2, 5):
        stop = order(
            number, Side.SELL, qty="0.001", price="58000", type=OrderType.STOP_LOSS_LIMIT, reduce_only=True,
            purpose=Purpose.PROTECTION, stop_price=Decimal(58_500), time_in_force=TimeInForce.GTC,
        )  # fmt: skip
        assert isinstance(door.decide(stop, NOW_MS), ApprovedOrder)
        door.gate.on_terminal(stop.client_order_id)
    assert breached(door.decide(small(5), NOW_MS)) == ("TD-07",)


def test_when_nobody_has_counted_the_orders_none_passes() -> None:
    answer = gate_under(limited()).check(small(1), NOW_MS)
    assert breached(answer) == ("TD-07",) and "missing breaks 3 orders" in answer.decision.reason


def test_when_the_days_are_over_the_strategy_is_stopped_without_asking_for_an_order(journal: Journal) -> None:
    door = door_at(journal)
    door.stop_after_last_day(UNTIL_MS - 1)
    assert stops_on_record(journal) == [] and journal.latches.on_file() == []
    for now_ms in (UNTIL_MS, UNTIL_MS + 1):
        door.stop_after_last_day(now_ms)
    (reason,) = stops_on_record(journal)
    assert reason.startswith("TD-07 cap of LIVE_LIMITED: 2023-11-19") and "the end of 5 days" in reason
    assert journal.latches.on_file() == [LOCKED]
    journal.latches.release(actor="ann")
    again = door_at(journal, UNTIL_MS)  # a restart: the days are as over as before
    assert breached(again.decide(small(1, UNTIL_MS), UNTIL_MS)) == ("TD-07",)
    assert journal.latches.on_file() == [LOCKED]


def test_a_promotion_that_ends_while_its_run_trades_stops_the_strategy(journal: Journal) -> None:
    door = Door(gate_under(None), journal, "run-1", PromotedRun("s", NOW_MS + 1))
    door.stop_after_last_day(NOW_MS)
    assert isinstance(door.decide(small(1), NOW_MS), ApprovedOrder)
    door.stop_after_last_day(NOW_MS + 1)
    assert breached(door.decide(small(2), NOW_MS + 1)) == ("KS-03",)
    assert stops_on_record(journal) == ["TD-02 the promotion ended at 2023-11-14T22:13:20.001Z"]


def test_the_status_shows_used_and_allowed_of_every_cap(journal: Journal) -> None:
    door = door_at(journal)
    terms = json.dumps({LIMITED_RUN: limited_terms(limited())})
    with journal.database.write() as connection:
        connection.execute(update(runs).values(settings=terms))
    door.decide(small(1), NOW_MS)
    door.decide(order(2, qty="0.002"), NOW_MS)
    (found,) = account_status(journal, ManualClock(NOW_MS + DAY_MS // 100))["limited"]
    assert found["orders today"] == {"used": "2", "allowed": "3"}
    assert found["order value today"] == {"used": "120", "allowed": "600"}
    assert found["instruments"] == {"used": "1", "allowed": "1"}
    assert found["position value"]["allowed"] == "1000" and found["days"] == {"used": "0.0", "allowed": "5"}
    for number, side, qty in ((1, Side.BUY, "0.001"), (2, Side.SELL, "0.0004")):
        fill = Fill(
            small(number).client_order_id, number, "BTCUSDT", side, Decimal(qty), Decimal(60_000), Decimal(0),
            "USDT", False, NOW_MS,
        )  # fmt: skip
        status = OrderStatus.PARTIALLY_FILLED
        journal.apply(OrderUpdate(fill.client_order_id, "BTCUSDT", status, (fill,), fill.qty))
    (found,) = account_status(journal, ManualClock(NOW_MS))["limited"]
    assert found["position value"]["used"] == "36"
    with journal.database.write() as connection:
        connection.execute(update(runs).values(ended_ms=1))
    assert account_status(journal, ManualClock(NOW_MS))["limited"] == []

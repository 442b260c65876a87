"""A futures client that loses user events and asks again knows its account exactly."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis import given, settings

from qtm.paper.delivery import FaultyDelivery
from qtm.paper.errors import ApiError
from qtm.paper.faults import USER, FaultRule, Faults
from qtm.paper.gateway import Call
from qtm.paper.metrics import Metrics
from qtm.paper.params import Params
from qtm.paper.um.application import um_application
from qtm.paper.wire import E8, text_of, units_of
from tests.paper.um.um_worlds import Desk

OPEN = ("NEW", "PARTIALLY_FILLED")


class Follower:
    """What a client knows of its account: wallet, position and open orders by id."""

    def __init__(self, desk: Desk, faults: Faults) -> None:
        application, _, _ = um_application(desk.venue, faults, Metrics("um"))
        self.operations = application.gateway.operations
        self.account = desk.account()
        self.wallet, self.position = self.account.wallets["USDT"], 0
        self.orders: dict[int, tuple[str, int]] = {}
        self.late: list[Any] = []
        self._deliver = FaultyDelivery(self._take, faults, USER, later=self._hold)
        self.account.listeners.append(lambda event: self._deliver(event["e"], event))

    def _hold(self, seconds: float, send: Any, *arguments: Any) -> None:
        self.late.append(lambda: send(*arguments))

    def _take(self, event: dict[str, Any]) -> None:
        if event["e"] == "ACCOUNT_UPDATE":
            self.wallet = next(units_of(row["wb"]) for row in event["a"]["B"] if row["a"] == "USDT")
            for row in event["a"]["P"]:
                self.position = units_of(row["pa"])
        elif event["e"] == "ORDER_TRADE_UPDATE":
            self.orders[event["o"]["i"]] = (event["o"]["X"], units_of(event["o"]["z"]))

    def recover(self) -> None:
        """Let what is late arrive, then ask."""
        late, self.late = self.late, []
        for send in late:
            send()

        def ask(name: str) -> Any:
            return self.operations[name].run(Call(Params({}), self.account, None))

        self.wallet = next(units_of(row["balance"]) for row in ask("balance") if row["asset"] == "USDT")
        held = [row for row in ask("positionRisk") if row["symbol"] == "BTCUSDT"]
        self.position = sum(units_of(row["positionAmt"]) for row in held)
        self.orders = {
            row["orderId"]: (row["status"], units_of(row["executedQty"])) for row in ask("openOrders")
        }

    def check(self) -> None:
        """Equal to the account to the last unit."""
        assert self.wallet == self.account.wallets["USDT"]
        assert self.position == self.account.position("BTCUSDT", "BOTH").qty
        assert {number: z for number, (x, z) in self.orders.items() if x in OPEN} == {
            number: order.executed for number, order in self.account.open_orders.items()
        }


ORDER = st.tuples(st.booleans(), st.integers(60, 9_000), st.none() | st.integers(960, 1040))
STEP = st.one_of(ORDER, st.integers(950, 1050), st.sampled_from(["ask", "cancel", "worse", "better"]))


@settings(max_examples=100, deadline=None)
@given(st.lists(STEP, max_size=40), st.integers(0, 10**6))
def test_events_follow_exactly_until_one_is_lost_and_from_the_next_question_on(
    steps: list[Any], seed: int
) -> None:
    struck: list[str] = []
    faults = Faults(seed, on_strike=lambda kind, what: struck.append(kind))
    desk = Desk()
    client = Follower(desk, faults)
    for step in steps:
        if step == "worse":
            for kind in ("lost", "duplicated", "late", "reordered"):
                faults.add(FaultRule(f"event_{kind}", probability=0.1))
        elif step == "better":
            faults.clear()
        elif step == "ask":
            client.recover()
            struck.clear()
        elif step == "cancel":
            for order in list(client.account.open_orders.values())[:1]:
                desk.venue.cancel(client.account, order)
        elif isinstance(step, int):
            desk.at(step / 10)
        else:
            buy, lots, ticks = step
            try:
                desk.order(buy, text_of(lots * E8 // 1000), f"{ticks / 10:.1f}" if ticks else None)
            except ApiError as error:
                assert error.code in (-2019, -2027, -4016, -4024, -4131, -4164)
        if set(struck) <= {"event_duplicated"}:
            client.check()
    faults.clear()
    client.recover()
    client.check()

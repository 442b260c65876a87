"""Stops and take-profits at the gate: they may only shrink, and are still held to collar, size and pace."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from qtm.trading.orders import OrderIntent, OrderType, Purpose, Side, TimeInForce
from tests.risk.test_gate import NOW, make_gate, order, verdict

D = Decimal


def stop(number: int = 1, *, level: str = "57000", limit: str = "56430", **changes: Any) -> OrderIntent:
    """A sale of one bitcoin that waits at `level`, 5 % below the market."""
    intent = OrderIntent(
        f"s-BTCUSDT-S{number:06d}", "s", "BTCUSDT", Side.SELL, OrderType.STOP_LOSS_LIMIT, D(1), D(limit),
        TimeInForce.GTC, NOW, reduce_only=True, purpose=Purpose.PROTECTION, stop_price=D(level),
    )  # fmt: skip
    return replace(intent, **changes)


def test_a_stop_passes_as_a_protective_order_and_not_as_any_other() -> None:  # PT-16
    assert verdict(make_gate(qty="1").check(stop(), NOW)) == ()
    unprotected = stop(purpose=Purpose.TARGET)
    assert verdict(make_gate(qty="1").check(unprotected, NOW)) == ("PT-16",)
    assert verdict(make_gate(qty="1").check(replace(unprotected, type=OrderType.LIMIT), NOW)) == ("PT-16",)


@pytest.mark.parametrize(
    "changes",
    [
        {"type": OrderType.STOP_LOSS, "price": D("56430")},
        {"stop_price": None},
        {"time_in_force": TimeInForce.IOC},
        {"reduce_only": False},
        {"type": OrderType.LIMIT, "stop_price": None},
    ],
)
def test_a_protective_order_has_one_of_three_forms(changes: dict[str, Any]) -> None:
    assert "PT-16" in verdict(make_gate(qty="1").check(stop(**changes), NOW))


def test_it_is_refused_where_it_could_do_more_than_shrink() -> None:
    assert "PT-20" in verdict(make_gate(qty="0.99999").check(stop(), NOW))
    gate = make_gate(qty="1")
    gate.check(stop(1), NOW)
    assert "PT-20" in verdict(gate.check(stop(2), NOW)), "what already rests counts"


def test_its_collar_is_measured_from_the_stop_price() -> None:  # PT-01
    assert verdict(make_gate(qty="1").check(stop(limit="55290.00"), NOW)) == ()
    assert verdict(make_gate(qty="1").check(stop(limit="55289.99"), NOW)) == ("PT-01",)
    unseen = make_gate(qty="1")
    unseen.exposure.marks.clear()
    assert {"PT-01", "PT-13"} <= set(verdict(unseen.check(stop(), NOW)))


def test_size_filters_and_pace_hold_for_it_too() -> None:
    assert verdict(make_gate(qty="1", max_order_value=D(56429)).check(stop(), NOW)) == ("PT-03",)
    assert verdict(make_gate(qty="1").check(stop(level="57000.005"), NOW)) == ("PT-17",)
    assert verdict(make_gate(qty="1").check(stop(take_profit=D("63000.001")), NOW)) == ("PT-17",)
    busy = make_gate(qty="1", messages_per_10s=1)
    busy.check(order(1), NOW)
    assert "PT-05" in verdict(busy.check(stop(), NOW))


def test_a_stop_that_waits_crosses_nobody_but_its_take_profit_does() -> None:  # PT-11
    gate = make_gate(qty="1")
    gate.check(stop(1), NOW)
    assert verdict(gate.check(order(1, price="60000"), NOW)) == ()
    gate = make_gate(qty="1")
    gate.check(stop(1, take_profit=D("61000")), NOW)
    assert verdict(gate.check(order(1, price="61000"), NOW)) == ("PT-11",)


def test_moving_a_stop_is_no_repeated_execution() -> None:  # PT-06
    gate = make_gate(qty="1")
    for number in range(1, 60):
        assert verdict(gate.check(stop(number), NOW)) == ()
        gate.on_terminal(f"s-BTCUSDT-S{number:06d}")

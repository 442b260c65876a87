"""The CVaR budget at the gate: at its bound and beyond, with working orders, stale, when shrinking."""

from decimal import Decimal

import numpy as np
import pytest

from qtm.errors import RiskError
from qtm.market.instruments import Instrument, Market
from qtm.risk.exposure import Exposure
from qtm.risk.gate import Gate
from qtm.risk.limits import load_limits
from qtm.risk.marginal import BookCvar
from qtm.risk.measures import historical_cvar
from qtm.risk.tail_limit import TailLimit
from qtm.settings import RiskSettings
from qtm.trading.orders import Fill, OrderIntent, OrderType, Side, TimeInForce

D = Decimal
NOW = 1_700_000_000_000
HOUR = 3_600_000
SCENARIOS = np.random.default_rng(0).standard_t(4, size=(1000, 2)) * 0.02
UNIT = historical_cvar(SCENARIOS[:, 0], 0.975)
"""CVaR of one unit of BTCUSDT."""


def coin(base):
    return Instrument(
        Market.SPOT, f"{base}USDT", base, "USDT", D("0.01"), D("0.00001"), D("0.00001"), D("9000"), D("5")
    )


def make_gate(budget="0.02", lifetime=HOUR, symbols=("BTCUSDT", "ETHUSDT")):
    exposure = Exposure("USDT", {"BTCUSDT": "BTC", "ETHUSDT": "ETH"}, D("100000"), {})
    book = BookCvar(symbols, SCENARIOS[:, : len(symbols)], 0.975, as_of_ms=NOW, max_age_ms=lifetime)
    roomy = RiskSettings(max_order_value=D("10000000"), max_position_value=D("10000000"))
    coins = [coin("BTC"), coin("ETH")]
    gate = Gate(load_limits(roomy, coins), coins, exposure, tail=TailLimit(book, D(budget)))
    for symbol in ("BTCUSDT", "ETHUSDT"):
        gate.on_price(symbol, D("100"), NOW)
    gate.arm(NOW, "test")
    return gate


def order(number, qty, side=Side.BUY, symbol="BTCUSDT"):
    return OrderIntent(
        f"s-{number}", "s", symbol, side, OrderType.LIMIT, D(qty), D("100"), TimeInForce.IOC, NOW
    )


def largest_qty(budget=0.02):
    return D(str(np.floor(budget * 100_000 / UNIT / 100 * 1e4) / 1e4))


def test_an_order_within_the_budget_passes_and_one_beyond_is_refused():
    assert make_gate().check(order(1, largest_qty()), NOW).decision.approved
    refused = make_gate().check(order(1, largest_qty() + D("0.001")), NOW).decision
    assert refused.breached == ("PT-09",)
    assert "CVaR 97.5 % budget of 0.02 of equity" in refused.reason


def test_working_orders_use_the_budget_before_they_fill():
    gate = make_gate()
    assert gate.check(order(1, largest_qty()), NOW).decision.approved
    assert gate.check(order(2, "10"), NOW).decision.breached == ("PT-09",)
    gate.on_terminal("s-1")
    assert gate.check(order(3, "10"), NOW).decision.approved


def test_the_evaluator_follows_fills_and_marks_of_the_account():
    gate = make_gate()
    gate.check(order(1, "5"), NOW)
    gate.on_fill(Fill("s-1", 1, "BTCUSDT", Side.BUY, D("5"), D("100"), D("0"), "USDT", False, NOW))
    gate.on_price("BTCUSDT", D("120"), NOW)
    gate.check(order(2, "1"), NOW)
    gate.on_terminal("s-1")
    gate.on_terminal("s-2")
    gate.check(order(3, "1", symbol="ETHUSDT"), NOW)
    assert gate.tail.book.cvar(NOW) == pytest.approx(600 * UNIT)


def test_a_position_without_a_mark_refuses_until_it_has_one():
    gate = make_gate()
    gate.exposure.positions["ETHUSDT"] = D("1")
    mark = gate.exposure.marks.pop("ETHUSDT")
    assert "PT-09" in gate.check(order(1, "1"), NOW).decision.breached
    gate.on_price("ETHUSDT", mark[0], NOW)
    assert gate.check(order(2, "1"), NOW).decision.approved


def test_stale_scenarios_refuse():
    gate = make_gate(lifetime=1000)
    gate.on_price("BTCUSDT", D("100"), NOW + 1001)
    refused = gate.check(order(1, "0.1"), NOW + 1001).decision
    assert refused.breached == ("PT-09",)
    assert "missing" in refused.reason


def test_a_symbol_without_scenarios_refuses():
    gate = make_gate(symbols=("BTCUSDT",))
    assert gate.check(order(1, "1"), NOW).decision.approved
    assert gate.check(order(2, "1", symbol="ETHUSDT"), NOW).decision.breached == ("PT-09",)


def test_an_order_that_shrinks_a_position_passes_whatever_the_tail():
    gate = make_gate(lifetime=1000)
    gate.exposure.positions["BTCUSDT"] = D("500")
    later = NOW + 2000
    gate.on_price("BTCUSDT", D("100"), later)
    sale = order(1, "100", Side.SELL)
    assert gate.check(sale, later).decision.approved
    gate.on_terminal(sale.client_order_id)
    assert gate.check(order(2, "1"), later).decision.breached == ("PT-09",)


def test_a_book_over_its_budget_may_still_take_risk_off():
    gate = make_gate(budget="0.0001")
    gate.exposure.positions["BTCUSDT"] = D("500")
    assert not gate.check(order(1, "1"), NOW).decision.approved
    assert gate.check(order(2, "1", Side.SELL), NOW).decision.approved


def test_a_gate_without_a_tail_limit_is_as_before():
    gate = make_gate()
    gate.tail = None
    assert gate.check(order(1, largest_qty() * 2), NOW).decision.approved


def test_an_impossible_budget_is_refused():
    with pytest.raises(RiskError, match="above zero"):
        make_gate(budget="0")

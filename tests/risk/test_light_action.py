"""Lights act on a real gate: yellow shrinks what passes, red lets only shrinking orders through."""

from decimal import Decimal

import pytest

from qtm.errors import RiskError
from qtm.market.instruments import Instrument, Market
from qtm.risk.exposure import Exposure
from qtm.risk.gate import Gate
from qtm.risk.light_action import obey, tightened
from qtm.risk.lights import Light, action_for
from qtm.risk.limits import load_limits
from qtm.risk.rules import ACTIVE, HALTED, REDUCING
from qtm.settings import RiskSettings
from qtm.trading.orders import OrderIntent, OrderType, Side, TimeInForce

D = Decimal
NOW = 1_700_000_000_000
BTC = Instrument(
    Market.SPOT, "BTCUSDT", "BTC", "USDT", D("0.01"), D("0.00001"), D("0.00001"), D("9000"), D("5")
)
LIMITS = load_limits(RiskSettings(max_order_value=D("10000")), [BTC])


def make_gate():
    exposure = Exposure("USDT", {"BTCUSDT": "BTC"}, D("100000"), {"BTCUSDT": D("50")})
    gate = Gate(LIMITS, [BTC], exposure)
    gate.on_price("BTCUSDT", D("100"), NOW)
    gate.arm(NOW, "test")
    return gate


def order(number, qty, side=Side.BUY):
    return OrderIntent(
        f"s-{number}", "s", "BTCUSDT", side, OrderType.LIMIT, D(qty), D("100"), TimeInForce.IOC, NOW
    )


def test_yellow_refuses_what_green_let_through():
    gate = make_gate()
    obey(gate, LIMITS, action_for(Light.GREEN), NOW)
    assert gate.check(order(1, "86"), NOW).decision.approved
    assert obey(gate, LIMITS, action_for(Light.YELLOW), NOW) is None
    assert gate.check(order(2, "85"), NOW).decision.approved
    refused = gate.check(order(3, "85.00001"), NOW).decision
    assert refused.breached == ("PT-03",)
    assert refused.limits_version.endswith("x0.85")


def test_obeying_twice_tightens_once():
    gate = make_gate()
    for _ in range(2):
        obey(gate, LIMITS, action_for(Light.YELLOW), NOW)
    assert gate.tree.file.firm.max_order_value == D("8500")


def test_red_lets_only_shrinking_orders_through():
    gate = make_gate()
    change = obey(gate, LIMITS, action_for(Light.GREEN, Light.RED), NOW)
    assert change is not None and (change.before, change.after) == (ACTIVE, REDUCING)
    assert gate.check(order(1, "1"), NOW).decision.breached == ("PT-20",)
    assert gate.check(order(2, "1", Side.SELL), NOW).decision.approved


def test_green_again_restores_the_limits_but_not_the_state():
    gate = make_gate()
    obey(gate, LIMITS, action_for(Light.RED), NOW)
    obey(gate, LIMITS, action_for(Light.GREEN), NOW)
    assert gate.tree is LIMITS
    assert gate.state == REDUCING


def test_red_never_loosens_a_halt():
    gate = make_gate()
    gate.halt(NOW, "kill")
    obey(gate, LIMITS, action_for(Light.RED), NOW)
    assert gate.state == HALTED


def test_other_limits_stay():
    firm = tightened(LIMITS, D("0.85")).file.firm
    assert firm.daily_loss == LIMITS.file.firm.daily_loss
    assert firm.price_collar == LIMITS.file.firm.price_collar


@pytest.mark.parametrize("multiplier", [D("1.1"), D("0"), D("-1")])
def test_a_multiplier_that_loosens_or_closes_is_refused(multiplier):
    with pytest.raises(RiskError, match="only tighten"):
        tightened(LIMITS, multiplier)

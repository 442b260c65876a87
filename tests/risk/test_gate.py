"""The gate's acceptance tests: each control at its bound, one step beyond it, and with its input missing."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from qtm.market.instruments import Instrument, Market
from qtm.risk.decisions import ApprovedOrder, Decision, Refused
from qtm.risk.exposure import Exposure
from qtm.risk.gate import Gate, Latch
from qtm.risk.limits import load_limits
from qtm.risk.rules import ACTIVE, HALTED, REDUCING
from qtm.settings import RiskSettings
from qtm.trading.orders import Fill, OrderIntent, OrderType, Side, TimeInForce

D = Decimal
NOW = 1_700_000_000_000
BTC = Instrument(
    Market.SPOT, "BTCUSDT", "BTC", "USDT", D("0.01"), D("0.00001"), D("0.00001"), D("9000"), D("5")
)


def make_gate(*, cash: str = "100000", qty: str = "0", price: str = "60000", **risk: Any) -> Gate:
    """An armed gate over BTCUSDT, its reference price 100 ms old."""
    exposure = Exposure("USDT", {"BTCUSDT": "BTC"}, D(cash), {"BTCUSDT": D(qty)})
    roomy = {
        "max_order_value": D("10000000"),
        "max_position_value": D("10000000"),
        "messages_per_10s": 10_000,
    }
    gate = Gate(load_limits(RiskSettings(**(roomy | risk)), [BTC]), [BTC], exposure)
    gate.on_price("BTCUSDT", D(price), NOW - 100)
    gate.arm(NOW, "test")
    return gate


def order(
    number: int = 1, side: Side = Side.BUY, qty: str = "1", price: str = "60000", **changes: Any
) -> OrderIntent:
    intent = OrderIntent(
        f"s-BTCUSDT-{number}", "s", "BTCUSDT", side, OrderType.LIMIT, D(qty), D(price), TimeInForce.IOC, NOW
    )
    return replace(intent, **changes)


def verdict(outcome: ApprovedOrder | Refused) -> tuple[str, ...]:
    return outcome.decision.breached


def test_collar_passes_at_the_band_and_refuses_one_tick_above() -> None:  # T-PT01a
    gate = make_gate()
    assert verdict(gate.check(order(1, price="61800.00"), NOW)) == ()
    refused = gate.check(order(2, price="61800.01"), NOW)
    assert verdict(refused) == ("PT-01",)
    assert "1800.01" in refused.decision.reason and "1800.00" in refused.decision.reason


def test_collar_binds_the_aggressive_side_of_a_sale() -> None:
    gate = make_gate(qty="10")
    assert verdict(gate.check(order(1, Side.SELL, price="58200.00"), NOW)) == ()
    assert verdict(gate.check(order(2, Side.SELL, price="58199.99"), NOW)) == ("PT-01",)
    assert verdict(gate.check(order(3, Side.SELL, price="70000.00"), NOW)) == ()


def test_no_reference_or_a_stale_one_refuses_every_new_order() -> None:  # T-PT01b
    gate = make_gate()
    stale = gate.check(order(1), NOW + 5001 - 100)
    assert verdict(stale) == ("PT-13",)
    del gate.exposure.marks["BTCUSDT"]
    assert {"PT-01", "PT-13"} <= set(verdict(gate.check(order(2), NOW)))


def test_order_value_passes_at_the_cent_and_refuses_one_above() -> None:  # T-PT03
    gate = make_gate(max_order_value=D("50000"))
    assert verdict(gate.check(order(1, qty="1", price="50000.00", side=Side.BUY), NOW)) == ()
    assert verdict(gate.check(order(2, qty="1", price="50000.01"), NOW)) == ("PT-03",)


def test_an_instrument_without_a_size_limit_is_refused_as_missing() -> None:  # T-PT04
    coin = replace(BTC, symbol="NEWCOINUSDT", base="NEWCOIN")
    exposure = Exposure("USDT", {"NEWCOINUSDT": "NEWCOIN"}, D(100000), {})
    gate = Gate(load_limits(RiskSettings(), []), [coin], exposure)
    gate.on_price("NEWCOINUSDT", D("10"), NOW)
    gate.arm(NOW, "test")
    refused = gate.check(order(1, symbol="NEWCOINUSDT", price="10"), NOW)
    assert verdict(refused) == ("PT-04",)
    assert "missing" in refused.decision.reason


def test_volume_passes_at_the_limit_and_refuses_one_lot_above() -> None:
    gate = make_gate(cash="1000000000", max_order_value=D("1e12"), max_position_value=D("1e12"))
    assert verdict(gate.check(order(1, qty="9000"), NOW)) == ()
    assert "PT-04" in verdict(gate.check(order(2, qty="9000.00001"), NOW))


def test_message_limit_counts_a_sliding_window() -> None:  # T-PT05
    gate = make_gate(messages_per_10s=100)
    for number in range(100):
        assert verdict(gate.check(order(number, qty="0.001", strategy=f"s{number % 10}"), NOW)) == ()
    assert verdict(gate.check(order(101, qty="0.001"), NOW)) == ("PT-05",)
    gate.on_price("BTCUSDT", D("60000"), NOW + 9_000)
    assert verdict(gate.check(order(102, qty="0.001"), NOW + 9_999)) == ("PT-05",)
    assert verdict(gate.check(order(103, qty="0.001"), NOW + 10_000)) == ()


def test_working_orders_count_at_their_worst_until_they_are_gone() -> None:  # T-PT07
    gate = make_gate(cash="2000000", qty="10", max_position_value=D("1000000"))
    working = order(1, qty="5")
    assert verdict(gate.check(working, NOW)) == ()  # 600,000 held, 300,000 working
    assert verdict(gate.check(order(2, qty="2.5"), NOW)) == ("PT-07",)  # worst case 1,050,000
    gate.on_terminal(working.client_order_id)
    assert verdict(gate.check(order(3, qty="2.5"), NOW)) == ()


def test_a_working_sell_never_makes_room_for_a_buy() -> None:
    gate = make_gate(cash="2000000", qty="15", max_position_value=D("1000000"))
    assert verdict(gate.check(order(1, Side.SELL, qty="10", price="60001"), NOW)) == ()
    assert verdict(gate.check(order(2, Side.BUY, qty="2"), NOW)) == ("PT-07",)


def test_parallel_orders_share_no_headroom() -> None:  # T-PT07b
    gate = make_gate(cash="200000", max_position_value=D("100000"), price="10000")
    intents = [order(number, qty="1", price="10000") for number in range(1000)]
    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(lambda intent: gate.check(intent, NOW), intents))
    assert sum(isinstance(outcome, ApprovedOrder) for outcome in outcomes) == 10


def test_a_fill_moves_headroom_from_working_to_position() -> None:
    gate = make_gate(cash="2000000", max_position_value=D("600000"))
    gate.check(order(1, qty="10"), NOW)
    gate.on_fill(Fill("s-BTCUSDT-1", 1, "BTCUSDT", Side.BUY, D(4), D(60000), D("0.004"), "BTC", False, NOW))
    assert gate.exposure.working_qty("BTCUSDT", Side.BUY) == 6
    assert gate.exposure.positions["BTCUSDT"] == D("3.996")
    gate.on_terminal("s-BTCUSDT-1")
    assert verdict(gate.check(order(2, qty="6"), NOW)) == ()
    assert gate.exposure.cash == 2000000 - 240000


def test_a_loss_above_its_limit_lets_shrinking_orders_pass_where_the_limits_say_so() -> None:  # T-PT09
    gate = make_gate(cash="400000", qty="10", max_drawdown=D("0.1"), daily_loss=D("0.9"))
    assert gate.tree.effective("s", "BTCUSDT").limits.at_loss_limit == REDUCING
    assert gate.on_price("BTCUSDT", D("40000"), NOW) is None and gate.state == ACTIVE
    assert verdict(gate.check(order(1, qty="1", price="40000"), NOW)) == ("PT-09",)
    assert verdict(gate.check(order(2, Side.SELL, qty="10.00001", price="40000"), NOW)) == ("PT-09",)
    passed = gate.check(order(3, Side.SELL, qty="10", price="40000"), NOW)
    assert verdict(passed) == ()
    (finding,) = (one for one in passed.decision.findings if one.control == "PT-09")
    assert (finding.measured, finding.bound) == ("200000", "100000.0")


def test_an_equity_nobody_can_mark_stops_shrinking_orders_too() -> None:
    gate = make_gate(cash="400000", qty="10", max_drawdown=D("0.1"))
    gate.exposure.positions["ETHUSDT"] = D(1)
    assert verdict(gate.check(order(1, Side.SELL, qty="1"), NOW)) == ("PT-09",)


def test_losses_warn_by_reducing_then_halt_and_stay_halted() -> None:  # T-PT09
    gate = make_gate(
        cash="1000000", qty="0", daily_loss=D("0.1"), max_drawdown=D("0.9"), at_loss_limit="halt"
    )
    gate.exposure.cash, gate.exposure.positions["BTCUSDT"] = D(400000), D(10)  # 1,000,000 at 60,000
    assert gate.on_price("BTCUSDT", D("51999.99"), NOW) is None  # more than 80 % of the allowed loss
    assert verdict(gate.check(order(1, qty="1", price="51999.99"), NOW)) == ("PT-09",)
    assert verdict(gate.check(order(2, Side.SELL, qty="1", price="51999.99"), NOW)) == ()
    assert gate.on_price("BTCUSDT", D("50000.00"), NOW) is None  # exactly 100,000 lost
    change = gate.on_price("BTCUSDT", D("49999.99"), NOW)
    assert change is not None and change.after == HALTED and "PT-09" in change.reason
    gate.on_price("BTCUSDT", D("60000"), NOW)
    assert "KS-03" in verdict(gate.check(order(3, Side.SELL, qty="1"), NOW))


def test_the_day_starts_from_the_last_equity_before_midnight() -> None:
    gate = make_gate(qty="1")
    midnight = (NOW // 86_400_000 + 1) * 86_400_000
    gate.on_price("BTCUSDT", D("61000"), midnight - 1)
    gate.on_price("BTCUSDT", D("62000"), midnight)
    assert gate.exposure.day_start == 161000
    assert gate.exposure.peak == 162000


def test_a_strategy_that_repeats_itself_is_refused_at_the_twenty_first() -> None:  # T-PT06
    gate = make_gate()
    for number in range(20):
        assert verdict(gate.check(order(number, qty="0.001"), NOW)) == ()
    assert verdict(gate.check(order(21, qty="0.001"), NOW)) == ("PT-06",)
    assert verdict(gate.check(order(22, Side.SELL, qty="0.001", price="60001"), NOW)) == ()
    assert verdict(gate.check(order(23, qty="0.001", strategy="other"), NOW)) == ()


def test_own_orders_never_meet() -> None:  # PT-11
    gate = make_gate(qty="5")
    assert verdict(gate.check(order(1, price="60000.00", time_in_force=TimeInForce.GTC), NOW)) == ()
    crossing = order(2, Side.SELL, price="60000.00", strategy="other")
    assert verdict(gate.check(crossing, NOW)) == ("PT-11",)
    assert verdict(gate.check(order(3, Side.SELL, price="60000.01", strategy="other"), NOW)) == ()
    gate.on_terminal("s-BTCUSDT-1")
    assert verdict(gate.check(replace(crossing, client_order_id="again"), NOW)) == ()


def test_live_trading_is_closed_without_a_sign_off_valid_today(tmp_path: Path) -> None:  # T-PT15
    path = tmp_path / "limits.toml"
    path.write_text(
        '[[eligible]]\nvenue="binance"\nstrategies=["s"]\nsymbols=["BTCUSDT"]\nsignoff="LEGAL-31"\nuntil=2023-11-14\n'
    )
    tree = load_limits(RiskSettings(max_order_value=D(10**6), max_position_value=D(10**6)), [BTC], path=path)

    def fresh(venue: str, qty: str = "0") -> Gate:
        gate = Gate(
            tree, [BTC], Exposure("USDT", {"BTCUSDT": "BTC"}, D(100000), {"BTCUSDT": D(qty)}), venue=venue
        )
        gate.on_price("BTCUSDT", D("60000"), NOW)
        gate.arm(NOW, "test")
        return gate

    assert verdict(fresh("binance").check(order(1), NOW)) == ()  # NOW is 2023-11-14
    assert verdict(fresh("binance").check(order(1, strategy="other"), NOW)) == ("PT-15",)
    assert verdict(fresh("elsewhere").check(order(1), NOW)) == ("PT-15",)
    later = fresh("binance", qty="1")
    later.on_price("BTCUSDT", D("60000"), NOW + 86_400_000)
    assert verdict(later.check(order(1), NOW + 86_400_000)) == ("PT-15",)
    assert verdict(later.check(order(2, Side.SELL), NOW + 86_400_000)) == ()  # closing stays possible


def test_the_same_order_id_passes_once() -> None:  # T-PT12
    gate = make_gate()
    assert verdict(gate.check(order(1), NOW)) == ()
    assert verdict(gate.check(order(1), NOW)) == ("PT-12",)


@pytest.mark.parametrize(
    ("changes", "control"),
    [
        ({"type": OrderType.MARKET}, "PT-16"),
        ({"time_in_force": TimeInForce.GTD}, "PT-16"),
        ({"price": D("60000.001")}, "PT-17"),
        ({"qty": D("0.000015")}, "PT-17"),
        ({"qty": D("0.00001")}, "PT-17"),  # notional under 5
        ({"symbol": "DOGEUSDT"}, "PT-17"),
    ],
)
def test_orders_of_a_form_the_venue_or_the_firm_does_not_take_are_refused(
    changes: dict[str, Any], control: str
) -> None:
    assert control in verdict(make_gate().check(order(1, **changes), NOW))


def test_a_symbol_the_venue_has_stopped_trading_is_refused() -> None:
    gate = make_gate()
    gate._instruments["BTCUSDT"] = replace(BTC, status="CANCEL_ONLY")
    assert verdict(gate.check(order(1), NOW)) == ("PT-17",)


def test_reducing_passes_only_what_shrinks_the_position() -> None:  # PT-20
    gate = make_gate(qty="1")
    gate.reduce(NOW, "test")
    assert verdict(gate.check(order(1), NOW)) == ("PT-20",)
    assert verdict(gate.check(order(2, Side.SELL, qty="1.00001"), NOW)) == ("PT-20",)
    assert verdict(gate.check(order(3, Side.SELL, qty="0.6"), NOW)) == ()
    assert verdict(gate.check(order(4, Side.SELL, qty="0.6"), NOW)) == (
        "PT-20",
    )  # with the working one: short


def test_an_order_that_claims_to_reduce_must_reduce() -> None:
    gate = make_gate(qty="1")
    assert verdict(gate.check(order(1, reduce_only=True), NOW)) == ("PT-20",)
    assert verdict(gate.check(order(2, Side.SELL, qty="1", reduce_only=True), NOW)) == ()


def test_a_gate_that_was_never_armed_refuses() -> None:
    gate = Gate(
        load_limits(RiskSettings(), [BTC]), [BTC], Exposure("USDT", {"BTCUSDT": "BTC"}, D(100000), {})
    )
    gate.on_price("BTCUSDT", D("60000"), NOW)
    assert verdict(gate.check(order(1, qty="0.1"), NOW)) == ("KS-03",)


def test_kills_hold_exactly_their_scope() -> None:
    gate = make_gate()
    gate.latch([Latch("strategy", "s")])
    assert verdict(gate.check(order(1), NOW)) == ("KS-03",)
    assert verdict(gate.check(order(2, strategy="other"), NOW)) == ()
    gate.latch([Latch("symbol", "BTCUSDT")])
    assert verdict(gate.check(order(3, strategy="other"), NOW)) == ("KS-03",)
    gate.latch([Latch("no such scope", "x")])
    assert verdict(gate.check(order(4), NOW)) == ("KS-03",)


def test_an_unmarked_position_makes_the_equity_unknown_and_refuses() -> None:
    gate = make_gate()
    gate.exposure.positions["ETHUSDT"] = D(1)
    assert verdict(gate.check(order(1), NOW)) == ("PT-09",)


def test_every_decision_carries_every_finding_and_the_limit_version() -> None:
    gate = make_gate()
    decision = gate.check(order(1), NOW, {"signal": 1.0}).decision
    controls = [finding.control for finding in decision.findings]
    assert controls == [
        "PT-01", "PT-03", "PT-04", "PT-05", "PT-07", "PT-09", "PT-13", "PT-20", "KS-03",
        "PT-06", "PT-11", "PT-12", "PT-15", "PT-16", "PT-17",
    ]  # fmt: skip
    assert decision.limits_version == gate.tree.version
    assert Decision.from_record(decision.intent, decision.record()) == decision
    assert gate.state == ACTIVE


def test_an_approval_cannot_be_made_from_a_refusal_or_moved_to_another_order() -> None:
    gate = make_gate()
    approved = gate.check(order(1), NOW)
    refused = gate.check(order(2, price="99999.00"), NOW)
    with pytest.raises(ValueError, match="its own decision"):
        ApprovedOrder(refused.intent, refused.decision)
    with pytest.raises(ValueError, match="its own decision"):
        ApprovedOrder(order(3), approved.decision)

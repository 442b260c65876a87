"""Margin, funding, liquidation and reduce-only orders against ledgers computed by hand."""

from __future__ import annotations

from itertools import pairwise

import pytest

from qtm.paper.errors import ApiError
from qtm.paper.um.brackets import LARGE, maintenance
from qtm.paper.um.funding import FundingEvent, funding_payment
from qtm.paper.um.margin import asset_margin, liquidation_price
from qtm.paper.wire import E8, units_of
from tests.paper.um.um_worlds import Desk
from tests.paper.worlds import START_MS


def test_a_market_buy_pays_the_ask_the_fee_and_ties_up_initial_margin() -> None:
    desk = Desk()
    desk.order(True, "10")
    account, position = desk.account(), desk.account().position("BTCUSDT", "BOTH")
    assert (position.qty, position.entry) == (10 * E8, units_of("100.1"))
    assert account.wallets["USDT"] == 10_000 * E8 - units_of("0.5005")  # 1001 * 0.0005
    total = asset_margin(desk.venue, account, "USDT")
    assert total.unrealised == -1 * E8  # marked at 100
    assert total.position_initial == 50 * E8  # 1000 / 20
    assert total.maintenance == 4 * E8  # 1000 * 0.4 %
    assert total.available == 10_000 * E8 - units_of("0.5005") - 51 * E8


def test_selling_through_a_position_realises_it_and_opens_the_other_way() -> None:
    desk = Desk()
    desk.order(True, "10")
    desk.at(110)
    desk.order(False, "15")  # fills at 109.9
    position = desk.account().position("BTCUSDT", "BOTH")
    assert (position.qty, position.cost) == (-5 * E8, -units_of("549.5"))
    assert position.realised == 98 * E8  # 10 * (109.9 - 100.1)
    fees = units_of("0.5005") + units_of("0.82425")
    assert desk.account().wallets["USDT"] == 10_098 * E8 - fees


def test_a_reduce_only_order_never_flips_and_expires_with_its_position() -> None:
    desk = Desk()
    with pytest.raises(ApiError) as refused:
        desk.order(False, "1", reduce_only=True)
    assert refused.value.code == -2022
    desk.order(True, "10")
    resting = desk.order(False, "10", "104", reduce_only=True)
    desk.order(False, "4")
    assert resting.remaining == 6 * E8
    closed = desk.order(False, "50", reduce_only=True)
    assert (closed.executed, desk.account().position("BTCUSDT", "BOTH").qty) == (6 * E8, 0)
    assert resting.status == "EXPIRED"
    assert not desk.account().open_orders


def test_maintenance_margin_is_continuous_over_the_brackets() -> None:
    for below, above in pairwise(LARGE):
        assert maintenance(LARGE, below.cap + 1) - maintenance(LARGE, below.cap) <= 1
        assert above.rate > below.rate
    assert maintenance(LARGE, 800_000 * E8) == 3_700 * E8  # 800,000 * 0.5 % - 300


def test_longs_pay_shorts_at_the_settlement_and_the_jitter_does_not_delay_it() -> None:
    desk = Desk(100, "long", "short")
    desk.order(True, "10", name="long")
    desk.order(False, "10", name="short")
    before = {name: desk.account(name).wallets["USDT"] for name in ("long", "short")}
    desk.venue.funding.give("BTCUSDT", [FundingEvent("BTCUSDT", START_MS + 3_600_007, 1, 10_000)])
    desk.venue.move_clock(START_MS + 3_600_000)
    assert desk.account("long").wallets["USDT"] - before["long"] == -units_of("0.1")  # 1000 * 0.01 %
    assert desk.account("short").wallets["USDT"] - before["short"] == units_of("0.1")
    desk.venue.move_clock(START_MS + 3_700_000)
    assert [i.kind for i in desk.account("long").income].count("FUNDING_FEE") == 1
    event = [e for e in desk.events["long"] if e["e"] == "ACCOUNT_UPDATE"][-1]
    assert (event["a"]["m"], event["a"]["B"][0]["bc"], event["a"]["P"]) == ("FUNDING_FEE", "-0.10000000", [])


def test_a_negative_rate_and_an_odd_remainder_are_exchanged_to_the_unit() -> None:
    assert funding_payment(3, 50_000_000) == -1
    assert funding_payment(-3, 50_000_000) == 1
    assert funding_payment(1000 * E8, -10_000) == units_of("0.1")


def test_an_isolated_position_is_liquidated_and_costs_only_its_own_wallet() -> None:
    desk = Desk()
    account = desk.account()
    account.setting("BTCUSDT").isolated = True
    desk.order(True, "10")
    position = account.position("BTCUSDT", "BOTH")
    assert position.isolated_wallet == units_of("50.05")  # 1001 / 20
    # 50.05 + 10 p - 1001 = 10 p * 0.004
    assert liquidation_price(desk.venue, account, position) == units_of("950.95") * 1000 // 9960
    desk.at(95.6)
    assert position.qty == 10 * E8
    desk.at(95.4)
    assert position.qty == 0
    # sold at 95.3: 48 lost of 50.05, the fund takes what is left after the fee of the sale
    fees = units_of("0.5005") + units_of("0.4765")
    paid = units_of("50.05") - 48 * E8 - units_of("0.4765")
    assert desk.fund_gain() == paid
    assert account.wallets["USDT"] == 10_000 * E8 - 48 * E8 - fees - paid
    executions = [e["o"]["x"] for e in desk.events["desk"] if e["e"] == "ORDER_TRADE_UPDATE"]
    assert executions[-1] == "CALCULATED"


def test_margin_bounds_what_may_be_opened_and_not_what_closes() -> None:
    desk = Desk()
    with pytest.raises(ApiError) as refused:
        desk.order(True, "2100", tif="GTC", price="100")
    assert (refused.value.code, refused.value.msg) in {
        (-4005, "Quantity greater than max quantity."), (-2019, "Margin is insufficient."),
    }  # fmt: skip
    desk.order(True, "1000")
    with pytest.raises(ApiError) as refused:
        desk.order(True, "1000")
    assert refused.value.code == -2019
    desk.order(False, "1000")
    assert desk.account().position("BTCUSDT", "BOTH").qty == 0


def test_hedge_mode_holds_both_sides() -> None:
    desk = Desk()
    desk.account().hedge = True
    with pytest.raises(ApiError) as refused:
        desk.order(True, "1")
    assert refused.value.code == -4061
    desk.order(True, "2", position_side="LONG")
    desk.order(False, "3", position_side="SHORT")
    desk.order(False, "1", position_side="LONG")
    assert desk.account().position("BTCUSDT", "LONG").qty == 1 * E8
    assert desk.account().position("BTCUSDT", "SHORT").qty == -3 * E8
    with pytest.raises(ApiError) as refused:
        desk.order(False, "2", position_side="LONG")
    assert refused.value.code == -2022

"""Liquidation step by step: margin call, smaller bracket, bankruptcy price, insurance fund, deleveraging."""

from __future__ import annotations

from typing import Any

from qtm.paper.um import adl
from qtm.paper.um.brackets import bracket_table
from qtm.paper.um.margin import asset_margin
from qtm.paper.wire import E8, units_of
from tests.paper.um.um_worlds import Desk


class Tape:
    """Remembers what the venue tells its watchers of liquidations."""

    def __init__(self, desk: Desk) -> None:
        self.kinds: list[tuple[str, int, int]] = []
        self.orders: list[Any] = []
        desk.venue.watchers.append(self)

    def liquidated(self, order: Any) -> None:
        """Keep the order."""
        self.orders.append(order)

    def handed_over(self, market: Any, trade: Any, kind: str) -> None:
        """Keep kind, price and quantity."""
        self.kinds.append((kind, trade.price, trade.qty))


def rich(desk: Desk, name: str, amount: int) -> None:
    desk.venue.deposit(desk.account(name), "USDT", amount * E8)


TWO = {"BTCUSDT": bracket_table([(20, 50_000, 1_000_000), (10, 200_000, 10_000_000)])}
"""1 % up to 50,000, then 10 % (cum 4,500)."""


def test_a_large_position_is_reduced_to_the_bracket_below_before_it_is_closed() -> None:
    desk = Desk(100, brackets=TWO)
    desk.account().setting("BTCUSDT").leverage = 10
    desk.order(True, "900")
    position = desk.account().position("BTCUSDT", "BOTH")
    desk.at("93.9")  # 9,954.955 - 5,580 = 4,374.955 left, 8,451 - 4,500 = 3,951 needed
    assert position.qty == 900 * E8
    desk.at("93.3")  # 3,834.955 left, 3,897 needed: 33,970 too much for the first bracket
    sold = 900 * E8 - position.qty
    assert sold == units_of("364.095")  # 33,970 / 93.3, up to the lot
    (order,) = [o for o in desk.account().orders.values() if o.forced]
    assert (order.request.tif, order.qty, order.status) == ("IOC", sold, "FILLED")
    total = asset_margin(desk.venue, desk.account(), "USDT")
    value = sold * units_of("93.2") // E8
    spent = value * 5 // 10_000 + value * 125 // 10_000 + sold // 10  # commission, fee, half the spread
    assert total.balance == units_of("3834.955") - spent
    assert total.cross_maintenance <= 500 * E8
    assert desk.venue.imbalance("USDT") == 0


def test_a_gap_beyond_bankruptcy_is_borne_by_the_insurance_fund() -> None:
    desk = Desk()
    tape, account = Tape(desk), desk.account()
    account.setting("BTCUSDT").leverage = 125
    desk.order(True, "1000")
    resting = desk.order(True, "10", "75")
    desk.at(80)
    # 10,000 - 50.05 of fee stand behind 100,100: bankrupt at 90.15005, on the grid 90.2
    assert tape.kinds == [("INSURANCE_FUND", units_of("90.2"), 1000 * E8)]
    assert account.wallets["USDT"] == 0
    assert resting.status == "EXPIRED"
    assert resting.expiry == 5
    assert account.position("BTCUSDT", "BOTH").qty == 0
    assert desk.venue.fund.position("BTCUSDT").qty == 0  # traded out at 79.9
    assert desk.fund_gain() == -1000 * units_of("10.3") + units_of("49.95")
    assert sum(i.amount for i in account.income) == 0
    assert desk.venue.imbalance("USDT") == 0


def test_the_fund_keeps_what_the_book_does_not_take_until_there_is_depth() -> None:
    desk = Desk()
    desk.account().setting("BTCUSDT").leverage = 125
    desk.order(True, "1000")
    desk.at(80, depth=100)
    assert desk.venue.fund.position("BTCUSDT").qty == 900 * E8
    desk.at(85, depth=2000)
    assert desk.venue.fund.position("BTCUSDT").qty == 0
    assert desk.fund_gain() < 0
    assert desk.venue.imbalance("USDT") == 0


def test_an_empty_fund_deleverages_the_best_placed_opposite_at_the_bankruptcy_price() -> None:
    desk = Desk(100, "long", "modest", "greedy", insurance=0)
    tape = Tape(desk)
    desk.account("long").setting("BTCUSDT").leverage = 125
    desk.order(True, "1000", name="long")
    rich(desk, "modest", 90_000)
    desk.order(False, "600", name="modest")
    desk.at(100)
    desk.order(False, "600", name="greedy")
    assert adl.quantile(desk.venue, desk.account("greedy"), desk.account("greedy").held("BTCUSDT")[0]) == 2
    desk.at(80)
    assert tape.kinds == [("ADL", units_of("90.2"), 1000 * E8)]
    assert desk.account("greedy").held("BTCUSDT") == []
    assert desk.account("modest").position("BTCUSDT", "BOTH").qty == -200 * E8
    closed = [t for t in desk.account("greedy").trades if t.buy]
    assert [(t.price, t.fee) for t in closed] == [(units_of("90.2"), 0)]
    updates = [e["o"] for e in desk.events["greedy"] if e["e"] == "ORDER_TRADE_UPDATE"]
    assert (updates[-1]["c"], updates[-1]["x"], updates[-1]["X"]) == ("adl_autoclose", "CALCULATED", "FILLED")
    assert desk.account("long").wallets["USDT"] == 0
    assert desk.fund_gain() >= 0
    assert desk.venue.imbalance("USDT") == 0


def test_an_isolated_position_is_reduced_with_its_own_wallet_only() -> None:
    desk = Desk(100, brackets=TWO)
    account = desk.account()
    account.setting("BTCUSDT").isolated = True
    account.setting("BTCUSDT").leverage = 10
    desk.order(True, "900")
    position = account.position("BTCUSDT", "BOTH")
    assert position.isolated_wallet == 9_009 * E8
    outside = account.wallets["USDT"] - position.isolated_wallet
    desk.at("94.2")  # 9,009 - 5,310 = 3,699 left, 3,978 needed
    assert abs(position.notional(units_of("94.2"))) <= 50_000 * E8
    assert position.qty > 500 * E8
    assert account.wallets["USDT"] - position.isolated_wallet == outside
    desk.at("80")
    assert position.qty == 0
    assert account.wallets["USDT"] == outside
    assert desk.venue.imbalance("USDT") == 0


def test_a_margin_call_comes_once_until_the_account_is_safe_again() -> None:
    desk = Desk()
    desk.account().setting("BTCUSDT").leverage = 125
    desk.order(True, "1000")

    def calls() -> list[Any]:
        return [e for e in desk.events["desk"] if e["e"] == "MARGIN_CALL"]

    desk.at("90.7")  # 9,949.95 - 9,400 = 549.95 left, 362.8 needed
    assert calls() == []
    desk.at("90.6")  # 449.95 left, 362.4 needed: 80.5 %
    desk.at("90.59")
    (call,) = calls()
    assert set(call) == {"e", "E", "cw", "p"}
    assert call["p"][0]["mt"] == "CROSSED"
    assert (call["p"][0]["pa"], call["p"][0]["mm"]) == ("1000.000", "362.40000000")
    desk.at(95)
    desk.at("90.6")
    assert len(calls()) == 2

"""Isolated margin on an account of several perpetuals, against ledgers computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from qtm.backtest.account.engine import run_account
from qtm.backtest.account.result import AccountResult
from qtm.backtest.account.seats import Seat
from qtm.backtest.account.terms import Conditions
from qtm.backtest.funding import FundingRates
from qtm.market.instruments import Market
from qtm.trading.book import SIZE_BY_UNITS, Sizing
from qtm.trading.costs import FEE_IN_QUOTE, CostModel
from qtm.trading.margin import Margin, MarginMode
from tests.backtest.account.markets import FREE, KEEP, panel
from tests.backtest.scripted import START_MS, guarded, scripted

CALM, HALF = (100, 100, 100, 100, KEEP), (50, 50, 50, 50, KEEP)
TEN = Margin(10.0, 0.05, 0.01)
"""Leverage 10, 5 % maintenance, 1 % liquidation fee."""


def run(rows, *seats: Seat, cash: float = 1_000.0, terms: Margin = TEN, **more) -> AccountResult:  # type: ignore[no-untyped-def]
    funding = more.pop("funding", None)
    conditions = Conditions(
        cash, margin={f"um:{name}": terms for name in rows},
        **{"costs": FREE, "margin_mode": MarginMode.ISOLATED, **more},
    )  # fmt: skip
    return run_account(seats or (seat(),), panel(rows, Market.UM, funding=funding), conditions)


def seat(strategy=scripted, *, share: float = 1.0, **params: float) -> Seat:  # type: ignore[no-untyped-def]
    return Seat(strategy, params, share=share, sizing=Sizing(SIZE_BY_UNITS, 1.0))


def test_a_liquidation_takes_the_positions_wallet_and_leaves_the_others_untouched() -> None:
    rows = {
        "AUSDT": [(100, 100, 20), CALM, (100, 100, 60, 80, KEEP), (80, 80, KEEP)],
        "BUSDT": [(50, 50, -40), HALF, (50, 60, 50, 55, KEEP), (55, 55, KEEP)],
    }
    result = run(rows)
    # Each position of 2000 has a wallet of 200. A dies at 200 + 20 (p - 100) = 0.05 x 20 p: p = 1800 / 19;
    # what is left is its maintenance, 5 % of 20 p, of which the fee takes 1 % of 20 p.
    # B dies at 200 + 40 (50 - p) = 0.05 x 40 p: p = 2200 / 42 = 52.38, met on the way to 60.
    assert result.orders["symbol"].to_list()[2:] == ["AUSDT", "BUSDT"]
    assert result.orders["cause"].to_list()[2:] == ["liquidation"] * 2
    assert result.order_rows["fill_price"].tolist()[2:] == pytest.approx([1_800 / 19, 2_200 / 42], rel=1e-12)
    left = 0.04 * (20 * 1_800 / 19) + 0.04 * (40 * 2_200 / 42)
    assert result.equity[-1] == pytest.approx(600.0 + left, abs=1e-9)
    assert result.insured == 0.0

    rows["BUSDT"][2:] = [(50, 51, 50, 51, KEEP), (51, 51, KEEP)]
    saved = run(rows)
    # On cross margin A at 60 would have taken B along: 1000 - 800 - 40 against 5 % of 1200 + 2040.
    assert saved.legs["qty"].tolist() == [0.0, -40.0]
    assert saved.equity[2] == pytest.approx(800.0 + 0.04 * (20 * 1_800 / 19) - 40.0, abs=1e-9)


def test_a_gap_beyond_bankruptcy_costs_the_wallet_and_the_insurance_fund_the_rest() -> None:
    rows = {
        "AUSDT": [(100, 100, 20), CALM, (30, 30, KEEP), (30, 30, KEEP)],
        "BUSDT": [(50, 50, 20), HALF, HALF, HALF],
    }
    result = run(rows)
    # 20 x 70 = 1400 are lost at the open; the wallet pays 200.
    assert result.order_rows["fill_price"][-1] == 30.0
    assert (result.equity[-1], result.insured) == (pytest.approx(800.0), pytest.approx(1_200.0))
    assert result.legs["qty"].tolist() == [0.0, 20.0]


def test_a_short_dies_by_the_bracket_its_size_has_grown_into() -> None:
    table = np.array([[0.0, 0.01, 0.0, 20.0], [1_000.0, 0.05, 40.0, 10.0]])
    rows = {"AUSDT": [(90, 90, -10), (90, 90, 90, 90, KEEP), (90, 104, 90, 104, KEEP)], "BUSDT": [HALF] * 3}
    result = run(rows, terms=Margin(20.0, brackets=table, liquidation_fee=0.0))
    # 900 at leverage 20 is a wallet of 45; 45 + 900 - 10 p meets 0.1 p at 93.56, in the first bracket
    assert result.order_rows["fill_price"][-1] == pytest.approx(945 / 10.1, rel=1e-12)
    assert result.equity[-1] == pytest.approx(955.0 + 0.1 * 945 / 10.1, abs=1e-9)
    rows["AUSDT"][0] = (90, 90, -12)
    # 1080 is beyond the first bracket: leverage 10, a wallet of 108; 1188 - 12 p meets 0.6 p - 40 at 97.46
    later = run(rows, terms=Margin(20.0, brackets=table, liquidation_fee=0.0))
    assert later.order_rows["fill_price"][-1] == pytest.approx(1_228 / 12.6, rel=1e-12)


def test_funding_is_paid_from_the_wallet_and_brings_the_end_nearer() -> None:
    eight_hours = START_MS + np.arange(2, dtype=np.int64) * 8 * 3_600_000
    funding = {
        name: FundingRates(eight_hours, np.array([0.0, rate]), np.full(2, 8))
        for name, rate in (("AUSDT", 0.02), ("BUSDT", -0.01))
    }
    rows = {
        "AUSDT": [(100, 100, 20), *[CALM] * 8, (100, 100, 90, 95, KEEP)],
        "BUSDT": [(50, 50, 20), *[HALF] * 9],
    }
    result = run(rows, funding=funding)
    # 40 of A's 200 are gone: 160 + 20 (p - 100) = p, p = 1840 / 19 = 96.84. B received 10.
    assert result.orders["cause"].to_list()[-1] == "liquidation"
    assert result.order_rows["fill_price"][-1] == pytest.approx(1_840 / 19, rel=1e-12)
    assert result.equity[-1] == pytest.approx(800.0 + 10.0 + 0.04 * 20 * 1_840 / 19, abs=1e-9)
    assert result.legs["funding_paid"].tolist() == pytest.approx([40.0, -10.0])


def test_closing_a_part_frees_its_part_of_the_wallet_and_adding_brings_new_margin() -> None:
    # 20 at 100 (wallet 200), half closed at 110 (wallet 100, profit 100 is free), 10 more at 120 (wallet 220,
    # cost 1000 + 1200): 220 + 20 p - 2200 = p at 1980 / 19 = 104.21.
    rows = {
        "AUSDT": [
            (100, 100, 20), (100, 110, 10), (110, 120, 20), (120, 120, KEEP), (120, 120, 100, 101, KEEP),
        ],
        "BUSDT": [HALF] * 5,
    }  # fmt: skip
    result = run(rows)
    assert result.order_rows["fill_price"].tolist() == pytest.approx([100, 110, 120, 1_980 / 19], rel=1e-12)
    assert result.equity[-1] == pytest.approx(1_000.0 + 100.0 - 220.0 + 0.04 * 20 * 1_980 / 19, abs=1e-9)


def test_what_wallets_hold_opens_no_other_position_and_a_profit_does_not_until_it_is_realised() -> None:
    # A needs 750 of 1000 at leverage 2; its profit of 300 stays with it, so the 250 left carry 500 of B.
    rows = {
        "AUSDT": [(100, 100, 15), (100, 120, KEEP), (120, 120, KEEP), (120, 120, KEEP), (120, 120, KEEP)],
        "BUSDT": [(50, 50, KEEP), (50, 50, 11), (50, 50, 10), HALF, HALF],
    }
    result = run(rows, terms=Margin(2.0, 0.05, 0.0))
    assert result.orders.select("symbol", "qty", "status").rows() == [
        ("AUSDT", 15.0, "FILLED"), ("BUSDT", 11.0, "REJECTED"), ("BUSDT", 10.0, "FILLED"),
    ]  # fmt: skip
    shared = run(rows, terms=Margin(2.0, 0.05, 0.0), margin_mode=MarginMode.CROSS)
    assert shared.orders["status"].to_list() == ["FILLED"] * 3  # 1300 less 1800 / 2 carries 550 / 2


def test_turning_round_needs_only_the_margin_beyond_what_the_old_side_sets_free() -> None:
    # 90 at 100 and leverage 10 is a wallet of 900; -90 takes over the same 900.
    rows = {"AUSDT": [(100, 100, 90), (100, 100, -90), CALM, (100, 110, 100, 105, KEEP)], "BUSDT": [HALF] * 4}
    result = run(rows)
    assert result.orders["cause"].to_list() == ["target", "target", "liquidation"]
    # 900 + 90 (100 - p) = 4.5 p
    assert result.order_rows["fill_price"][-1] == pytest.approx(9_900 / 94.5, rel=1e-12)


def test_a_stop_before_the_end_saves_a_position_and_one_behind_it_does_not() -> None:
    rows = {"AUSDT": [(100, 100, 20), CALM, (100, 100, 60, 80, KEEP), (80, 80, KEEP)], "BUSDT": [HALF] * 4}
    for distance, cause, price in ((5.0, "stop", 95.0), (6.0, "liquidation", 1_800 / 19)):
        result = run(rows, seat(guarded, stop=distance))
        assert result.orders["cause"].to_list()[-1] == cause
        assert result.order_rows["fill_price"][-1] == pytest.approx(price, rel=1e-12)
    rows["AUSDT"][2] = (90, 90, 90, 90, KEEP)  # the open has jumped past both: the venue is first
    assert run(rows, seat(guarded, stop=5.0)).orders["cause"].to_list()[-1] == "liquidation"


def test_strategies_share_one_wallet_of_their_net_position() -> None:
    # +30 and -10 are +20 at the venue with a wallet of 200; at 1800 / 19 all legs end, the fee is shared by
    # size, and what crossed has no end of its own.
    rows = {"AUSDT": [(100, 100, 10), CALM, (100, 100, 60, 80, KEEP)], "BUSDT": [HALF] * 3}
    result = run(rows, seat(share=0.5, scale=3.0), seat(share=0.5, scale=-1.0), cash=2_000.0)
    price = 1_800 / 19
    rows_of = result.order_rows[-2:]
    assert rows_of["fill_price"].tolist() == pytest.approx([price, price], rel=1e-12)
    assert rows_of["fee"].tolist() == pytest.approx([0.75 * 0.2 * price, 0.25 * 0.2 * price], abs=1e-8)
    assert result.equity[-1] == pytest.approx(1_800.0 + 0.04 * 20 * price, abs=1e-9)


def test_no_position_brings_in_more_margin_than_there_is_free_cash() -> None:
    # 99 x 100 / 10 = 990 of 1000 are affordable at the close; at 101 a fee of 9.999 leaves 990.001.
    rows = {"AUSDT": [(100, 100, 99), (101, 101, KEEP), (101, 101, 60, 61, KEEP)], "BUSDT": [HALF] * 3}
    result = run(rows, costs=CostModel(0.0, 0.001, 0.0, FEE_IN_QUOTE))
    # wallet 990.001: 990.001 + 99 (p - 101) = 4.95 p
    assert result.order_rows["fill_price"][-1] == pytest.approx((9_999 - 990.001) / 94.05, rel=1e-9)

"""Account runs against ledgers computed by hand, to the last unit."""

from __future__ import annotations

import numpy as np
import pytest

from qtm.backtest.account.engine import run_account
from qtm.backtest.account.seats import Seat
from qtm.backtest.account.terms import DAY_MS, Conditions
from qtm.backtest.funding import FundingRates
from qtm.errors import ConfigError
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.risk.rules import HALTED, REDUCING, GateLimits
from qtm.trading.book import SIZE_BY_UNITS, Sizing
from qtm.trading.costs import FEE_IN_QUOTE, FEE_IN_RECEIVED_ASSET, CostModel
from qtm.trading.margin import Margin
from tests.backtest.account.markets import FREE, KEEP, panel
from tests.backtest.scripted import START_MS, guarded, scripted

ONE_UNIT = Sizing(SIZE_BY_UNITS, 1.0)
WHOLE = Sizing(amount=1.0)
FLAT = [(100, 100, KEEP)] * 2
WIDE = GateLimits(1e9, 1e9, 0.5, 0.9, 0.9, 100.0, 10_000.0, 5_000.0)


def run(rows, *, market=Market.SPOT, seats=None, cash=1_000.0, sizing=ONE_UNIT, strategy=scripted, **more):  # type: ignore[no-untyped-def]
    funding, interval = more.pop("funding", None), more.pop("interval", Interval.H1)
    conditions = Conditions(cash, **{"costs": FREE, **more})
    return run_account(
        seats or [Seat(strategy, sizing=sizing)],
        panel(rows, market, funding=funding, interval=interval),
        conditions,
    )


def outcomes(result):  # type: ignore[no-untyped-def]
    return result.orders.select("symbol", "side", "qty", "filled_qty", "status").rows()


def test_cash_goes_to_the_first_symbol_and_the_rest_of_the_round_goes_without() -> None:
    rows = {"AUSDT": [(100, 100, 1), *FLAT], "BUSDT": [(50, 50, 1), *FLAT]}
    result = run(rows, sizing=WHOLE)
    # A: 10 wanted, 1000 covers 9.900 at the limit of 101; that reserves 999.90 and leaves 0.10 for B.
    assert outcomes(result) == [("AUSDT", "BUY", 9.9, 9.9, "FILLED")]
    assert result.purses.tolist() == [[10.0, 0.0]]


def test_what_a_sale_brings_in_is_spent_on_a_purchase_at_the_same_open() -> None:
    a = [(100, 100, 5), (100, 100, 0), (100, 100, KEEP), (100, 100, KEEP)]
    b = [(50, 50, 0), (50, 50, 10), (50, 50, KEEP), (50, 50, KEEP)]
    result = run({"AUSDT": a, "BUSDT": b}, cash=505.0)
    # 5 at 100 leave 5; the sale is worth 495 at its limit of 99, so B may cost 500 at its limit of 50.50.
    assert outcomes(result) == [
        ("AUSDT", "BUY", 5.0, 5.0, "FILLED"),
        ("AUSDT", "SELL", 5.0, 5.0, "FILLED"),
        ("BUSDT", "BUY", 9.9, 9.9, "FILLED"),
    ]
    assert result.purses[0, 0] == 505.0 - 500.0 + 500.0 - 495.0


def test_a_purchase_is_cut_or_dropped_when_the_sale_it_counted_on_expires() -> None:
    a = [(100, 100, 5), (100, 100, 0), (90, 90, KEEP), (90, 90, KEEP)]
    b = [(50, 50, 0), (50, 50, 5), (50, 50, KEEP), (50, 50, KEEP)]
    dropped = run({"AUSDT": a, "BUSDT": b}, cash=505.0)
    # A opens at 90, below its limit of 99: no sale, and the 5 left buy no lot worth the venue's 5 at 50.50.
    assert outcomes(dropped)[1:3] == [
        ("AUSDT", "SELL", 5.0, 0.0, "EXPIRED"),
        ("BUSDT", "BUY", 5.0, 0.0, "UNFUNDED"),
    ]
    cut = run({"AUSDT": a, "BUSDT": b}, cash=555.0)
    # 55 cover 1.089 at 50.50
    assert outcomes(cut)[2] == ("BUSDT", "BUY", 5.0, 1.089, "PARTIAL")
    assert outcomes(cut)[3] == ("AUSDT", "SELL", 5.0, 5.0, "FILLED")  # tried again at the next close
    assert cut.purses[0, 0] == pytest.approx(555.0 - 500.0 - 1.089 * 50.0 + 450.0, abs=1e-12)


def test_two_strategies_cross_and_only_the_net_goes_to_the_venue() -> None:
    costs = CostModel(0.0, 0.001, 0.0, FEE_IN_QUOTE)
    seats = [
        Seat(scripted, {"scale": 3.0}, share=0.5, sizing=ONE_UNIT),
        Seat(scripted, {"scale": -1.0}, share=0.5, sizing=ONE_UNIT),
    ]
    rows = {"AUSDT": [(100, 100, 1), (100, 110, KEEP), (110, 110, 0), (110, 110, KEEP)]}
    result = run(rows, market=Market.UM, seats=seats, cash=10_000.0, costs=costs)
    first, second, third, fourth = result.order_rows
    # buys 3 and sells 1: 1 crosses for nothing, 2 are bought at 100 for 0.20, all of it the buyer's
    assert (first["filled_lots"], first["crossed_lots"], first["fee"]) == (3_000.0, 1_000.0, 0.2)
    assert (second["filled_lots"], second["crossed_lots"], second["fee"]) == (-1_000.0, 1_000.0, 0.0)
    assert (third["fee"], fourth["fee"]) == (0.22, 0.0)
    assert result.sleeves[-1].tolist() == pytest.approx([5_000.0 + 30.0 - 0.42, 5_000.0 - 10.0], abs=1e-9)
    assert result.equity[-1] == pytest.approx(10_000.0 + 20.0 - 0.42, abs=1e-9)


def test_strategies_that_want_the_opposite_trade_with_each_other_at_the_open_for_nothing() -> None:
    costs = CostModel(0.001, 0.001, 5.0, FEE_IN_QUOTE)
    seats = [Seat(scripted, {"scale": s}, share=0.5, sizing=ONE_UNIT) for s in (1.0, -1.0)]
    result = run({"AUSDT": [(100, 100, 2), *FLAT]}, market=Market.UM, seats=seats, cash=10_000.0, costs=costs)
    assert result.order_rows["fill_price"].tolist() == [100.0, 100.0]
    assert result.order_rows["fee"].tolist() == [0.0, 0.0]
    assert result.legs["qty"].tolist() == [2.0, -2.0]


def test_a_net_order_that_expires_leaves_every_strategy_where_it_was() -> None:
    seats = [Seat(scripted, {"scale": s}, share=0.5, sizing=ONE_UNIT) for s in (3.0, -1.0)]
    rows = {"AUSDT": [(100, 100, 1), (103, 103, KEEP), (103, 103, KEEP)]}
    result = run(rows, market=Market.UM, seats=seats, cash=10_000.0)
    assert result.orders["status"].to_list() == ["EXPIRED", "EXPIRED", "FILLED", "FILLED"]
    assert result.order_rows["fill_price"].tolist()[2:] == [103.0, 103.0]


def test_a_bounded_fill_is_shared_in_whole_lots_by_the_largest_remainder_and_its_fee_to_the_last_unit() -> (
    None
):
    # The script is the volume column; 0.007 of participation in a bar of volume 999 ("no change") is 6.993.
    costs = CostModel(0.0, 0.000333, 0.0, FEE_IN_QUOTE, participation=0.007)
    seats = [Seat(scripted, {"scale": s}, share=0.3, sizing=ONE_UNIT) for s in (1.0, 3.0, 4.0)]
    result = run({"AUSDT": [(100, 100, 1), *FLAT]}, seats=seats, cash=100_000.0, costs=costs)
    # 8.000 wanted, 6.993 lots filled: 874.125, 2622.375, 3496.5 -> the largest remainder gets the lot
    first = result.order_rows[:3]
    assert first["filled_lots"].tolist() == [874.0, 2_622.0, 3_497.0]
    assert result.orders["status"].to_list()[:3] == ["PARTIAL"] * 3
    whole = np.floor(699.3 * 0.000333 * 1e8 + 1e-6)
    assert round(float(first["fee"].sum()) * 1e8) == whole


def test_spot_fees_of_a_shared_fill_are_taken_from_the_coins_each_strategy_gets() -> None:
    costs = CostModel(0.001, 0.001, 0.0, FEE_IN_RECEIVED_ASSET)
    seats = [Seat(scripted, {"scale": s}, share=0.5, sizing=ONE_UNIT) for s in (1.0, 2.0)]
    result = run({"AUSDT": [(100, 100, 1), *FLAT]}, seats=seats, cash=10_000.0, costs=costs)
    assert result.legs["qty"].tolist() == [0.999, 1.998]
    assert result.purses[:, 0].tolist() == [4_900.0, 4_800.0]


def test_the_firms_limit_refuses_the_net_and_what_shrinks_the_position_is_sent_alone() -> None:
    limits = WIDE._replace(max_position_value=450.0)
    seats = [Seat(scripted, {"scale": s}, share=0.5, sizing=ONE_UNIT) for s in (4.0, 2.0)]
    rows = {"AUSDT": [(100, 100, 1), *FLAT]}
    result = run(rows, market=Market.UM, seats=seats, cash=10_000.0, limits=limits)
    # Each order of 400 and 200 is allowed to its strategy, the net of 600 is not to the firm.
    assert result.orders.select("status", "control").rows() == [("REFUSED", "PT-07")] * 2
    alone = run(rows, market=Market.UM, seats=seats[:1], cash=10_000.0, limits=limits)
    assert alone.orders["status"].to_list() == ["FILLED"]


def test_each_position_leaves_in_parts_under_its_own_order_limit_and_what_it_brings_in_is_spent() -> None:
    limits = WIDE._replace(max_order_value=250.0)
    a = [(40, 40, 5), (40, 100, 0), (100, 100, KEEP), (100, 100, KEEP), (100, 100, KEEP)]
    b = [(50, 50, 0), (50, 50, 4), (50, 50, KEEP), (50, 50, KEEP), (50, 50, KEEP)]
    result = run({"AUSDT": a, "BUSDT": b}, cash=202.0, limits=limits)
    # 250 / 99 lets 2.525 of A leave, worth 249.975 at the limit; with the 2 left that covers 4 of B at 50.50.
    assert outcomes(result) == [
        ("AUSDT", "BUY", 5.0, 5.0, "FILLED"),
        ("AUSDT", "SELL", 2.525, 2.525, "FILLED"),
        ("BUSDT", "BUY", 4.0, 4.0, "FILLED"),
        ("AUSDT", "SELL", 2.475, 2.475, "FILLED"),
    ]
    assert result.purses[0, 0] == pytest.approx(2.0 + 252.5 - 200.0 + 247.5, abs=1e-12)


def test_a_net_that_leads_out_is_cut_to_the_firms_largest_order_and_shared_by_the_strategies() -> None:
    limits = WIDE._replace(max_order_value=450.0)
    seats = [Seat(scripted, {"scale": s}, share=0.5, sizing=ONE_UNIT) for s in (4.0, 2.0)]
    # Entries of 160 and 80 make a net of 240; at 100 exits of 400 and 200 a net of 600, above 450: 4.545 lots
    # at the limit of 99 leave at first, two thirds of them (3.030) the larger strategy's.
    rows = {"AUSDT": [(40, 40, 1), (40, 100, 0), (100, 100, KEEP), (100, 100, KEEP), (100, 100, KEEP)]}
    result = run(rows, market=Market.UM, seats=seats, cash=10_000.0, limits=limits)
    sold = result.orders.filter(result.orders["side"] == "SELL")
    assert sold.select("bar", "lots", "status").rows() == [
        (1, 3_030.0, "FILLED"), (1, 1_515.0, "FILLED"), (2, 970.0, "FILLED"), (2, 485.0, "FILLED"),
    ]  # fmt: skip
    assert result.legs["qty"].tolist() == [0.0, 0.0]
    assert result.equity[-1] == 10_000.0 + 6 * 60.0


@pytest.mark.parametrize(("state", "left"), [(REDUCING, 0.0), (HALTED, 5.0)])
def test_above_its_loss_limit_a_strategy_reduces_or_halts_alone(state: int, left: float) -> None:
    limits = WIDE._replace(max_drawdown=0.1, at_loss_limit=float(state))
    seats = [
        Seat(scripted, share=0.5, symbols=("AUSDT",), sizing=ONE_UNIT),
        Seat(scripted, share=0.5, symbols=("BUSDT",), sizing=ONE_UNIT),
    ]
    a = [(100, 100, 5), (100, 79, KEEP), (79, 79, 0), (79, 79, 1), (79, 79, KEEP)]
    b = [(100, 100, 0), (100, 100, KEEP), (100, 100, 3), (100, 100, KEEP), (100, 100, KEEP)]
    # Each strategy has 1000; the first loses 105 of them, the account 105 of 2000.
    result = run({"AUSDT": a, "BUSDT": b}, seats=seats, cash=2_000.0, limits=limits)
    assert result.legs["qty"].tolist() == [left, 3.0]
    assert [limit.passed_ms for _, limit in result.loss_limits] == [START_MS + 2 * 3_600_000, 0]
    assert result.limit_notes == [
        "scripted: halted since 2024-01-01T02:00:00Z by PT-09 (loss limit)"
        if state == HALTED
        else "scripted: loss limit (PT-09) passed at 2024-01-01T02:00:00Z: only shrinking orders "
        "while above it"
    ]


def test_a_symbol_without_a_bar_cannot_trade_and_its_order_waits_for_its_next_open() -> None:
    a = [(100, 100, 1), None, (101, 101, KEEP), (101, 101, KEEP)]
    b = [(50, 50, KEEP)] * 4
    result = run({"AUSDT": a, "BUSDT": b})
    assert result.order_rows["bar"].tolist() == [1] and result.order_rows["fill_price"].tolist() == [101.0]
    assert result.equity.tolist() == [1_000.0] * 4


def test_a_coin_that_died_is_closed_at_its_last_price_less_the_haircut_and_is_new_when_it_returns() -> None:
    days = 12
    dead = [(100, 100, 4), (100, 20, KEEP), *[None] * 9, (9, 9, KEEP)]
    alive = [(50, 50, KEEP)] * days
    result = run({"DEADUSDT": dead, "LIVEUSDT": alive}, interval=Interval.D1, haircut=0.25)
    # bought 4 at 100; last seen on day 1 at 20; more than 7 days later, on day 9, sold at 15
    (bought, closed) = result.orders.select("bar", "cause", "filled_qty", "fill_price").rows()
    assert bought == (0, "target", 4.0, 100.0) and closed == (8, "delisting", 4.0, 15.0)
    assert result.equity.tolist() == [1_000.0, 680.0, *[680.0] * 7, *[660.0] * 3]
    assert result.by_asset.filter(symbol="DEADUSDT")["delisting"].to_list() == [20.0]
    assert result.lineage.write_off_days == 7.0 and result.lineage.haircut == 0.25


def test_a_short_in_a_dead_perpetual_pays_the_haircut_on_top() -> None:
    dead = [(100, 100, -1), (100, 50, KEEP), *[None] * 9]
    rows = {"DEADUSDT": dead, "LIVEUSDT": [(50, 50, KEEP)] * 11}
    result = run(rows, market=Market.UM, interval=Interval.D1, haircut=0.2, write_off_ms=3 * DAY_MS)
    assert result.order_rows["fill_price"].tolist() == [100.0, 60.0] and result.equity[-1] == 1_040.0


def every_eight_hours(count: int, rate: float) -> FundingRates:
    times = START_MS + np.arange(count, dtype=np.int64) * 8 * 3_600_000
    return FundingRates(times, np.full(count, rate), np.full(count, 8))


def test_each_perpetual_pays_its_own_funding_from_the_common_margin() -> None:
    rows = {
        "AUSDT": [(100, 100, 2), *[(100, 100, KEEP)] * 17],
        "BUSDT": [(50, 50, -2), *[(50, 50, KEEP)] * 17],
    }
    funding = {"AUSDT": every_eight_hours(3, 0.001), "BUSDT": every_eight_hours(3, 0.002)}
    result = run(rows, market=Market.UM, funding=funding)
    # at 08:00 and 16:00 the long pays 200 x 0.001, the short receives 100 x 0.002
    assert result.legs["funding_paid"].tolist() == pytest.approx([0.4, -0.4], abs=1e-12)
    assert result.equity[-1] == pytest.approx(1_000.0, abs=1e-12)


def test_margin_in_use_by_one_perpetual_is_not_there_for_the_other() -> None:
    margins = {f"um:{name}": Margin(2.0, 0.05, 0.0) for name in ("AUSDT", "BUSDT")}
    rows = {"AUSDT": [(100, 100, 15), *FLAT], "BUSDT": [(50, 50, 15), *FLAT]}
    result = run(rows, market=Market.UM, margin=margins)
    # A needs 1500 / 2 = 750 of 1000; the 250 left carry 500 of B, not 750
    assert outcomes(result) == [
        ("BUSDT", "BUY", 15.0, 0.0, "REJECTED"),
        ("AUSDT", "BUY", 15.0, 15.0, "FILLED"),
    ]


def test_cross_margin_is_liquidated_where_the_journey_meets_the_maintenance_margin() -> None:
    margins = {f"um:{name}": Margin(10.0, 0.05, 0.01) for name in ("AUSDT", "BUSDT")}
    rows = {
        "AUSDT": [(100, 100, 20), (100, 100, 100, 100, KEEP), (100, 100, 60, 80, KEEP)],
        "BUSDT": [(50, 50, -40), (50, 50, 50, 50, KEEP), (50, 60, 50, 55, KEEP)],
    }
    result = run(rows, market=Market.UM, margin=margins)
    # Long 20 A, short 40 B, cash 1000 - 2000 + 2000 = 1000. After the share w of the journey A is at
    # 100 - 40w and B at 50 + 10w: equity 1000 - 1200w, maintenance 0.05 (2000 - 800w + 2000 + 400w).
    way = (1_000.0 - 200.0) / (1_200.0 - 20.0)
    a, b = 100.0 - 40.0 * way, 50.0 + 10.0 * way
    liquidated = result.order_rows[2:]
    assert result.orders["cause"].to_list()[2:] == ["liquidation", "liquidation"]
    assert liquidated["fill_price"].tolist() == pytest.approx([a, b], rel=1e-12)
    fees = 0.01 * (20.0 * a + 40.0 * b)
    assert result.equity[-1] == pytest.approx(1_000.0 - 1_200.0 * way - fees, abs=1e-6)
    assert result.insured == 0.0 and result.legs["qty"].tolist() == [0.0, 0.0]


def test_a_gap_beyond_ruin_leaves_nothing_and_the_insurance_fund_pays_the_debt() -> None:
    margins = {f"um:{name}": Margin(10.0, 0.05, 0.01) for name in ("AUSDT", "BUSDT")}
    rows = {
        "AUSDT": [(100, 100, 20), (100, 100, KEEP), (30, 30, KEEP)],
        "BUSDT": [(50, 50, 20), (50, 50, KEEP), (50, 50, KEEP)],
    }
    result = run(rows, market=Market.UM, margin=margins)
    # 1000 - 20 x 70 = -400 at the open
    assert result.equity[-1] == 0.0 and result.insured == pytest.approx(400.0)


def test_a_stop_met_before_ruin_saves_the_account() -> None:
    margins = {f"um:{name}": Margin(10.0, 0.05, 0.01) for name in ("AUSDT", "BUSDT")}
    rows = {
        "AUSDT": [(100, 100, 20), (100, 100, KEEP), (100, 100, 60, 80, KEEP)],
        "BUSDT": [(50, 50, 10), (50, 50, KEEP), (50, 50, 49, 50, KEEP)],
    }
    saved = run(
        rows, market=Market.UM, margin=margins, seats=[Seat(guarded, {"stop": 10.0}, sizing=ONE_UNIT)]
    )
    assert saved.orders["cause"].to_list()[2:] == ["stop"]
    assert saved.order_rows["fill_price"][-1] == 90.0 and saved.equity[-1] == 800.0


def test_shares_beyond_the_account_and_unknown_symbols_are_refused() -> None:
    with pytest.raises(ConfigError, match="sum to at most 1"):
        run({"AUSDT": FLAT}, seats=[Seat(scripted, share=0.7), Seat(scripted, share=0.7)])
    with pytest.raises(ConfigError, match="not on the account"):
        run({"AUSDT": FLAT}, seats=[Seat(scripted, symbols=("ZUSDT",))])

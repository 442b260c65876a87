"""Money to the last unit: fees, locks, filters, margin by brackets, funding, liquidation, the gate."""

from __future__ import annotations

import numpy as np
import pytest

from qtm.backtest.funding import FundingRates
from qtm.backtest.tape.events import tape_of_bars
from qtm.backtest.tape.rules import Latency
from qtm.errors import ConfigError, DataError
from qtm.market.bars import BarSeries
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.risk.rules import GateLimits
from qtm.trading.costs import FEE_IN_BNB, FEE_IN_RECEIVED_ASSET, CostModel
from qtm.trading.desk import IOC, MARKET
from qtm.trading.margin import Margin
from tests.backtest.scripted import instrument
from tests.backtest.tape.scripted import (
    START_NS,
    buy,
    ended,
    filled,
    ns,
    run,
    sell,
)

E8 = 10**8
TAKE = {"kind": MARKET, "time_in_force": IOC}
QUIET = [(at, "B", 10_000, 500) for at in range(1, 8)]


def test_a_spot_buy_pays_its_fee_in_base_and_a_sell_in_quote_truncated_to_the_last_unit() -> None:
    costs = CostModel(0.001, 0.00075, 0.0, FEE_IN_RECEIVED_ASSET)
    rows = [(1, "B", 10_001, 500), (2, "B", 10_001, 500), (3, "B", 10_003, 5), (4, "B", 10_003, 5)]
    result = run(rows, [buy(1, 1, 7, **TAKE), sell(2, 2, 6, 10_002)], costs=costs, market=Market.SPOT)
    # bought 0.007: 0.00000525 of it is the fee; sold 0.006 resting at 100.02 as maker
    bought, sold = 700_000 - 525, 600_000
    value = 6 * 10_002 * 1_000  # 0.60012 in units
    paid = 7 * 10_001 * 1_000
    fee = value // 1_000
    # the print of 5 lots fills 5 and the next one the sixth
    first, second = 5 * 10_002 * 1_000, 1 * 10_002 * 1_000
    fee = first // 1_000 + second // 1_000
    assert result.books["cash"] == 10_000 * E8 - paid + value - fee
    assert result.books["base"] == bought - sold
    assert result.books["locked_quote"] == result.books["locked_lots"] == 0


def test_a_fee_in_bnb_is_truncated_to_a_unit_of_bnb_and_booked_at_its_price() -> None:
    costs = CostModel(0.00075, 0.00075, 0.0, FEE_IN_BNB, bnb_price=612.34)
    result = run(QUIET, [buy(1, 1, 33, **TAKE)], costs=costs, market=Market.SPOT)
    # 3.30 * 0.00075 = 0.002475 USDT = 0.0000040418...  BNB -> 404 units -> 0.00247385(36)
    assert result.books["base"] == 33 * 100_000
    assert result.books["fees"] == 404 * 61_234_000_000 // E8
    assert result.books["cash"] == 10_000 * E8 - 33 * 10_000_000 - 247_385


def test_the_value_of_a_fill_is_truncated_where_a_lot_at_a_tick_is_below_a_unit() -> None:
    filters = {"tick_size": "0.0001", "step_size": "0.00001", "min_qty": "0.00001", "min_notional": "0.0001"}
    rows = [(at, "B", 12_347, 100_000) for at in range(1, 5)]
    result = run(rows, [buy(1, 1, 1_001, **TAKE)], market=Market.SPOT, filters=filters)
    # 0.01001 * 1.2347 = 0.012359347 -> 0.01235934 leaves the account
    assert result.books["cash"] == 10_000 * E8 - 1_235_934


def test_spot_locks_what_its_orders_may_spend_and_refuses_what_is_not_there() -> None:
    script = [buy(1, 1, 60, 9_000), buy(1, 2, 60, 9_000), sell(1, 3, 1, 11_000)]
    result = run(QUIET, script, cash=10.0, market=Market.SPOT)
    # 0.06 at 90.00 locks 5.40; another 5.40 is not there, and there is nothing to sell
    assert ended(result) == [(2, "REJECTED", "insufficient balance"), (3, "REJECTED", "insufficient balance")]
    assert result.books["locked_quote"] == 540_000_000


def test_an_oco_pair_of_sells_locks_its_lots_once() -> None:
    from qtm.trading.desk import STOP

    script = [
        buy(1, 1, 10, **TAKE), sell(3, 2, 10, 10_500, group=4),
        sell(3, 3, 10, kind=STOP, trigger_ticks=9_500, time_in_force=IOC, group=4),
    ]  # fmt: skip
    rows = [*QUIET, (8, "S", 9_400, 50), (9, "S", 9_400, 50)]
    result = run(rows, script, market=Market.SPOT)
    assert filled(result) == [(1, "BUY", 10, 10_000), (3, "SELL", 10, 9_400)]
    assert result.books["locked_lots"] == 0 and result.books["base"] == 0


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (buy(1, 1, 0, 9_900), "LOT_SIZE"),
        (buy(1, 1, 10, 0), "PRICE_FILTER"),
        (buy(1, 1, 10, 99), "PRICE_FILTER"),
        (buy(1, 1, 10, 20_001), "PRICE_FILTER"),
        (buy(1, 1, 50, 9_999), "NOTIONAL"),
        (buy(1, 1, 50, 10_000), ""),
        (buy(1, 1, 9_001, 9_900), "LOT_SIZE"),
        (buy(1, 1, 6_001, **TAKE), "LOT_SIZE"),
        (buy(1, 1, 55, **TAKE), "LOT_SIZE"),
        (buy(1, 1, 60, **TAKE), ""),
        (buy(1, 1, 5_051, 9_900), "NOTIONAL"),
        (buy(1, 1, 5_050, 9_900), ""),
    ],
)
def test_the_venues_filters_hold_at_their_very_edges(line, reason: str) -> None:  # type: ignore[no-untyped-def]
    from decimal import Decimal

    filters = {
        "min_notional": "5", "max_notional": "500", "max_qty": "9", "min_price": "1", "max_price": "200",
        "market_step_size": "0.01", "market_max_qty": "6",
    }  # fmt: skip
    assert Decimal(filters["max_notional"]) == 500
    result = run(QUIET, [line], filters=filters, cash=100_000.0)
    rejected = [row[2] for row in ended(result) if row[1] == "REJECTED"]
    assert rejected == ([reason] if reason else [])


BRACKETS = np.array([[0.0, 0.004, 0.0, 50.0], [1_000.0, 0.01, 6.0, 10.0], [10_000.0, 0.05, 406.0, 2.0]])


def test_the_bracket_of_the_notional_bounds_the_leverage_to_the_last_unit() -> None:
    margin = Margin(50.0, 0.004, 0.0, BRACKETS)
    # 1,000.00 stands in the first bracket and needs 20.00; 1,000.10 in the second and needs 100.01
    fine = run(QUIET, [buy(1, 1, 10_000, 10_000)], cash=20.0, margin=margin, filters={"max_qty": "9000"})
    assert filled(fine) == [(1, "BUY", 10_000, 10_000)]
    for cash, status in ((100.00, "REJECTED"), (100.01, "FILLED")):
        larger = run(QUIET, [buy(1, 1, 10_001, 10_000)], cash=cash, margin=margin)
        assert ended(larger)[0][1] == status
    assert ended(run(QUIET, [buy(1, 1, 10_000, 10_000)], cash=19.99, margin=margin))[0] == (
        1, "REJECTED", "margin is insufficient",
    )  # fmt: skip


def test_a_long_is_liquidated_at_the_tick_where_its_bracket_no_longer_covers_it() -> None:
    """10 units at 100.00 with 100.00: equity 100 - 10 x (100 - p), maintenance 10p x 0.004 below 1,000."""
    margin = Margin(50.0, 0.004, 0.01, BRACKETS)
    # 10p - 900 < 0.04p  <=>  p < 90.3614...: 90.37 lives, 90.36 does not
    rows = [*QUIET, (8, "S", 9_037, 5), (9, "S", 9_036, 5), (10, "B", 10_000, 5)]
    result = run(rows, [buy(1, 1, 10_000, 10_000)], cash=100.0, margin=margin)
    assert filled(result) == [(1, "BUY", 10_000, 10_000), (0, "SELL", 10_000, 9_036)]
    assert result.fills["cause"].to_list() == ["order", "liquidation"]
    # 100 - 96.40 = 3.60 is left, the fee of 1 % of 903.60 would be 9.036: all of it goes
    assert result.books["cash"] == 0 and result.books["fees"] == 360_000_000


def test_a_short_steps_into_the_next_bracket_as_its_notional_grows() -> None:
    margin = Margin(50.0, 0.004, 0.0, BRACKETS)
    # sold 10 at 99.00 with 40: 1,030 - 10p < 10p x 0.01 - 6  <=>  p > 102.574...
    rows = [(at, "S", 9_900, 500) for at in range(1, 8)]
    rows = [*rows, (8, "B", 10_257, 5), (9, "B", 10_258, 5), (10, "B", 9_000, 5)]
    result = run(rows, [sell(1, 1, 10_000, 9_900)], cash=40.0, margin=margin)
    assert filled(result)[1:] == [(0, "BUY", 10_000, 10_258)]
    assert result.books["cash"] == 40 * E8 + 990 * E8 - 102_580_000_000


def test_liquidation_ends_every_order_and_leaves_no_debt() -> None:
    margin = Margin(50.0, 0.004, 0.01, BRACKETS)
    rows = [*QUIET, (8, "S", 5_000, 5), (9, "B", 10_000, 5)]
    result = run(rows, [buy(1, 1, 10_000, 10_000), sell(2, 2, 100, 12_000)], cash=100.0, margin=margin)
    assert result.books["cash"] == 0 and result.books["base"] == 0
    assert (2, "EXPIRED", "the account was liquidated") in ended(result)


def test_a_stop_before_the_liquidation_price_saves_the_rest_on_bars_too() -> None:
    from qtm.trading.desk import STOP

    table = np.array(
        [(100, 100, 100, 100), (100, 100, 100, 100), (100, 100, 80, 95), (95, 95, 95, 95)], float
    )
    times = START_NS // 1_000_000 + np.arange(4, dtype=np.int64) * 60_000
    bars = BarSeries(
        "BTCUSDT", Interval.M1, times, *(table[:, k].copy() for k in range(4)), np.full(4, 100.0)
    )
    tape = tape_of_bars(bars, instrument())
    entry = buy(0, 1, 10_000, **TAKE)
    margin = Margin(50.0, 0.004, 0.01, BRACKETS)
    ruined = run(tape, [entry], cash=100.0, margin=margin)
    assert filled(ruined)[1] == (0, "SELL", 10_000, 9_036)
    stop = sell(0, 2, 10_000, kind=STOP, trigger_ticks=9_500, time_in_force=IOC, parent=1)
    assert run(tape, [entry, stop], cash=100.0, margin=margin).books["cash"] == 50 * E8


def year_of_funding() -> tuple[BarSeries, FundingRates]:
    """2024, a leap year without any clock change: 366 days of three payments."""
    days = 366
    times = START_NS // 1_000_000 + np.arange(days * 24, dtype=np.int64) * 3_600_000
    price = np.full(len(times), 100.0)
    bars = BarSeries("BTCUSDT", Interval.H1, times, price, price, price, price, price)
    at = START_NS // 1_000_000 + np.arange(days * 3, dtype=np.int64) * 28_800_000
    rate = np.where(np.arange(days * 3) % 2 == 0, 0.0001, -0.00003)
    return bars, FundingRates(at, rate, np.full(days * 3, 8))


def test_funding_over_a_year_adds_up_to_the_last_unit() -> None:
    bars, funding = year_of_funding()
    tape = tape_of_bars(bars, instrument())
    result = run(tape, [buy(0, 1, 1_000, **TAKE)], funding=funding)
    # 1 unit at 100.00 from the second hour on: 1,097 of 1,098 payments; the first one came before
    paid = 549 * 300_000 * -1 + 548 * 1_000_000
    assert result.books["funding"] == paid
    assert result.books["cash"] == 10_000 * E8 - 100 * E8 - paid
    assert result.statistics.funding == pytest.approx(paid / E8)


def test_funding_on_trades_falls_due_between_two_trades_at_the_price_before_it() -> None:
    eight = 8 * 3_600
    rows = [
        (eight - 2, "B", 10_000, 5_000),
        (eight - 1, "B", 10_000, 5_000),
        (eight - 0.5, "B", 10_100, 5_000),
        (eight + 0.003, "S", 12_000, 5_000),
        (eight + 5, "S", 10_050, 5_000),
        (eight + 6, "S", 10_050, 5_000),
    ]
    funding = FundingRates(
        np.array([START_NS // 1_000_000 + eight * 1_000 + 3]), np.array([0.0001]), np.array([8])
    )
    # bought at 100.00 before the payment, marked for it at 101.00, not at 120.00 of its own millisecond
    long = run(rows, [buy(eight - 2, 1, 1_000, **TAKE)], funding=funding)
    assert long.books["funding"] == 1_010_000  # 0.0001 of 101.00
    assert long.books["cash"] == (10_000 - 100) * E8 - 1_010_000
    # a short receives it; one opened a second later neither pays nor receives
    short = run(rows, [sell(eight - 2, 1, 1_000, **TAKE)], funding=funding)
    assert short.books["funding"] == -1_010_000
    late = run(rows, [buy(eight + 5, 1, 1_000, **TAKE)], funding=funding)
    assert late.books["funding"] == 0 and len(late.fill_rows) == 1
    assert long.lineage.funded and not run(rows, []).lineage.funded


def test_a_missing_payment_is_an_error() -> None:
    bars, funding = year_of_funding()
    keep = np.arange(len(funding.time_ms)) != 500
    holed = FundingRates(funding.time_ms[keep], funding.rate[keep], funding.interval_hours[keep])
    with pytest.raises(DataError, match="funding rates are missing"):
        run(tape_of_bars(bars, instrument()), [], funding=holed)


def limits(**changes: float) -> GateLimits:
    return GateLimits(1e9, 1e9, 0.05, 0.5, 0.5, 1e9, 1e9, 1e9)._replace(**changes)


@pytest.mark.parametrize(
    ("changes", "script", "control"),
    [
        ({"max_order_value": 4.95}, [buy(1, 1, 50, 9_901)], "PT-03"),
        ({"max_order_value": 4.95}, [buy(1, 1, 50, 9_900)], ""),
        ({"max_order_qty": 0.05}, [buy(1, 1, 51, 9_900)], "PT-04"),
        ({"price_collar": 0.01}, [buy(1, 1, 5, 10_101)], "PT-01"),
        ({"price_collar": 0.01}, [buy(1, 1, 5, 10_100)], ""),
        ({"max_position_value": 10.0}, [buy(1, 1, 60, 9_000), buy(2, 2, 41, 9_000)], "PT-07"),
        ({"max_position_value": 10.1}, [buy(1, 1, 60, 9_000), buy(2, 2, 41, 9_000)], ""),
        ({"max_messages": 2.0, "message_window_ms": 1e4}, [buy(1, k, 5, 9_000) for k in (1, 2, 3)], "PT-05"),
    ],
)  # fmt: skip
def test_the_gate_judges_every_order_with_all_others_at_their_worst(changes, script, control) -> None:  # type: ignore[no-untyped-def]
    result = run(QUIET, script, limits=limits(**changes))
    refused = result.orders.filter(result.orders["status"] == "REFUSED")["control"].to_list()
    assert refused == ([control] if control else [])


def test_the_gate_lets_only_shrinking_orders_pass_after_a_loss() -> None:
    rows = [*QUIET, (8, "S", 9_000, 5), (9, "S", 9_000, 5), (10, "S", 9_000, 5)]
    script = [buy(1, 1, 1_000, **TAKE), buy(8, 2, 10, 8_900), sell(8, 3, 10, 9_500)]
    # 10 % of 100.00 is lost on 1,000.00 of cash: 1 % drawdown
    result = run(rows, script, cash=1_000.0, limits=limits(max_drawdown=0.012))
    assert [(row[0], row[1]) for row in ended(result)] == [(1, "FILLED"), (2, "REFUSED")]
    assert result.working == 1


@pytest.mark.parametrize("bad", [{"cash": 0.0}, {"cash": float("nan")}, {"cash": 1e11}])
def test_cash_that_cannot_be_used_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        run(QUIET, [], **bad)


def test_latency_lets_the_market_run_away_before_the_order_arrives() -> None:
    rows = [(1, "B", 10_000, 5), (1.05, "B", 10_020, 5), (1.2, "B", 10_030, 5), (2, "B", 10_030, 5)]
    at_once = run(rows, [buy(1, 1, 5, **TAKE)])
    assert filled(at_once) == [(1, "BUY", 5, 10_000)]
    late = run(rows, [buy(1, 1, 5, **TAKE)], latency=Latency.constant(feed_ms=40, order_ms=70))
    assert filled(late) == [(1, "BUY", 5, 10_020)]
    assert late.fills["ts_ns"].to_list() == [ns(1.11)]


def test_a_resting_order_misses_the_trade_that_comes_before_it() -> None:
    rows = [(1, "B", 10_000, 5), (1.1, "S", 9_900, 5), (1.15, "B", 10_000, 5), (2, "B", 10_000, 5)]
    assert filled(run(rows, [buy(1, 1, 5, 9_950)])) == [(1, "BUY", 5, 9_950)]
    assert filled(run(rows, [buy(1, 1, 5, 9_950)], latency=Latency.constant(order_ms=160))) == []
    # at the very instant of the trade it comes after it, and takes what is offered then
    assert filled(run(rows, [buy(1, 1, 5, 9_950)], latency=Latency.constant(order_ms=100))) == [
        (1, "BUY", 5, 9_901)
    ]


def test_drawn_latencies_are_the_same_for_a_seed_and_never_overtake() -> None:
    rows = [(0.01 * k, "B", 10_000 + k % 7, 5) for k in range(1, 400)]
    script = [buy(0.02 * k, k, 1, 10_100) for k in range(1, 60)]
    drawn = Latency((1_000_000, 9_000_000, 40_000_000), (2_000_000, 60_000_000), seed=3)
    first, again = run(rows, script, latency=drawn), run(rows, script, latency=drawn)
    other = run(rows, script, latency=Latency(drawn.feed_ns, drawn.order_ns, seed=4))
    assert np.array_equal(first.fill_rows, again.fill_rows)
    assert not np.array_equal(first.fill_rows["ts_ns"], other.fill_rows["ts_ns"])
    live = first.orders.sort("order")["live_ns"].to_numpy()
    assert (np.diff(live) >= 0).all()

"""Stops, take-profits, trailing stops, OCO and brackets on trades, against hand-made ledgers."""

from __future__ import annotations

import pytest

from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.trading.desk import (
    IOC,
    MARKET,
    ON_MARK,
    REDUCE_ONLY,
    STOP,
    STOP_LIMIT,
    TAKE_PROFIT,
    TAKE_PROFIT_LIMIT,
    TRAILING,
)
from tests.backtest.tape.scripted import buy, cancelled, ended, filled, ns, run, sell, tape_of

FIRST = (1, "B", 10_000, 5)


def trades(*ticks: int, start: float = 2, lots: int = 500) -> list[tuple[float, str, int, int]]:
    """A trade a second at these prices, alternating aggressors that leave the best prices at them."""
    return [(start + at, "B" if at % 2 else "S", price, lots) for at, price in enumerate(ticks)]


def entered(at: float = 1, lots: int = 10):  # type: ignore[no-untyped-def]
    return buy(at, 1, lots, kind=MARKET, time_in_force=IOC)


def stop_out(at: float, **rest: int):  # type: ignore[no-untyped-def]
    """Order 3: sell ten at the market below 99.50."""
    return sell(at, 3, 10, kind=STOP, trigger_ticks=9_950, time_in_force=IOC, **rest)


def test_a_stop_sells_at_the_market_once_the_last_price_is_at_its_trigger() -> None:
    rows = [FIRST, *trades(10_000, 9_951, 9_950, 9_940)]
    script = [entered(), sell(1, 2, 10, kind=STOP, trigger_ticks=9_950, time_in_force=IOC)]
    # the trade at 99.50 was a sale: the best bid is 99.50
    assert filled(run(rows, script)) == [(1, "BUY", 10, 10_000), (2, "SELL", 10, 9_950)]


def test_a_gap_through_a_stop_fills_at_the_price_after_the_gap() -> None:
    rows = [FIRST, *trades(10_000, 9_960, 9_800, 9_810)]
    script = [entered(), sell(1, 2, 10, kind=STOP, trigger_ticks=9_950, time_in_force=IOC)]
    assert filled(run(rows, script)) == [(1, "BUY", 10, 10_000), (2, "SELL", 10, 9_800)]


def test_a_stop_limit_beyond_the_gap_rests_and_fills_when_the_price_comes_back() -> None:
    rows = [FIRST, *trades(10_000, 9_960, 9_800, 9_810, 9_820, 9_946, 9_990)]
    script = [entered(), sell(1, 2, 10, 9_945, kind=STOP_LIMIT, trigger_ticks=9_950)]
    result = run(rows, script)
    assert filled(result) == [(1, "BUY", 10, 10_000), (2, "SELL", 10, 9_945)]
    assert result.fills["maker"].to_list() == [False, True]


def test_a_take_profit_and_its_limit_form() -> None:
    rows = [FIRST, *trades(10_000, 10_040, 10_050, 10_051, 10_060, 10_071)]
    market = run(rows, [entered(), sell(1, 2, 10, kind=TAKE_PROFIT, trigger_ticks=10_050, time_in_force=IOC)])
    assert filled(market)[1] == (2, "SELL", 10, 10_050)
    limited = run(rows, [entered(), sell(1, 2, 10, 10_070, kind=TAKE_PROFIT_LIMIT, trigger_ticks=10_050)])
    assert filled(limited)[1] == (2, "SELL", 10, 10_070)
    assert limited.fills["cause"].to_list() == ["order", "take-profit"]


@pytest.mark.parametrize(
    ("kind", "side", "trigger"),
    [
        (STOP, "sell", 10_000),
        (STOP, "buy", 10_000),
        (TAKE_PROFIT, "sell", 9_999),
        (TAKE_PROFIT, "buy", 10_001),
    ],
)
def test_an_order_that_would_trigger_at_once_is_rejected(kind: int, side: str, trigger: int) -> None:
    make = sell if side == "sell" else buy
    result = run(
        [FIRST, *trades(10_000, 10_000)],
        [make(1, 1, 10, kind=kind, trigger_ticks=trigger, time_in_force=IOC)],
    )
    assert ended(result) == [(1, "REJECTED", "would trigger immediately")]


def test_a_trailing_stop_follows_the_best_price_and_never_goes_back() -> None:
    rows = [FIRST, *trades(10_000, 10_100, 10_090, 10_120, 10_085, 10_070, 10_060)]
    script = [entered(), sell(1, 2, 10, kind=TRAILING, trail_ticks=50, time_in_force=IOC)]
    # best 101.20 less 0.50 is 100.70
    assert filled(run(rows, script)) == [(1, "BUY", 10, 10_000), (2, "SELL", 10, 10_069)]


def test_a_trailing_buy_covers_a_short() -> None:
    rows = [FIRST, *trades(10_000, 9_900, 9_920, 9_890, 9_939, 9_940, 9_950)]
    script = [
        sell(1, 1, 10, kind=MARKET, time_in_force=IOC),
        buy(1, 2, 10, kind=TRAILING, trail_ticks=50, time_in_force=IOC),
    ]  # fmt: skip
    assert filled(run(rows, script))[1] == (2, "BUY", 10, 9_940)


def test_the_stop_of_an_oco_pair_ends_the_target_and_the_other_way_round() -> None:
    pair = [
        sell(2, 2, 10, 10_100, group=7),
        stop_out(2, group=7),
    ]
    stopped = run([FIRST, *trades(10_000, 9_990, 9_940, 10_200)], [entered(), *pair])
    assert filled(stopped) == [(1, "BUY", 10, 10_000), (3, "SELL", 10, 9_940)]
    assert ended(stopped)[1] == (2, "EXPIRED", "the other order of its group traded or expired")
    taken = run([FIRST, *trades(10_000, 9_990, 10_050, 10_200, 9_940)], [entered(), *pair])
    assert filled(taken) == [(1, "BUY", 10, 10_000), (2, "SELL", 10, 10_100)]
    assert ended(taken)[2] == (3, "EXPIRED", "the other order of its group traded or expired")


def test_a_partial_fill_of_the_target_ends_the_stop_too() -> None:
    rows = [FIRST, *trades(10_000, 9_990), (4, "B", 10_101, 4), (5, "S", 9_940, 500), (6, "S", 9_930, 1)]
    script = [
        entered(), sell(2, 2, 10, 10_100, group=7), stop_out(2, group=7)
    ]  # fmt: skip
    result = run(rows, script)
    assert filled(result) == [(1, "BUY", 10, 10_000), (2, "SELL", 4, 10_100)]
    assert result.working == 1


def test_an_oco_race_between_two_legs_of_ones_own_fills_both_when_the_cancel_comes_too_late() -> None:
    """Two unlinked orders, cancelled by the strategy: with 1.5 s to the venue the stop trades before."""
    rows = [FIRST, *trades(10_000, 10_101, 10_000, 9_940, 9_930, 9_930)]
    script = [
        entered(0), sell(1, 2, 10, 10_100), stop_out(1), cancelled(4, 3)
    ]  # fmt: skip
    from qtm.backtest.tape.rules import Latency

    slow = run([(0, "B", 10_000, 5), *rows], script, latency=Latency.constant(order_ms=1_500))
    assert [one[0] for one in filled(slow)] == [1, 2, 3]
    assert slow.books["base"] == -10 * 100_000
    linked = [
        entered(0),
        sell(1, 2, 10, 10_100, group=3),
        stop_out(1, group=3),
    ]
    safe = run([(0, "B", 10_000, 5), *rows], linked, latency=Latency.constant(order_ms=1_500))
    assert [one[0] for one in filled(safe)] == [1, 2]


def test_cancelling_one_leg_cancels_its_group() -> None:
    script = [
        entered(), sell(2, 2, 10, 10_100, group=7), stop_out(2, group=7),
        cancelled(3, 2),
    ]  # fmt: skip
    result = run([FIRST, *trades(10_000, 10_000, 10_000, 9_900, 10_200)], script)
    assert filled(result) == [(1, "BUY", 10, 10_000)]
    assert [row[1] for row in ended(result)] == ["FILLED", "CANCELED", "CANCELED"]


def bracket(at: float, entry_ticks: int, target: int, stop: int):  # type: ignore[no-untyped-def]
    return [
        buy(at, 1, 10, entry_ticks), sell(at, 2, 10, target, group=9, parent=1),
        sell(at, 3, 10, kind=STOP, trigger_ticks=stop, time_in_force=IOC, group=9, parent=1),
    ]  # fmt: skip


def test_a_bracket_waits_for_its_entry_and_its_legs_end_each_other() -> None:
    rows = [FIRST, *trades(10_000, 10_200, 9_940, 9_960, 9_950, 10_151, 10_000)]
    result = run(rows, bracket(1, 9_950, 10_150, 9_900))
    # the rise to 102.00 came before the entry: the target was held
    assert filled(result) == [(1, "BUY", 10, 9_950), (2, "SELL", 10, 10_150)]
    assert ended(result)[2] == (3, "EXPIRED", "the other order of its group traded or expired")
    stopped = run(
        [FIRST, *trades(10_000, 10_000, 9_940, 9_960, 9_889, 10_000)], bracket(1, 9_950, 10_150, 9_900)
    )
    assert filled(stopped) == [(1, "BUY", 10, 9_950), (3, "SELL", 10, 9_889)]


def test_a_cancelled_entry_takes_its_legs_with_it() -> None:
    script = [*bracket(1, 9_950, 10_150, 9_900), cancelled(3, 1)]
    result = run([FIRST, *trades(10_000, 10_000, 10_000, 9_800)], script)
    assert filled(result) == []
    assert ended(result) == [
        (1, "CANCELED", "cancelled on request"), (2, "EXPIRED", "its parent ended unfilled"),
        (3, "EXPIRED", "its parent ended unfilled"),
    ]  # fmt: skip


def test_a_partly_filled_entry_does_not_arm_its_legs() -> None:
    rows = [FIRST, *trades(10_000), (3, "S", 9_940, 6), (4, "B", 10_300, 1), (5, "B", 10_300, 1)]
    result = run(rows, bracket(1, 9_950, 10_150, 9_900))
    assert filled(result) == [(1, "BUY", 6, 9_950)]
    assert result.working == 3


def test_reduce_only_is_cut_at_the_position_and_never_turns_it() -> None:
    rows = [FIRST, *trades(10_000, 10_000, 10_000)]
    result = run(rows, [entered(), sell(2, 2, 25, kind=MARKET, time_in_force=IOC, flags=REDUCE_ONLY)])
    assert filled(result) == [(1, "BUY", 10, 10_000), (2, "SELL", 10, 10_000)]
    assert ended(result)[1] == (2, "EXPIRED", "the position it reduces is closed")
    assert result.books["base"] == 0


def test_an_order_that_is_not_reduce_only_flips_the_position() -> None:
    rows = [FIRST, *trades(10_000, 10_000, 10_000)]
    result = run(rows, [entered(), sell(2, 2, 25, kind=MARKET, time_in_force=IOC)])
    assert result.books["base"] == -15 * 100_000
    assert result.statistics.trades == 1


def test_reduce_only_without_a_position_is_rejected() -> None:
    result = run([FIRST, *trades(10_000, 10_000)], [sell(1, 1, 5, 10_100, flags=REDUCE_ONLY)])
    assert ended(result) == [(1, "REJECTED", "reduce-only is rejected")]


def test_a_mark_price_trigger_ignores_the_last_price() -> None:
    import numpy as np

    rows = [FIRST, *trades(10_000, 9_900, 9_900, 10_000, 10_000, 10_000)]
    marks = (np.array([ns(1.5), ns(4.5)]), np.array([10_000, 9_940]))
    script = [entered(), sell(1, 2, 10, kind=STOP, trigger_ticks=9_950, time_in_force=IOC, flags=ON_MARK)]
    result = run(rows, script, marks=marks)
    assert result.fills["ts_ns"].to_list() == [ns(1), ns(4.5)]


def test_an_own_trade_fires_stops_but_does_not_revalue_the_account() -> None:
    book = [(0, "bid", 9_990, 500), (0, "ask", 10_000, 10), (0, "ask", 10_010, 500)]
    rows = [*book, (1, "B", 10_000, 1), (3, "S", 9_990, 1)]
    script = [
        buy(1, 1, 5, kind=STOP, trigger_ticks=10_005, time_in_force=IOC),
        buy(1, 2, 20, kind=MARKET, time_in_force=IOC),
    ]
    result = run(tape_of(rows, Interval.S1), script)
    assert filled(result) == [(2, "BUY", 9, 10_000), (2, "BUY", 11, 10_010), (1, "BUY", 5, 10_010)]
    assert set(result.fills["ts_ns"]) == {ns(1)}
    # 25 lots are worth the market's 100.00, not the 100.10 that the account itself has paid
    assert result.equity[1] == pytest.approx(10_000 - 16 * 0.001 * 0.10, abs=1e-9)


def test_depth_that_reaches_a_resting_order_makes_a_trade_that_fires_stops() -> None:
    rows = [(0, "bid", 9_990, 500), (0, "ask", 10_020, 500), (1, "S", 9_990, 1), (3, "bid", 10_010, 50)]
    script = [
        sell(1, 1, 50, 10_010),
        buy(1, 2, 5, kind=STOP, trigger_ticks=10_010, time_in_force=IOC),
    ]
    result = run([*rows, (4, "B", 10_020, 1)], script)
    assert filled(result) == [(1, "SELL", 50, 10_010), (2, "BUY", 5, 10_020)]
    assert result.fills["ts_ns"].to_list() == [ns(3), ns(3)]


def test_all_that_a_price_has_reached_fires_however_far_the_first_of_them_moves_it() -> None:
    rows = [(0, "bid", 9_900, 500), (0, "ask", 10_000, 500), (1, "B", 10_000, 1), (3, "S", 9_900, 1)]
    script = [
        buy(1, 1, 5, kind=TAKE_PROFIT, trigger_ticks=9_905, time_in_force=IOC),  # trades at 100.00
        sell(1, 2, 5, kind=STOP, trigger_ticks=9_905, time_in_force=IOC),
    ]
    assert filled(run(rows, script)) == [(1, "BUY", 5, 10_000), (2, "SELL", 5, 9_900)]


def test_a_leg_that_expires_rather_than_trade_with_the_account_takes_its_group_along() -> None:
    rows = [(0, "bid", 9_990, 500), (0, "ask", 10_020, 500), (1, "S", 9_990, 1), (9, "S", 9_990, 1)]
    script = [
        sell(1, 1, 5, 10_015, group=1),
        sell(1, 2, 5, kind=STOP, trigger_ticks=9_950, time_in_force=IOC, group=1),
        buy(1, 3, 5, kind=MARKET, time_in_force=IOC),
    ]
    assert ended(run(rows, script)) == [
        (1, "EXPIRED", "expired rather than trade with itself"),
        (2, "EXPIRED", "the other order of its group traded or expired"),
        (3, "FILLED", ""),
    ]


def test_a_triggered_spot_buy_that_the_cash_does_not_cover_is_cut_to_what_it_does() -> None:
    rows = [FIRST, *trades(10_000, 10_000, 10_400, 10_400)]
    # 99 lots locked at 101.00 is 9.999 of 10; at 104.00 that buys 96 lots
    script = [buy(1, 1, 99, kind=STOP, trigger_ticks=10_100, time_in_force=IOC)]
    result = run(rows, script, cash=10.0, market=Market.SPOT)
    assert filled(result) == [(1, "BUY", 96, 10_401)]
    assert result.books["locked_quote"] == 0


def test_a_spot_symbol_takes_five_waiting_orders_and_no_sixth() -> None:
    rows = [(0, "B", 10_000, 500), (2, "B", 10_000, 500), (9, "B", 10_000, 500)]
    stops = [sell(2, ref, 1, kind=STOP, trigger_ticks=9_000 - ref, time_in_force=IOC) for ref in range(2, 8)]
    result = run(rows, [buy(0, 1, 50, kind=MARKET, time_in_force=IOC), *stops], market=Market.SPOT)
    assert ended(result) == [(1, "FILLED", ""), (7, "REJECTED", "MAX_NUM_ALGO_ORDERS")]
    assert result.working == 5


def test_a_pair_is_taken_whole_or_not_at_all() -> None:
    rows = [(0, "B", 10_000, 500), (2, "B", 10_000, 500), (5, "B", 10_100, 500)]
    held = buy(0, 1, 50, kind=MARKET, time_in_force=IOC)
    # the stop would fire at once: the target beside it does not rest alone
    pair = [
        sell(2, 2, 10, 10_050, group=1),
        sell(2, 3, 10, kind=STOP, trigger_ticks=10_010, time_in_force=IOC, group=1),
    ]
    result = run(rows, [held, *pair], market=Market.SPOT)
    assert ended(result)[1:] == [
        (2, "REJECTED", "the other order of its group was rejected"),
        (3, "REJECTED", "would trigger immediately"),
    ]
    assert result.books["locked_lots"] == 0 and len(result.fill_rows) == 1

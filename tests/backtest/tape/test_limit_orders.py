"""Limit and market orders on trades and depth, against hand-made ledgers."""

from __future__ import annotations

import pytest

from qtm.backtest.tape.rules import Queue
from qtm.trading.desk import BUY, FOK, GTD, IOC, MARKET, POST_ONLY, SELL
from tests.backtest.tape.scripted import (
    amended,
    buy,
    cancelled,
    ended,
    filled,
    ns,
    run,
    sell,
)

BOOK = [(0, "bid", 9_990, 50), (0, "bid", 9_989, 100), (0, "ask", 10_000, 50), (0, "ask", 10_001, 80)]
FIRST = (1, "B", 10_000, 5)


def test_a_market_order_walks_the_book_level_by_level() -> None:
    result = run([*BOOK, FIRST, (2, "S", 9_990, 1)], [buy(1, 1, 100, kind=MARKET, time_in_force=IOC)])
    # 45 lots are left at the best level after the trade of 5
    assert filled(result) == [(1, "BUY", 45, 10_000), (1, "BUY", 55, 10_001)]
    # 0.045 * 100.00 + 0.055 * 100.01 = 10.00055
    assert result.books["cash"] == 999_999_945_000 * 0 + 10_000 * 10**8 - 1_000_055_000
    assert result.books["base"] == 100 * 100_000


def test_what_a_market_order_cannot_fill_expires() -> None:
    result = run([*BOOK, FIRST, (2, "S", 9_990, 1)], [buy(1, 1, 200, kind=MARKET, time_in_force=IOC)])
    assert filled(result) == [(1, "BUY", 45, 10_000), (1, "BUY", 80, 10_001)]
    assert ended(result) == [(1, "EXPIRED", "no liquidity")]


def test_liquidity_taken_once_is_gone_until_the_feed_shows_it_again() -> None:
    rows = [
        *BOOK,
        FIRST,
        (2, "S", 9_990, 1),
        (3, "S", 9_990, 1),
        (4, "ask", 10_000, 7),
        (5, "S", 9_990, 1),
        (6, "S", 9_990, 1),
    ]
    script = [
        buy(1, 1, 45, 10_000, time_in_force=IOC),
        buy(2, 2, 1, 10_000, time_in_force=IOC),
        buy(5, 3, 9, 10_000, time_in_force=IOC),
    ]
    result = run(rows, script)
    assert filled(result) == [(1, "BUY", 45, 10_000), (3, "BUY", 7, 10_000)]
    assert ended(result) == [
        (1, "FILLED", ""), (2, "EXPIRED", "immediate-or-cancel remainder"),
        (3, "EXPIRED", "immediate-or-cancel remainder"),
    ]  # fmt: skip


def test_an_ioc_takes_what_is_within_its_limit_and_the_remainder_expires() -> None:
    result = run([*BOOK, FIRST, (2, "S", 9_990, 1)], [buy(1, 1, 60, 10_000, time_in_force=IOC)])
    assert filled(result) == [(1, "BUY", 45, 10_000)]
    assert ended(result) == [(1, "EXPIRED", "immediate-or-cancel remainder")]


@pytest.mark.parametrize(("lots", "status"), [(125, "FILLED"), (126, "EXPIRED")])
def test_a_fok_fills_whole_or_not_at_all(lots: int, status: str) -> None:
    result = run([*BOOK, FIRST, (2, "S", 9_990, 1)], [buy(1, 1, lots, 10_001, time_in_force=FOK)])
    assert sum(fill[2] for fill in filled(result)) == (125 if status == "FILLED" else 0)
    assert ended(result)[0][1] == status


def test_the_rest_of_a_crossing_limit_order_stands_in_the_book() -> None:
    rows = [*BOOK, FIRST, (2, "B", 10_001, 1), (3, "S", 10_000, 20), (4, "B", 10_001, 1)]
    result = run(rows, [buy(1, 1, 60, 10_000)])
    assert filled(result) == [(1, "BUY", 45, 10_000), (1, "BUY", 15, 10_000)]
    assert result.fills["maker"].to_list() == [False, True]


@pytest.mark.parametrize(("ticks", "status"), [(9_999, None), (10_000, "REJECTED"), (10_001, "REJECTED")])
def test_post_only_is_rejected_where_it_would_take(ticks: int, status: str | None) -> None:
    result = run([*BOOK, FIRST, (2, "B", 10_000, 1)], [buy(1, 1, 10, ticks, flags=POST_ONLY)])
    assert filled(result) == []
    expected = [] if status is None else [(1, status, "would immediately match and take")]
    assert ended(result) == expected


def test_a_queue_is_consumed_exactly() -> None:
    """50 lots ahead: 49 of them leave one, one more leaves none, and only the next lot is ours."""
    rows = [
        *BOOK,
        FIRST,
        (2, "B", 10_000, 1),
        (3, "S", 9_990, 49),
        (4, "S", 9_990, 1),
        (5, "S", 9_990, 4),
        (6, "B", 10_000, 1),
    ]
    result = run(rows, [buy(1, 1, 10, 9_990)])
    assert filled(result) == [(1, "BUY", 4, 9_990)]
    assert result.fills["ts_ns"].to_list() == [ns(5)]


def test_a_trade_that_ends_the_queue_fills_with_what_is_left_of_it() -> None:
    result = run(
        [*BOOK, FIRST, (2, "B", 10_000, 1), (3, "S", 9_990, 53), (4, "B", 10_000, 1)], [buy(1, 1, 10, 9_990)]
    )
    assert filled(result) == [(1, "BUY", 3, 9_990)]


def test_a_withdrawal_moves_the_order_up_only_when_less_is_left_than_stood_ahead() -> None:
    rows = [
        *BOOK,
        FIRST,
        (2, "B", 10_000, 1),
        (3, "bid", 9_990, 80),
        (4, "bid", 9_990, 60),
        (5, "bid", 9_990, 20),
        (6, "S", 9_990, 21),
        (7, "B", 10_000, 1),
    ]
    result = run(rows, [buy(1, 1, 10, 9_990)])
    assert filled(result) == [(1, "BUY", 1, 9_990)]


def test_a_trade_through_the_price_fills_up_to_its_own_quantity() -> None:
    result = run(
        [*BOOK, FIRST, (2, "B", 10_000, 1), (3, "S", 9_989, 4), (4, "B", 10_000, 1)], [buy(1, 1, 10, 9_990)]
    )
    assert filled(result) == [(1, "BUY", 4, 9_990)]


def test_without_depth_a_trade_at_the_price_is_not_a_fill_and_one_through_it_is() -> None:
    rows = [
        (1, "B", 10_000, 5),
        (2, "B", 10_000, 5),
        (3, "S", 9_990, 500),
        (4, "S", 9_989, 7),
        (5, "B", 10_000, 5),
    ]
    result = run(rows, [buy(1, 1, 10, 9_990)])
    assert filled(result) == [(1, "BUY", 7, 9_990)]


def test_the_better_price_then_the_earlier_order_is_filled_first() -> None:
    rows = [(1, "B", 10_000, 5), (2, "B", 10_000, 5), (3, "S", 9_980, 25), (4, "B", 10_000, 5)]
    script = [buy(1, 1, 10, 9_990), buy(1, 2, 10, 9_991), buy(1, 3, 10, 9_990)]
    assert filled(run(rows, script)) == [
        (2, "BUY", 10, 9_991), (1, "BUY", 10, 9_990), (3, "BUY", 5, 9_990),
    ]  # fmt: skip


def test_depth_that_reaches_a_resting_order_fills_it_at_its_own_price() -> None:
    rows = [*BOOK, FIRST, (2, "B", 10_000, 1), (3, "ask", 9_992, 6), (4, "B", 10_000, 1)]
    assert filled(run(rows, [buy(1, 1, 10, 9_995)])) == [(1, "BUY", 6, 9_995)]


def test_an_order_never_trades_with_the_accounts_own() -> None:
    rows = [*BOOK, FIRST, (2, "S", 9_990, 1), (3, "B", 9_999, 0 + 1), (4, "S", 9_999, 1)]
    script = [sell(1, 1, 10, 9_998), sell(1, 2, 10, 9_999), buy(2, 3, 5, 9_998)]
    result = run(rows, script)
    assert ended(result)[0] == (1, "EXPIRED", "expired rather than trade with itself")
    # the offer at 99.98 made way for the buy, the one at 99.99 and the buy met the market
    assert filled(result) == [(2, "SELL", 1, 9_999)]
    assert result.working == 2


def test_good_till_date_ends_before_the_next_event() -> None:
    rows = [(1, "B", 10_000, 5), (2, "B", 10_000, 5), (4, "S", 9_980, 5), (5, "S", 9_980, 5)]
    script = [
        buy(1, 1, 10, 9_990, time_in_force=GTD, expire_ns=ns(3)),
        buy(1, 2, 10, 9_989, time_in_force=GTD, expire_ns=ns(4.5)),
    ]
    result = run(rows, script)
    assert filled(result) == [(2, "BUY", 5, 9_989)]
    assert ended(result) == [
        (1, "EXPIRED", "good till date is over"),
        (2, "EXPIRED", "good till date is over"),
    ]


def test_a_cancelled_order_is_not_filled_and_a_cancel_that_comes_too_late_is_void() -> None:
    rows = [
        (1, "B", 10_000, 5),
        (2, "B", 10_000, 5),
        (3, "S", 9_980, 5),
        (4, "S", 9_980, 5),
        (5, "S", 9_970, 50),
    ]
    script = [buy(1, 1, 5, 9_990), buy(1, 2, 10, 9_985), cancelled(3, 1), cancelled(3, 2)]
    result = run(rows, script)
    assert filled(result) == [(1, "BUY", 5, 9_990)]
    assert ended(result) == [(1, "FILLED", ""), (2, "CANCELED", "cancelled on request")]


def test_an_amendment_to_fewer_lots_keeps_the_queue_and_any_other_goes_to_the_back() -> None:
    rows = [
        *BOOK, FIRST, (2, "B", 10_000, 1), (3, "S", 9_990, 45), (4, "B", 10_000, 1),
        (5, "bid", 9_990, 30), (6, "S", 9_990, 8), (7, "B", 10_000, 1),
    ]  # fmt: skip
    kept = run(rows, [buy(1, 1, 10, 9_990), amended(4, 1, 6, 9_990)])
    # 5 lots were ahead at the amendment: 8 lots later three are ours
    assert filled(kept) == [(1, "BUY", 3, 9_990)]
    grown = run(rows, [buy(1, 1, 10, 9_990), amended(4, 1, 11, 9_990)])
    # at the back of the 5 that were left, then 30: still behind when 8 trade
    assert filled(grown) == [(1, "BUY", 3, 9_990)]
    moved = run(rows, [buy(1, 1, 10, 9_990), amended(5, 1, 10, 9_990), amended(5, 1, 12, 9_990)])
    assert filled(moved) == []


def test_fills_and_orders_say_how_long_the_queue_was_that_they_joined() -> None:
    rows = [*BOOK, FIRST, (2, "B", 10_000, 1), (3, "S", 9_990, 52), (4, "S", 9_990, 2), (5, "S", 9_980, 900)]
    script = [
        buy(1, 1, 10, 9_990),
        buy(1, 2, 5, 9_991),  # inside the spread: first at its price
        buy(1, 3, 3, kind=MARKET, time_in_force=IOC),
    ]
    result = run(rows, script)
    ahead = {1: 50, 2: 0, 3: None}
    assert set(result.fills["order"]) == {1, 2, 3}
    for table in (result.fills, result.orders):
        assert all(ahead[order] == lots for order, lots in table.select("order", "lots_ahead").iter_rows())
    again = run(rows, [buy(1, 1, 10, 9_990), amended(3, 1, 10, 9_985), amended(4, 1, 10, 9_980)])
    assert again.fills["lots_ahead"].to_list() == [50, 0], "the second after joining another queue"


def test_without_depth_the_queue_is_unknown_or_assumed() -> None:
    rows = [(1, "B", 10_000, 5), (2, "B", 10_000, 5), (3, "S", 9_980, 900)]
    assert run(rows, [buy(1, 1, 10, 9_990)]).fills["lots_ahead"].to_list() == [None]
    assumed = run(rows, [buy(1, 1, 10, 9_990)], queue=Queue(assumed=0.02))
    assert assumed.fills["lots_ahead"].to_list() == [20]


def test_both_sides_and_a_round_trip_to_the_last_unit() -> None:
    rows = [
        (1, "B", 10_000, 5),
        (2, "B", 10_000, 5),
        (3, "S", 9_980, 50),
        (4, "B", 10_020, 50),
        (5, "B", 10_000, 1),
    ]
    script = [buy(1, 1, 10, 9_990), sell(1, 2, 10, 10_010)]
    result = run(rows, script)
    assert filled(result) == [(1, "BUY", 10, 9_990), (2, "SELL", 10, 10_010)]
    # 0.01 * (100.10 - 99.90) = 0.002
    assert result.books["cash"] - 10_000 * 10**8 == 200_000
    assert result.books["base"] == 0 and result.books["realised"] == 200_000
    assert len(result.trades) == 1 and result.statistics.trades == 1
    assert result.trades[0]["profit"] == pytest.approx(0.002, abs=1e-9)


def test_the_side_constants_are_signs() -> None:
    assert (BUY, SELL) == (1, -1)

"""The engine against ledgers computed by hand, to the last unit."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from qtm.backtest import sinks
from qtm.backtest.engine import run_backtest
from qtm.backtest.layout import layout_of
from qtm.errors import DataError, StrategyError
from qtm.market.bars import BarSeries
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.risk.rules import HALTED, REDUCING, GateLimits
from qtm.trading.book import SIZE_BY_UNITS, Sizing
from qtm.trading.costs import FEE_IN_QUOTE, FEE_IN_RECEIVED_ASSET, CostModel
from tests.backtest.scripted import NO_CHANGE, START_MS, bars, instrument, scripted

FREE = CostModel(0.0, 0.0, 0.0, FEE_IN_QUOTE)
ONE_UNIT = Sizing(SIZE_BY_UNITS, 1.0)
WIDE = GateLimits(1e9, 1e9, 0.5, 0.9, 0.9, 100.0, 10_000.0, 5_000.0)


def run(rows, *, costs=FREE, sizing=ONE_UNIT, cash=1_000.0, market=Market.SPOT, series=None, **more):  # type: ignore[no-untyped-def]
    return run_backtest(
        scripted,
        {},
        series if series is not None else bars(rows),
        instrument(market),
        cash=cash,
        costs=costs,
        sizing=sizing,
        **more,
    )


def test_a_target_is_filled_at_the_next_open_never_at_its_own_close() -> None:
    result = run([(100, 101, 1), (102, 103, NO_CHANGE), (104, 105, 0), (106, 107, NO_CHANGE)])
    assert result.orders["fill_price"].to_list() == [102.0, 106.0]
    assert result.orders["decided_ms"].to_list() == [START_MS + 60_000, START_MS + 180_000]
    assert result.equity.tolist() == [1_000.0, 1_001.0, 1_003.0, 1_004.0]


def test_signals_are_the_answers_with_nan_for_no_change() -> None:
    result = run([(100, 100, 1), (100, 100, NO_CHANGE), (100, 100, 0)])
    np.testing.assert_array_equal(result.signals, [1.0, math.nan, 0.0])


def test_spot_buy_pays_its_fee_in_the_base_received_and_sell_in_quote() -> None:
    costs = CostModel(0.001, 0.001, 0.0, FEE_IN_RECEIVED_ASSET)
    result = run([(100, 100, 1), (100, 100, 0), (110, 110, NO_CHANGE)], costs=costs)
    bought, sold = result.order_rows
    assert (
        bought["qty_after"] == 0.999 and bought["cash_after"] == 900.0 and bought["fee"] == pytest.approx(0.1)
    )
    # 0.999 held, all of it whole lots; the fee of the sale is 0.999 * 110 * 0.001
    assert sold["qty_after"] == 0.0
    assert sold["cash_after"] == pytest.approx(900.0 + 109.89 - 0.10989, abs=1e-12)


def test_a_fee_in_base_leaves_dust_below_a_lot_that_counts_as_flat() -> None:
    costs = CostModel(0.001, 0.001, 0.0, FEE_IN_RECEIVED_ASSET)
    sizing = Sizing(SIZE_BY_UNITS, 0.5)
    result = run(
        [(100, 100, 1), (100, 100, 0), (100, 100, NO_CHANGE), (100, 100, NO_CHANGE)],
        costs=costs,
        sizing=sizing,
    )
    assert result.order_rows["qty_after"].tolist() == [0.4995, 0.0005]
    assert result.orders["lots"].to_list() == [500, 499]
    assert len(result.trades) == 1 and result.statistics.exposure == 0.25


def test_slippage_moves_the_taker_to_the_worse_tick() -> None:
    costs = CostModel(0.0, 0.0, 1.5, FEE_IN_QUOTE)  # 1.5 bp of 100 is 0.015: 100.02 to buy, 99.98 to sell
    result = run([(100, 100, 1), (100, 100, 0), (100, 100, NO_CHANGE)], costs=costs)
    assert result.orders["fill_price"].to_list() == [100.02, 99.98]


def test_a_gap_beyond_the_limit_expires_and_is_tried_again_at_the_next_close() -> None:
    result = run([(100, 100, 1), (102, 102, NO_CHANGE), (102.5, 103, NO_CHANGE), (103, 103, NO_CHANGE)])
    assert result.orders["status"].to_list() == ["EXPIRED", "FILLED"]
    assert result.orders["limit_price"].to_list() == [101.0, 103.02]
    assert result.orders["fill_price"].to_list()[1] == 102.5


def test_an_order_at_its_limit_exactly_is_filled() -> None:
    result = run([(100, 100, 1), (101, 101, NO_CHANGE)])
    assert result.orders["status"].to_list() == ["FILLED"]


def test_the_last_bars_order_is_still_working_and_in_no_ledger() -> None:
    result = run([(100, 100, NO_CHANGE), (100, 100, 1)])
    assert len(result.orders) == 0 and result.equity.tolist() == [1_000.0, 1_000.0]


def test_weights_size_by_equity_and_never_spend_more_than_the_cash_at_the_limit() -> None:
    result = run([(100, 100, 1), (100, 100, NO_CHANGE)], sizing=Sizing())
    # ten units are wanted, but at the protective limit of 101 the cash of 1000 covers 9.900
    assert result.orders["lots"].to_list() == [9_900]


def test_spot_cannot_go_short_and_futures_can() -> None:
    rows = [(100, 100, -1), (100, 100, NO_CHANGE), (90, 90, NO_CHANGE)]
    assert len(run(rows).orders) == 0
    short = run(rows, market=Market.UM)
    assert short.order_rows["qty_after"].tolist() == [-1.0] and short.equity[-1] == 1_010.0


def test_a_reversal_closes_one_round_trip_and_opens_the_next() -> None:
    result = run(
        [(100, 100, 1), (100, 100, -1), (110, 110, 0), (105, 105, NO_CHANGE)],
        market=Market.UM,
        costs=CostModel(0.0, 0.001, 0.0, FEE_IN_QUOTE),
    )
    first, second = result.trades
    # long 1 at 100 to 110: +10, fees 0.1 + half of 0.22; short 1 from 110 to 105: +5, fees 0.11 + 0.105
    assert first["profit"] == pytest.approx(10 - 0.1 - 0.11)
    assert second["profit"] == pytest.approx(5 - 0.11 - 0.105)
    assert (first["side"], second["side"]) == (1, -1)
    assert result.equity[-1] == pytest.approx(1_000 + first["profit"] + second["profit"], abs=1e-9)


def test_an_order_below_the_smallest_notional_is_not_sent_and_the_target_counts_as_reached() -> None:
    result = run([(100, 100, 0.04), (100, 100, 0.04), (100, 100, 1), (100, 100, NO_CHANGE)])
    assert result.orders["lots"].to_list() == [1_000]


def test_the_gate_refuses_by_its_control_and_does_not_ask_again_until_the_target_changes() -> None:
    tight = WIDE._replace(max_order_value=150.0)
    rows = [(100, 100, 2), (100, 100, 2), (100, 100, 1), (100, 100, NO_CHANGE)]
    result = run(rows, limits=tight)
    assert result.orders.select("status", "control").rows() == [("REFUSED", "PT-03"), ("FILLED", "")]


def test_the_gate_stops_new_risk_after_a_drawdown_but_lets_the_position_shrink() -> None:
    limits = WIDE._replace(max_drawdown=0.10)
    rows = [(100, 100, 5), (100, 82, NO_CHANGE), (82, 82, 6), (82, 82, 0), (82, 82, NO_CHANGE)]
    result = run(rows, limits=limits)  # 5 units fall by 18: 9 % of 1000, above 80 % of the limit
    assert result.orders.select("side", "status", "control").rows() == [
        ("BUY", "FILLED", ""),
        ("BUY", "REFUSED", "PT-09"),
        ("SELL", "FILLED", ""),
    ]


def test_the_gate_counts_messages_in_its_window() -> None:
    rows = [(100, 100, i % 2) for i in range(1, 9)]
    result = run(rows, limits=WIDE._replace(max_messages=2.0, message_window_ms=180_000.0))
    assert result.orders["control"].to_list().count("PT-05") > 0
    assert result.orders["status"].to_list()[:3] == ["FILLED", "FILLED", "REFUSED"]


SMALL = WIDE._replace(max_order_value=250.0)
"""Two units at a limit price near 100 are 202; three are above."""


def test_a_position_that_outgrew_the_order_limit_leaves_in_parts_until_its_target_is_met() -> None:
    rows = [(40, 40, 5), (40, 100, 0), (100, 100, NO_CHANGE), (100, 100, NO_CHANGE), (100, 100, NO_CHANGE)]
    result = run(rows, limits=SMALL)
    # At the limit price of 99 an order may hold 2.525 units: 5 leave as 2.525 and 2.475.
    assert result.orders.select("bar", "side", "lots", "status").rows() == [
        (0, "BUY", 5_000, "FILLED"),
        (1, "SELL", 2_525, "FILLED"),
        (2, "SELL", 2_475, "FILLED"),
    ]
    assert result.order_rows["cash_after"].tolist() == [800.0, 1_052.5, 1_300.0]
    assert result.equity.tolist() == [1_000.0, 1_300.0, 1_300.0, 1_300.0, 1_300.0]


def test_a_volume_limit_cuts_exits_as_a_value_limit_does() -> None:
    rows = [(40, 40, 3), (40, 40, 0), (40, 40, NO_CHANGE), (40, 40, NO_CHANGE), (40, 40, NO_CHANGE)]
    limits = WIDE._replace(max_order_qty=3.0)
    assert run(rows, limits=limits).orders["lots"].to_list() == [3_000, 3_000]
    entered = run(None, series=bars(rows).slice(0, 2), limits=limits)
    tight = limits._replace(max_order_qty=1.25)
    result = run(None, series=bars(rows).slice(2, 5), limits=tight, resume=entered.snapshot)
    assert result.orders["lots"].to_list() == [3_000]  # sent before the limit changed
    entered = run(None, series=bars(rows).slice(0, 1), limits=limits)
    result = run(None, series=bars(rows).slice(1, 5), limits=tight, resume=entered.snapshot)
    assert result.orders["lots"].to_list() == [3_000, 1_250, 1_250, 500]


def test_a_snapshot_of_another_layout_is_refused() -> None:
    rows = [(40, 40, 3), (40, 40, 0)]
    snapshot = run(None, series=bars(rows).slice(0, 1)).snapshot
    older = replace(snapshot, session=snapshot.session[8:], layout="0" * 16)
    with pytest.raises(StrategyError, match="laid out differently"):
        run(None, series=bars(rows).slice(1, 2), resume=older)


def test_fields_added_renamed_or_moved_are_another_layout() -> None:
    fields = [("qty", "f8"), ("armed", "?")]
    layouts = [fields, [*fields, ("trail", "f8")], [("lots", "f8"), fields[1]], fields[::-1], [fields[0]]]
    assert len({layout_of((np.zeros(1, np.dtype(one, align=True)),)) for one in layouts}) == len(layouts)


def test_an_entry_above_the_order_limit_is_refused_whole_and_not_repeated() -> None:
    result = run([(100, 100, 3), (100, 100, NO_CHANGE), (100, 100, NO_CHANGE)], limits=SMALL)
    assert result.orders.select("side", "lots", "status", "control").rows() == [
        ("BUY", 3_000, "REFUSED", "PT-03")
    ]


def test_a_target_given_back_during_an_exit_in_parts_is_traded_again() -> None:
    rows = [(40, 40, 5), (40, 100, 0), (100, 100, 5), (100, 100, NO_CHANGE), (100, 100, NO_CHANGE)]
    limits = WIDE._replace(max_order_value=260.0)
    result = run(rows, limits=limits)
    # 260 / 99 lets 2.626 leave; the same target as at first then asks for them again, at a limit of 101:
    # 265.23, an entry above the limit.
    assert result.orders.select("side", "lots", "status").rows() == [
        ("BUY", 5_000, "FILLED"),
        ("SELL", 2_626, "FILLED"),
        ("BUY", 2_626, "REFUSED"),
    ]


def test_a_turn_above_the_order_limit_closes_first_and_a_refused_turn_still_closes() -> None:
    rows = [(100, 100, 2), (100, 100, -2), (100, 100, NO_CHANGE), (100, 100, NO_CHANGE)]
    cut = run(rows, limits=SMALL, market=Market.UM)
    assert cut.orders.select("side", "lots", "status").rows() == [
        ("BUY", 2_000, "FILLED"),
        ("SELL", 2_000, "FILLED"),
        ("SELL", 2_000, "FILLED"),
    ]
    # A position of 2 may be worth 250 and one of 3 may not: the whole turn is refused, its first half is not.
    rows[1] = (100, 100, -3)
    refused = run(rows, limits=WIDE._replace(max_position_value=250.0), market=Market.UM)
    assert refused.orders.select("side", "lots", "status", "control").rows() == [
        ("BUY", 2_000, "FILLED", ""),
        ("SELL", 5_000, "REFUSED", "PT-07"),
        ("SELL", 2_000, "FILLED", ""),
    ]
    assert refused.order_rows["qty_after"][-1] == 0.0


def test_an_exit_refused_for_its_pace_is_asked_again_at_the_next_close() -> None:
    rows = [(100, 100, 1), (100, 100, 0), (100, 100, NO_CHANGE), (100, 100, NO_CHANGE)]
    limits = WIDE._replace(max_messages=1.0, message_window_ms=120_000.0)
    result = run(rows, limits=limits)
    assert result.orders.select("bar", "side", "status", "control").rows() == [
        (0, "BUY", "FILLED", ""),
        (1, "SELL", "REFUSED", "PT-05"),
        (2, "SELL", "FILLED", ""),
    ]


LOSING = [(100, 100, 5), (100, 90, NO_CHANGE), (90, 79, 6), (79, 95, 0), (95, 95, NO_CHANGE), (95, 95, 1)]
"""Five units bought at 100 with 1000: at 79 the account has lost 105 of 1000, more than a tenth."""


def test_above_its_loss_limit_a_halted_run_sends_nothing_any_more_and_says_since_when() -> None:
    limits = WIDE._replace(max_drawdown=0.1, at_loss_limit=float(HALTED))
    result = run([*LOSING, (95, 95, NO_CHANGE)], limits=limits)
    assert result.orders.select("bar", "side", "status", "control").rows() == [
        (0, "BUY", "FILLED", ""),
        (2, "BUY", "REFUSED", "PT-09,KS-03"),
        (3, "SELL", "REFUSED", "KS-03"),  # the loss is within its limit again; the halt stands
        (5, "SELL", "REFUSED", "KS-03"),  # and an exit is not asked for again until the target changes
    ]
    assert result.loss_limit.passed_ms == START_MS + 3 * 60_000


def test_above_its_loss_limit_a_reducing_run_lets_the_position_go_and_nothing_else() -> None:
    limits = WIDE._replace(max_drawdown=0.1, at_loss_limit=float(REDUCING))
    rows = [*LOSING[:3], (79, 79, 0), (79, 79, 1), (79, 79, NO_CHANGE)]
    result = run(rows, limits=limits)
    assert result.orders.select("bar", "side", "lots", "status", "control").rows() == [
        (0, "BUY", 5_000, "FILLED", ""),
        (2, "BUY", 1_000, "REFUSED", "PT-09"),
        (3, "SELL", 5_000, "FILLED", ""),
        (4, "BUY", 1_000, "REFUSED", "PT-09"),
    ]
    assert result.loss_limit.passed_ms == START_MS + 3 * 60_000
    whole = run(rows, limits=limits)
    head = run(None, series=bars(rows).slice(0, 4), limits=limits)
    tail = run(None, series=bars(rows).slice(4, 6), limits=limits, resume=head.snapshot)
    assert (tail.loss_limit, tail.snapshot.book) == (whole.loss_limit, whole.snapshot.book)


def test_a_missing_limit_refuses_everything() -> None:
    result = run([(100, 100, 1), (100, 100, NO_CHANGE)], limits=WIDE._replace(daily_loss=math.nan))
    assert result.orders["status"].to_list() == ["REFUSED"]


def test_the_daily_loss_counts_from_the_close_before_midnight() -> None:
    day = Interval.H12
    rows = [(100, 100, 5), (100, 98, NO_CHANGE), (98, 96.5, 6), (96.5, 96.5, NO_CHANGE)]
    # Day 1 ends at 990 of equity, a loss of 10; the third close is 982.5, a loss of 7.5 on day 2.
    limits = WIDE._replace(daily_loss=0.02, max_drawdown=0.9, at_loss_limit=float(REDUCING))
    loose = run(None, series=bars(rows, day), limits=limits)
    tight = run(None, series=bars(rows, day), limits=limits._replace(daily_loss=0.009))
    assert loose.orders["status"].to_list() == ["FILLED", "FILLED"]
    assert tight.orders.select("status", "control").rows()[1] == ("REFUSED", "PT-09")
    assert tight.loss_limit.passed_ms == START_MS + 2 * day.ms and loose.loss_limit.passed_ms == 0


def test_bars_before_trade_from_only_warm_up() -> None:
    rows = [(100, 100, 1)] * 4
    result = run(rows, trade_from_ms=START_MS + 120_000)
    assert np.isnan(result.signals[:2]).all() and result.signals[2] == 1.0
    assert result.orders["bar"].to_list() == [2]


def test_resuming_from_a_snapshot_with_an_order_working_changes_nothing() -> None:
    rows = [(100, 100, 1), (103, 103, NO_CHANGE), (103, 104, NO_CHANGE), (104, 100, 0), (99, 98, NO_CHANGE)]
    whole = run(rows, limits=WIDE)
    for cut in range(1, len(rows)):
        head = run(None, series=bars(rows).slice(0, cut), limits=WIDE)
        tail = run(None, series=bars(rows).slice(cut, len(rows)), limits=WIDE, resume=head.snapshot)
        assert tail.equity.tobytes() == whole.equity[cut:].tobytes()
        assert tail.snapshot.book == whole.snapshot.book
        joined = head.orders["fill_price"].to_list() + tail.orders["fill_price"].to_list()
        np.testing.assert_array_equal(joined, whole.orders["fill_price"].to_list())


def test_a_run_with_more_orders_than_it_had_room_for_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    # A target that changes at every bar, under a gate that refuses every second order and notes it at once.
    rows = [(100 + i % 7, 100 + i % 5, (1, 0)[i % 2]) for i in range(60)]
    limits = WIDE._replace(max_messages=3.0, message_window_ms=300_000.0)
    roomy = run(rows, limits=limits)
    monkeypatch.setattr(sinks, "_ROOM", 3)
    tight = run(rows, limits=limits)
    assert len(roomy.order_rows) > 24 and {"FILLED", "EXPIRED", "REFUSED"} == set(roomy.orders["status"])
    assert tight.orders.equals(roomy.orders)
    np.testing.assert_array_equal(tight.equity, roomy.equity)
    np.testing.assert_array_equal(tight.signals, roomy.signals)
    assert tight.snapshot == roomy.snapshot


def test_a_snapshot_refuses_bars_it_has_already_seen() -> None:
    series = bars([(100, 100, 1)] * 3)
    head = run(None, series=series)
    with pytest.raises(DataError, match="begin before the snapshot ends"):
        run(None, series=series, resume=head.snapshot)


@pytest.mark.parametrize("spoil", ["empty", "order", "price"])
def test_bars_that_cannot_be_run_on_are_named(spoil: str) -> None:
    series = bars([(100, 100, 1)] * 3)
    if spoil == "empty":
        series = series.slice(0, 0)
    elif spoil == "order":
        series.open_time_ms[2] = series.open_time_ms[1]
    else:
        series.close[1] = math.nan
    with pytest.raises(DataError) as caught:
        run(None, series=series)
    assert "BTCUSDT" in caught.value.where and caught.value.remedy


def test_unknown_parameters_are_named() -> None:
    with pytest.raises(StrategyError, match="unknown parameter 'speed'"):
        run_backtest(
            scripted, {"speed": 1}, bars([(1, 1, 1)]), instrument(), cash=1.0, costs=FREE, sizing=ONE_UNIT
        )


def test_columns_of_a_matrix_run_as_contiguous_ones_do() -> None:
    rows = [(100, 101, 1), (102, 103, 0), (104, 105, NO_CHANGE)]
    plain = bars(rows)
    matrix = np.column_stack([plain.open, plain.high, plain.low, plain.close, plain.volume])
    series = BarSeries("BTCUSDT", plain.interval, plain.open_time_ms, *(matrix[:, i] for i in range(5)))
    assert run(None, series=series).equity.tolist() == run(rows).equity.tolist()


@pytest.mark.parametrize("name", ["open", "high", "low", "close"])
@pytest.mark.parametrize("price", [0.0, -1.0, math.nan, math.inf])
def test_a_price_nobody_can_pay_is_named_with_its_bar(name: str, price: float) -> None:
    series = bars([(100, 100, 1), (100, 100, NO_CHANGE), (100, 100, 0)])
    column = getattr(series, name).copy()
    column[1] = price
    with pytest.raises(DataError, match=f"the {name} price is .*{price}") as refused:
        run((), series=replace(series, **{name: column}))
    assert "00:01:00Z" in str(refused.value)

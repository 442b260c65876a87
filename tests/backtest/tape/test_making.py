"""Mark-outs, edge and inventory of a small run, worked out by hand."""

from __future__ import annotations

import base64
import math

import numpy as np
import pytest

from qtm.backtest.tape.making import edge_at_the_fill, inventory_of, mark_outs
from qtm.backtest.tape.result import OrdersResult
from qtm.reports.blocks import Figure
from qtm.reports.tear_sheet import tear_sheet_document, tear_sheet_page
from qtm.trading.desk import IOC, MARKET
from tests.backtest.tape.scripted import buy, run, sell

ROWS = [
    (0, "B", 10_000, 500),
    (2, "S", 10_000, 500),
    (3, "S", 9_970, 500),  # through 99.80: the resting buy of 100 lots is filled there
    (3.5, "B", 9_990, 500),
    (4, "S", 9_960, 500),
    (13, "B", 10_020, 500),
    (40, "B", 10_100, 500),  # through 100.50: the resting sell of 40 lots
    (62, "S", 9_900, 500),
]
SCRIPT = [
    buy(2, 1, 100, 9_980),
    sell(13, 2, 40, 10_050),
    sell(40, 3, 60, kind=MARKET, time_in_force=IOC),
]


@pytest.fixture(scope="module")
def result() -> OrdersResult:
    return run(ROWS, SCRIPT)


def test_mark_outs_look_at_the_last_trade_at_their_horizon(result: OrdersResult) -> None:
    assert [(int(row["ticks"]), int(row["maker"])) for row in result.fill_rows] == [
        (9_980, 1), (10_050, 1), (10_099, 0),
    ]  # fmt: skip
    one, ten = mark_outs(result, maker=True, horizons_s=(1.0, 10.0))
    # a second later the market stands at 99.60 and at 101.00, ten seconds later at 100.20 and at 101.00
    buys, sells = 100 * 9_980, 40 * 10_050
    worth = [1e4 * (9_960 - 9_980) / 9_980, -1e4 * (10_100 - 10_050) / 10_050]
    assert one.mean_bps == pytest.approx((worth[0] * buys + worth[1] * sells) / (buys + sells))
    assert (one.fills, one.adverse) == (2, pytest.approx(1.0))
    later = [1e4 * (10_020 - 9_980) / 9_980, worth[1]]
    assert ten.mean_bps == pytest.approx((later[0] * buys + later[1] * sells) / (buys + sells))
    assert ten.adverse == pytest.approx(sells / (buys + sells))


def test_a_fill_that_the_tape_does_not_outlive_is_left_out(result: OrdersResult) -> None:
    (minute,) = mark_outs(result, maker=True, horizons_s=(59.0, 600.0))
    assert (minute.seconds, minute.fills) == (59.0, 1)
    assert mark_outs(result, maker=False, horizons_s=(60.0,)) == ()


def test_the_edge_is_against_the_trade_before_the_fill(result: OrdersResult) -> None:
    # bought at 99.80 after 100.00; sold at 100.50 after 100.20; sold at 100.99 after 101.00
    by_hand = 0.100 * 0.20 + 0.040 * 0.30 - 0.060 * 0.01
    assert edge_at_the_fill(result) == pytest.approx(by_hand)


def test_inventory_is_weighted_by_time(result: OrdersResult) -> None:
    found = inventory_of(result)
    # 0.1 from 3 s to 40 s, then nothing until the tape's end at 120 s
    assert found.mean == found.mean_size == pytest.approx(0.1 * 37 / 120)
    assert (found.longest, found.shortest) == (0.1, 0.0)
    assert found.flat == pytest.approx(83 / 120)
    assert found.turnover_s == pytest.approx(found.mean_size * 120 / 0.2)


def test_the_tear_sheet_tells_a_market_maker_what_he_asks(result: OrdersResult) -> None:
    page = tear_sheet_page(result)
    for text in (
        "Making the market",
        "Maker, 10 s later",
        "Earned by holding",
        "Time without a position",
    ):
        assert text in page, text


@pytest.mark.parametrize("axis", ["Paid, USDT", "Position, BTC"])
def test_the_charts_of_fees_and_position_reach_the_end_of_the_run(result: OrdersResult, axis: str) -> None:
    blocks = [block for section in tear_sheet_document(result).sections for block in section.blocks]
    figures = [one for one in blocks if isinstance(one, Figure)]
    (chart,) = [one for one in figures if one.layout.get("yaxis", {}).get("title", {}).get("text") == axis]
    for line in chart.data:
        moments = np.frombuffer(base64.b64decode(line["x"]["bdata"]), line["x"]["dtype"])
        assert moments[-1] == result.tape.end_ns // 1_000_000


def test_a_run_without_fills_has_nothing_to_mark_out() -> None:
    idle = run(ROWS, [])
    assert mark_outs(idle, maker=True) == () and math.isnan(inventory_of(idle).turnover_s)
    assert "No resting order was filled" in tear_sheet_page(idle)

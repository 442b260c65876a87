"""The sub-book: hand-computed ledgers, rounding, and the life of a target."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtm.errors import ConfigError
from qtm.trading.book import (
    SIZE_BY_UNITS,
    UNBOUNDED,
    Grid,
    Sizing,
    equity,
    limit_price_ticks,
    new_sub_book,
    on_complete,
    on_fill,
    on_refused,
    order_lots,
    set_desired,
)
from qtm.trading.costs import SPOT_COSTS, UM_COSTS, CostModel, taker_price_ticks
from qtm.trading.orders import client_order_id

SPOT = Grid(tick_size=0.01, step_size=0.00001, min_qty=0.00001, min_notional=5.0)
PERP = Grid(tick_size=0.1, step_size=0.001, min_qty=0.001, min_notional=5.0, spot=False)
BAND = 0.01


def test_spot_round_trip_to_the_last_unit() -> None:
    book = new_sub_book(100_000.0)[0]
    set_desired(book, 1.0)
    lots = order_lots(book, 60_000.0, Sizing(), SPOT, BAND, UNBOUNDED)
    # cash 100,000 covers floor(100,000 / (60,600.00 x 0.00001)) lots at the protective limit
    assert lots == 165_016.0
    fee = on_fill(book, lots, 60_006.0, False, SPOT_COSTS, SPOT)
    on_complete(book)
    # commission in base: 1.65016 x 0.001 = 0.00165016
    assert book["qty"] == pytest.approx(1.64850984, abs=1e-12)
    assert fee == pytest.approx(0.00165016 * 60_006.0, abs=1e-9)
    assert book["cash"] == pytest.approx(100_000 - 1.65016 * 60_006.0, abs=1e-9)
    set_desired(book, 0.0)
    lots = order_lots(book, 61_000.0, Sizing(), SPOT, BAND, UNBOUNDED)
    assert lots == -164_850.0  # the 0.00000984 beyond the lot grid stays as dust
    fee = on_fill(book, lots, 61_000.0, False, SPOT_COSTS, SPOT)
    assert fee == pytest.approx(1.6485 * 61_000 * 0.001, abs=1e-9)
    assert book["qty"] == pytest.approx(0.00000984, abs=1e-12)
    assert book["realised"] == pytest.approx(1.6485 * (61_000 - 60_006), abs=1e-9)


def test_perpetual_flips_short_and_keeps_its_entry_price() -> None:
    book = new_sub_book(10_000.0)[0]
    costs = UM_COSTS
    on_fill(book, 100.0, 50_000.0, True, costs, PERP)
    on_fill(book, -300.0, 51_000.0, False, costs, PERP)
    assert book["qty"] == pytest.approx(-0.2)
    assert book["entry_price"] == 51_000.0
    assert book["realised"] == pytest.approx(0.1 * 1_000)
    fees = 0.1 * 50_000 * 0.0002 + 0.3 * 51_000 * 0.0005
    assert book["fees"] == pytest.approx(fees)
    assert equity(book, 51_000.0) == pytest.approx(10_000 + 100 - fees)


def test_an_unfilled_target_is_tried_again_and_a_refused_one_is_not() -> None:
    book = new_sub_book(100_000.0)[0]
    set_desired(book, 0.5)
    first = order_lots(book, 100.0, Sizing(), SPOT, BAND, UNBOUNDED)
    assert first > 0
    assert order_lots(book, 100.0, Sizing(), SPOT, BAND, UNBOUNDED) == first
    on_refused(book, first, SPOT, False)
    assert order_lots(book, 100.0, Sizing(), SPOT, BAND, UNBOUNDED) == 0.0
    set_desired(book, 0.6)
    assert order_lots(book, 100.0, Sizing(), SPOT, BAND, UNBOUNDED) > first


def test_nan_target_changes_nothing() -> None:
    book = new_sub_book(1_000.0)[0]
    set_desired(book, 0.5)
    set_desired(book, np.nan)
    assert book["desired"] == 0.5


def test_orders_below_the_minimum_notional_are_not_sent() -> None:
    book = new_sub_book(1_000.0)[0]
    set_desired(book, 0.004)  # 4 USDT, the venue wants 5
    assert order_lots(book, 100.0, Sizing(), SPOT, BAND, UNBOUNDED) == 0.0
    assert book["achieved"] == 0.004


def test_spot_never_sells_short() -> None:
    book = new_sub_book(1_000.0)[0]
    set_desired(book, -1.0)
    assert order_lots(book, 100.0, Sizing(), SPOT, BAND, UNBOUNDED) == 0.0


def test_units_sizing_ignores_equity() -> None:
    book = new_sub_book(10_000_000.0)[0]
    set_desired(book, 1.0)
    assert order_lots(book, 30_000.0, Sizing(SIZE_BY_UNITS, 1.0), SPOT, BAND, UNBOUNDED) == 100_000.0


@settings(deadline=None)  # the first call loads machine code
@given(
    price=st.integers(1, 10_000_000).map(lambda ticks: ticks / 100),
    target=st.floats(0, 1),
    cash=st.floats(10, 1e7),
)
def test_a_spot_buy_is_always_covered_by_cash_at_its_limit(price: float, target: float, cash: float) -> None:
    book = new_sub_book(cash)[0]
    set_desired(book, target)
    lots = order_lots(book, price, Sizing(), SPOT, BAND, UNBOUNDED)
    limit = limit_price_ticks(1, price, SPOT.tick_size, BAND) * SPOT.tick_size
    assert lots * SPOT.step_size * limit <= cash * (1 + 1e-9)


@settings(deadline=None)  # the first call loads machine code
@given(
    fills=st.lists(
        st.tuples(st.integers(-500, 500).filter(bool), st.integers(1, 10_000_000)), min_size=1, max_size=40
    )
)
def test_money_is_conserved_over_any_fills(fills: list[tuple[int, int]]) -> None:
    book = new_sub_book(1e6)[0]
    costs = CostModel(0.0002, 0.0005, 0.0, 0)
    cash, qty = 1e6, 0.0
    for lots, ticks in fills:
        price = ticks * PERP.tick_size
        fee = on_fill(book, float(lots), price, False, costs, PERP)
        cash -= lots * PERP.step_size * price + fee
        qty += lots * PERP.step_size
    assert book["cash"] == pytest.approx(cash, rel=1e-9, abs=1e-6)
    assert book["qty"] == pytest.approx(qty, abs=1e-8)
    assert book["fills"] == len(fills)


@pytest.mark.parametrize(
    ("side", "reference", "bps", "ticks"),
    [
        (1, 60_000.00, 0.0, 6_000_000),
        (-1, 60_000.01, 0.0, 6_000_001),
        (1, 60_000.00, 1.0, 6_000_600),
        (-1, 60_000.00, 1.0, 5_999_400),
        (1, 60_000.01, 1.0, 6_000_602),  # 60,006.010001 rounds against the buyer
        (-1, 60_000.01, 1.0, 5_999_400),  # 59,994.009999 rounds against the seller
    ],
)
def test_taker_price_rounds_against_the_taker(side: int, reference: float, bps: float, ticks: int) -> None:
    assert taker_price_ticks(side, reference, 0.01, bps) == ticks


def test_client_order_ids_are_deterministic_and_fit_the_venue() -> None:
    assert client_order_id("trend", "BTCUSDT", 7) == "trend-BTCUSDT-0000007"
    with pytest.raises(ConfigError, match="36"):
        client_order_id("a-strategy-with-a-long-name", "1000PEPEUSDT", 1)

"""The compiled engine against a slow, plain re-implementation of the same rules in exact decimals."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtm.backtest.engine import run_backtest
from qtm.market.instruments import Market
from qtm.trading.book import SIZE_BY_UNITS, SIZE_BY_WEIGHT, Sizing
from qtm.trading.costs import FEE_IN_QUOTE, FEE_IN_RECEIVED_ASSET, CostModel
from tests.backtest.scripted import NO_CHANGE, bars, instrument, scripted

TICK, STEP, MIN_NOTIONAL = Decimal("0.01"), Decimal("0.001"), Decimal(5)
EIGHT = Decimal("1e-8")


class PlainBook:
    """Cash, position and the life of a target, in decimals."""

    def __init__(self, cash: Decimal, spot: bool, sizing: Sizing, costs: CostModel, band: Decimal) -> None:
        self.cash, self.qty, self.spot, self.sizing, self.costs, self.band = (
            cash,
            Decimal(0),
            spot,
            sizing,
            costs,
            band,
        )
        self.desired = self.achieved = Decimal(0)
        self.order: tuple[Decimal, Decimal] | None = None
        self.fills: list[tuple[int, Decimal, Decimal]] = []
        self.expired = 0

    def meet_open(self, i: int, price: Decimal) -> None:
        if self.order is None:
            return
        qty, limit = self.order
        self.order = None
        side = 1 if qty > 0 else -1
        slipped = price * (1 + side * Decimal(str(self.costs.slippage_bps)) / 10_000)
        paid = (slipped / TICK).to_integral_value(ROUND_CEILING if side > 0 else ROUND_FLOOR) * TICK
        if side * paid > side * limit:
            self.expired += 1
            return
        rate = Decimal(str(self.costs.taker_rate))
        self.cash -= qty * paid
        self.qty += qty
        if self.costs.fee_in == FEE_IN_RECEIVED_ASSET and side > 0:
            self.qty -= (qty * rate).quantize(EIGHT, ROUND_DOWN)
        else:
            self.cash -= (abs(qty) * paid * rate).quantize(EIGHT, ROUND_DOWN)
        self.achieved = self.desired
        self.fills.append((i, qty, paid))

    def close(self, price: Decimal, target: Decimal | None) -> Decimal:
        equity = self.cash + self.qty * price
        if target is not None:
            self.desired = target
        if self.desired == self.achieved:
            return equity
        amount = Decimal(str(self.sizing.amount))
        wanted = self.desired * amount
        if self.sizing.mode == SIZE_BY_WEIGHT:
            wanted = wanted * equity / price
        if self.spot:
            wanted = max(wanted, Decimal(0))
        lots = ((wanted - self.qty) / STEP).to_integral_value(ROUND_DOWN)
        side = 1 if lots > 0 else -1
        edge = price * (1 + side * self.band) / TICK
        limit = edge.to_integral_value(ROUND_FLOOR if side > 0 else ROUND_CEILING) * TICK
        if self.spot and lots > 0:
            lots = min(lots, (self.cash / (limit * STEP)).to_integral_value(ROUND_FLOOR))
        if self.spot and lots < 0:
            lots = max(lots, -(self.qty / STEP).to_integral_value(ROUND_FLOOR))
        if lots == 0 or abs(lots) * STEP * limit < MIN_NOTIONAL:
            self.achieved = self.desired
        else:
            self.order = (lots * STEP, limit)
        return equity


step_sizes = st.integers(-250, 250)
targets = st.sampled_from([NO_CHANGE, NO_CHANGE, -1.0, -0.5, 0.0, 0.25, 0.5, 1.0])


@settings(max_examples=150, deadline=None)
@given(
    moves=st.lists(st.tuples(step_sizes, step_sizes, targets), min_size=2, max_size=60),
    spot=st.booleans(),
    sizing=st.sampled_from(
        [Sizing(SIZE_BY_UNITS, 1.5), Sizing(SIZE_BY_WEIGHT, 1.0), Sizing(SIZE_BY_WEIGHT, 0.3)]
    ),
    rate=st.sampled_from([0.0, 0.0004, 0.001]),
    slippage=st.sampled_from([0.0, 1.0, 7.5]),
    band=st.sampled_from([0.002, 0.01]),
)
def test_engine_equals_exact_decimals(
    moves: list[tuple[int, int, float]], spot: bool, sizing: Sizing, rate: float, slippage: float, band: float
) -> None:
    cents = 10_000
    rows = []
    for gap, move, target in moves:
        opened = max(100, cents + gap)
        cents = max(100, opened + move)
        rows.append((opened / 100, cents / 100, target))
    costs = CostModel(rate, rate, slippage, FEE_IN_RECEIVED_ASSET if spot else FEE_IN_QUOTE)
    market = Market.SPOT if spot else Market.UM
    result = run_backtest(
        scripted, {}, bars(rows), instrument(market), cash=10_000.0, costs=costs, sizing=sizing, band=band
    )

    plain = PlainBook(Decimal(10_000), spot, sizing, costs, Decimal(str(band)))
    equity = []
    for i, (opened, close, target) in enumerate(rows):
        plain.meet_open(i, Decimal(str(opened)))
        equity.append(plain.close(Decimal(str(close)), None if target == NO_CHANGE else Decimal(str(target))))

    filled = result.order_rows[result.order_rows["status"] == 0]
    seen = [
        (int(row["bar"]) + 1, int(row["lots"]) * STEP, Decimal(round(row["fill_price"] * 100)) * TICK)
        for row in filled
    ]
    assert seen == plain.fills
    assert int((result.order_rows["status"] == 1).sum()) == plain.expired
    assert float(result.book["qty"][0]) == pytest.approx(float(plain.qty), abs=1e-12)
    np.testing.assert_allclose(result.equity, [float(e) for e in equity], rtol=0, atol=2e-7)

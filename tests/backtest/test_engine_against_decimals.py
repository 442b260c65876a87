"""The compiled engine against a slow, plain re-implementation of the same rules in exact decimals."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtm.backtest.engine import run_backtest
from qtm.backtest.session import EXPIRED, PARTIAL
from qtm.market.instruments import Market
from qtm.trading.book import SIZE_BY_UNITS, SIZE_BY_WEIGHT, Sizing
from qtm.trading.costs import FEE_IN_BNB, FEE_IN_QUOTE, FEE_IN_RECEIVED_ASSET, VARIANCE_DECAY, CostModel
from tests.backtest.scripted import NO_CHANGE, TARGETS, bars, coded, instrument

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
        self.expired = self.partial = 0
        self.variance = self.last_close = Decimal(0)

    def fillable(self, qty: Decimal, volume: Decimal) -> Decimal:
        share = Decimal(str(self.costs.participation))
        if not share:
            return qty
        return min(abs(qty), (share * volume / STEP).to_integral_value(ROUND_FLOOR) * STEP).copy_sign(qty)

    def slippage(self, qty: Decimal, volume: Decimal) -> Decimal:
        fixed, impact = Decimal(str(self.costs.slippage_bps)) / 10_000, Decimal(str(self.costs.impact))
        return fixed + impact * self.variance.sqrt() * (abs(qty) / volume).sqrt() if volume else fixed

    def meet_open(self, i: int, price: Decimal, volume: Decimal) -> None:
        if self.order is None:
            return
        asked, limit = self.order
        self.order = None
        qty = self.fillable(asked, volume)
        if not qty:
            self.expired += 1
            return
        side = 1 if qty > 0 else -1
        slipped = price * (1 + side * self.slippage(qty, volume))
        paid = (slipped / TICK).to_integral_value(ROUND_CEILING if side > 0 else ROUND_FLOOR) * TICK
        if side * paid > side * limit:
            self.expired += 1
            return
        rate = Decimal(str(self.costs.taker_rate))
        self.cash -= qty * paid
        self.qty += qty
        if self.costs.fee_in == FEE_IN_RECEIVED_ASSET and side > 0:
            self.qty -= (qty * rate).quantize(EIGHT, ROUND_DOWN)
        elif self.costs.fee_in == FEE_IN_BNB:
            bnb = Decimal(str(self.costs.bnb_price))
            self.cash -= (abs(qty) * paid * rate / bnb).quantize(EIGHT, ROUND_DOWN) * bnb
        else:
            self.cash -= (abs(qty) * paid * rate).quantize(EIGHT, ROUND_DOWN)
        if qty == asked:
            self.achieved = self.desired
        else:
            self.partial += 1
        self.fills.append((i, qty, paid))

    def watch(self, price: Decimal) -> None:
        """Take a close into the running variance of returns."""
        if self.last_close:
            square = (price / self.last_close - 1) ** 2
            decay = Decimal(str(VARIANCE_DECAY))
            self.variance = decay * self.variance + (1 - decay) * square if self.variance else square
        self.last_close = price

    def close(self, price: Decimal, target: Decimal | None) -> Decimal:
        self.watch(price)
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
codes = st.sampled_from([0, *range(len(TARGETS))])
volumes = st.sampled_from([0, 1, 30, 150, 900])
"""Hundredths of a unit; the digit after them is the code of a target."""


@settings(max_examples=200, deadline=None)
@given(
    moves=st.lists(st.tuples(step_sizes, step_sizes, volumes, codes), min_size=2, max_size=60),
    spot=st.booleans(),
    sizing=st.sampled_from(
        [Sizing(SIZE_BY_UNITS, 1.5), Sizing(SIZE_BY_WEIGHT, 1.0), Sizing(SIZE_BY_WEIGHT, 0.3)]
    ),
    rate=st.sampled_from([0.0, 0.0004, 0.001]),
    slippage=st.sampled_from([0.0, 1.0, 7.5]),
    impact=st.sampled_from([0.0, 0.0, 0.3]),
    participation=st.sampled_from([0.0, 0.0, 0.1, 0.5]),
    burning=st.booleans(),
    band=st.sampled_from([0.002, 0.01]),
)
def test_engine_equals_exact_decimals(
    moves: list[tuple[int, int, int, int]], spot: bool, sizing: Sizing, rate: float, slippage: float,
    impact: float, participation: float, burning: bool, band: float,
) -> None:  # fmt: skip
    cents = 10_000
    rows = []
    for gap, move, volume, code in moves:
        opened = max(100, cents + gap)
        cents = max(100, opened + move)
        rows.append((opened / 100, cents / 100, (10 * volume + code) / 1000))
    fee_in = FEE_IN_BNB if burning else FEE_IN_RECEIVED_ASSET if spot else FEE_IN_QUOTE
    costs = CostModel(rate, rate, slippage, fee_in, impact, participation, 611.5)
    market = Market.SPOT if spot else Market.UM
    result = run_backtest(
        coded, {}, bars(rows), instrument(market), cash=10_000.0, costs=costs, sizing=sizing, band=band
    )

    plain = PlainBook(Decimal(10_000), spot, sizing, costs, Decimal(str(band)))
    equity = []
    for i, (opened, close, volume) in enumerate(rows):
        target = TARGETS[round(volume * 1000) % 10]
        plain.meet_open(i, Decimal(str(opened)), Decimal(str(volume)))
        equity.append(plain.close(Decimal(str(close)), None if target == NO_CHANGE else Decimal(str(target))))

    filled = result.order_rows[result.order_rows["filled_lots"] != 0]
    seen = [
        (int(row["bar"]) + 1, int(row["filled_lots"]) * STEP, Decimal(round(row["fill_price"] * 100)) * TICK)
        for row in filled
    ]
    assert seen == plain.fills
    status = result.order_rows["status"]
    assert int((status == EXPIRED).sum()) == plain.expired
    assert int((status == PARTIAL).sum()) == plain.partial
    assert float(result.book["qty"][0]) == pytest.approx(float(plain.qty), abs=1e-12)
    np.testing.assert_allclose(result.equity, [float(e) for e in equity], rtol=0, atol=2e-7)

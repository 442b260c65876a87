"""An isolated position through the account engine and on the paper exchange: the same end of it."""

from __future__ import annotations

import pytest

from qtm.backtest.account.engine import run_account
from qtm.backtest.account.panel import Listed, Panel
from qtm.backtest.account.seats import Seat
from qtm.backtest.account.terms import Conditions
from qtm.paper.um.margin import liquidation_price
from qtm.paper.wire import E8
from qtm.trading.book import SIZE_BY_UNITS, Sizing
from qtm.trading.costs import FEE_IN_QUOTE, CostModel
from qtm.trading.margin import MarginMode
from tests.backtest.account.markets import KEEP, series
from tests.backtest.scripted import scripted
from tests.paper.um.um_worlds import Desk, contract

COMMISSION = CostModel(0.0002, 0.0005, 0.0, FEE_IN_QUOTE)


@pytest.mark.parametrize("buy", [True, False])
def test_engine_and_paper_exchange_liquidate_at_the_same_price_and_leave_the_same_money(buy: bool) -> None:
    side, spread = (1, 0.1) if buy else (-1, -0.1)
    desk = Desk(100)
    account = desk.account()
    account.setting("BTCUSDT").isolated = True
    account.setting("BTCUSDT").leverage = 10
    desk.order(buy, "90")
    position = account.position("BTCUSDT", "BOTH")
    there = liquidation_price(desk.venue, account, position) / E8

    # The engine pays the same touch: it opens at 100.1 (99.9), then the price goes all the way.
    entry, end = 100 + spread, 85.0 if buy else 115.0
    rows = [
        (entry, entry, side * 90),
        (entry, entry, KEEP),
        (entry, max(entry, end), min(entry, end), end, KEEP),
    ]
    result = run_account(
        [Seat(scripted, sizing=Sizing(SIZE_BY_UNITS, 1.0))],
        Panel.of([Listed(contract(), series("BTCUSDT", rows))]),
        Conditions(10_000.0, costs=COMMISSION, leverage=10.0, margin_mode=MarginMode.ISOLATED),
    )
    assert result.orders["cause"].to_list() == ["target", "liquidation"]
    here = float(result.order_rows["fill_price"][-1])
    assert here == pytest.approx(there, abs=1e-6)

    tick = -0.1 if buy else 0.1
    price = 100.0
    while position.qty:
        assert (price - there) * side > 0.0, "alive beyond its liquidation price"
        price = round(price + tick, 1)
        desk.at(price)
        assert (price - there) * side <= 0.0 or position.qty, "dead before its liquidation price"
    # Off the engine's price by less than a tick and half the spread, and a commission on closing.
    wallet = account.wallets["USDT"] / E8
    assert wallet == pytest.approx(result.equity[-1], abs=90 * 0.2 + 90 * there * 0.0005)
    assert wallet > 10_000.0 - 90 * 10.01 - 9.0

"""A window of a tape begins where the market stood: trading in it is trading from there on over the whole."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from qtm.backtest.conditions.tape import TapeConditions
from qtm.backtest.funding import FundingRates
from qtm.backtest.tape.engine import run_orders_backtest
from qtm.backtest.tape.events import FUNDING, Tape, tape_of_bars
from qtm.market.instruments import Market
from qtm.market.synthetic import synthetic_funding
from qtm.strategies.order_contract import OrderStrategy
from qtm.strategies.registry import load_strategy
from qtm.trading.costs import SPOT_COSTS, UM_COSTS
from tests.backtest.scripted import instrument
from tests.backtest.tape.random_tapes import random_tape, walking_bars

IMPACT = SPOT_COSTS._replace(impact=0.5)
QUOTES = {"half_spread": 2.0, "skew": 10.0, "value": 20.0, "longest": 200.0, "requote_ms": 500}
MS = 1_000_000


def making() -> OrderStrategy:
    strategy = load_strategy("market-making")
    assert isinstance(strategy, OrderStrategy)
    return strategy


def tape_of(kind: str) -> Tape:
    if kind == "bars":
        return tape_of_bars(walking_bars(600, seed=3), instrument())
    return random_tape(3_000, deep=kind == "depth", seed=2)


@pytest.mark.parametrize("kind", ["bars", "trades", "depth"])
def test_a_window_gives_what_trading_from_its_start_over_the_whole_gives(kind: str) -> None:
    tape = tape_of(kind)
    step_ms = tape.interval.ms
    begin_ms = (tape.start_ns // MS + (tape.end_ns - tape.start_ns) // MS // 2) // step_ms * step_ms
    conditions = TapeConditions(tape, instrument(), 1_000.0, IMPACT)
    window = conditions.between(begin_ms, tape.end_ns // MS, 1_000.0, warm_up=0)
    assert window is not None
    if kind == "depth":
        watched = tape.split(begin_ms * MS)[0]
        first = run_orders_backtest(
            making(), QUOTES, watched, instrument(), cash=1_000.0, costs=IMPACT, trade_from_ms=begin_ms
        )
        assert window.tape.standing is not None
        assert window.tape.standing.levels.tobytes() == first.snapshot.levels
    cut, whole = (one.run(making(), QUOTES, trade_from_ms=begin_ms) for one in (window, conditions))
    assert len(cut.fill_rows) > 10
    for name in ("ts_ns", "side", "lots", "ticks", "fee", "cash_after", "base_after"):
        assert np.array_equal(cut.fill_rows[name], whole.fill_rows[name])
    assert np.array_equal(cut.equity, whole.equity[-len(cut.equity) :])
    for name in ("open", "close"):
        np.testing.assert_array_equal(getattr(cut.bars, name), getattr(whole.bars, name)[-len(cut.equity) :])


def test_a_taker_in_a_window_pays_for_the_volatility_before_it() -> None:
    tape = tape_of("trades")
    cut = tape.start_ns + 150 * 10**9
    conditions = TapeConditions(tape, instrument(), 1_000.0, IMPACT)
    window = conditions.between(cut // MS, tape.end_ns // MS, 1_000.0, warm_up=0)
    assert window is not None and window.tape.standing is not None
    assert window.tape.standing.values["variance"] > 0.0
    free = dataclasses.replace(conditions, costs=SPOT_COSTS)
    quick = free.between(cut // MS, tape.end_ns // MS, 1_000.0, warm_up=0)
    assert quick is not None and quick.tape.standing is not None
    before = tape.events[tape.events["ts_ns"] < cut]
    assert quick.tape.standing.values["last_ticks"] == before["ticks"][-1], "found from the end"


def test_a_window_in_which_only_payments_fall_due_is_none() -> None:
    rows = random_tape(300, deep=False, seed=1)
    start_ms = rows.start_ns // MS
    day = dataclasses.replace(rows, end_ns=rows.start_ns + 86_400 * 10**9)
    rates = FundingRates.from_frame(synthetic_funding("BTCUSDT", start_ms, start_ms + 2 * 86_400_000, 7))
    conditions = TapeConditions(day, instrument(Market.UM), 1_000.0, UM_COSTS, funding=rates)
    assert conditions.between(start_ms, start_ms + 3_600_000, 1_000.0, warm_up=0) is not None
    later = start_ms + 4 * 3_600_000
    assert conditions.between(later, start_ms + 12 * 3_600_000, 1_000.0, warm_up=0) is None


def test_the_payments_of_a_window_are_those_of_the_whole() -> None:
    """Those that fall into a gap of the bars stay with the bar before it, not with the window's last."""
    series = walking_bars(600, seed=3)
    kept = np.r_[0:200, 500:600]
    gapped = dataclasses.replace(
        series, **{name: getattr(series, name)[kept] for name in
                   ("open_time_ms", "open", "high", "low", "close", "volume")}
    )  # fmt: skip
    start_ms = int(series.open_time_ms[0])
    rates = FundingRates.from_frame(synthetic_funding("BTCUSDT", start_ms, start_ms + 2 * 86_400_000, 7))
    tape = tape_of_bars(gapped, instrument(Market.UM))
    conditions = TapeConditions(tape, instrument(Market.UM), 1_000.0, UM_COSTS, funding=rates)
    window = conditions.between(start_ms + 300 * 60_000, tape.end_ns // MS, 1_000.0, warm_up=0)
    assert window is not None
    run = run_orders_backtest(
        making(), QUOTES, window.tape, instrument(Market.UM), cash=1_000.0, costs=UM_COSTS
    )
    due = window.tape.events[window.tape.events["kind"] == FUNDING]
    assert run.lineage.funded and len(due) == 0
    assert np.count_nonzero(conditions._paid.events["kind"] == FUNDING) == 2

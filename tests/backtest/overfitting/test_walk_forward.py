"""Walk-forward: decisions see only the past, refits cost, and the tests join into one equity."""

import numpy as np
import pytest

from qtm.backtest.overfitting.trials import sharpe_ratios
from qtm.backtest.overfitting.walk_forward import walk_forward
from qtm.errors import RiskError
from qtm.strategies.registry import load_strategy
from tests.backtest.overfitting.market import (
    DAY_MS,
    FIRST_DAY,
    PER_DAY,
    bars_from,
    conditions,
    noise_steps,
    trending_steps,
)

TREND = load_strategy("trend")
GRID = [TREND.params({"fast": fast, "slow": slow}) for fast in (3, 8) for slow in (20, 40)]
STEPS = trending_steps(200, 5)


def walk(steps=STEPS, **settings):
    arguments = {"train_days": 60, "test_days": 30} | settings
    return walk_forward(TREND, GRID, [conditions(bars_from(steps))], **arguments)


def test_windows_cover_every_day_after_the_first_training_window_once():
    found = walk()
    assert found.open_time_ms[0] == (FIRST_DAY + 60) * DAY_MS
    assert found.open_time_ms.size == 140 * PER_DAY and (np.diff(found.open_time_ms) > 0).all()
    assert [step.test_to_ms - step.train_to_ms for step in found.steps] == [30 * DAY_MS] * 4 + [20 * DAY_MS]
    assert {step.train_to_ms - step.train_from_ms for step in found.steps} == {60 * DAY_MS}
    assert found.returns.size == 140


def test_each_choice_is_the_best_of_its_training_days():
    found = walk()
    (trials,) = found.trials
    for number, step in enumerate(found.steps):
        ratios = sharpe_ratios(trials.returns[30 * number : 30 * number + 60])
        assert step.params == GRID[int(ratios.argmax())] and step.train_sharpe == ratios.max()


def test_what_comes_later_changes_no_earlier_choice_and_no_earlier_equity():
    known = 120 * PER_DAY
    poisoned = STEPS.copy()
    poisoned[known:] = noise_steps(200, 99, scale=0.05)[known:]
    clean, dirty = walk(), walk(poisoned)
    assert clean.steps[:2] == dirty.steps[:2]
    assert clean.steps[2].params == dirty.steps[2].params
    before = (120 - 60) * PER_DAY
    np.testing.assert_array_equal(clean.equity[:before], dirty.equity[:before])
    assert clean.equity[-1] != dirty.equity[-1]


def test_anchored_training_keeps_its_first_day():
    found = walk(anchored=True)
    assert {step.train_from_ms for step in found.steps} == {FIRST_DAY * DAY_MS}


def test_out_of_sample_equity_is_the_product_of_its_steps():
    found = walk()
    assert np.prod([1 + step.test_return for step in found.steps]) == pytest.approx(found.equity[-1] / 1e5)
    assert np.prod(1 + found.returns) == pytest.approx(found.equity[-1] / 1e5)


def test_a_refit_pays_to_close_the_position_it_leaves():
    rising = np.full(100 * PER_DAY, 0.001)
    market = conditions(bars_from(rising))
    found = walk_forward(TREND, GRID[:1], [market], train_days=40, test_days=30)
    assert len(found.steps) == 2
    begin_ms, end_ms = (FIRST_DAY + 40) * DAY_MS, (FIRST_DAY + 70) * DAY_MS
    window = market.between(begin_ms, end_ms, 100_000.0, warm_up=20)
    alone = window.run(TREND, GRID[0], trade_from_ms=begin_ms)
    close, qty = alone.bars.close[-1], alone.book["qty"][0]
    sold_at = np.floor(close * (1 - 1e-4) * 100 + 1e-9) / 100
    cost = qty * (close - sold_at) + qty * sold_at * 0.001
    assert qty > 0
    assert found.steps[0].refit_cost == pytest.approx(cost, rel=1e-9)
    assert found.steps[-1].refit_cost == 0.0
    assert found.equity[30 * PER_DAY - 1] == pytest.approx(alone.equity[-1] - cost)


def test_a_symbol_is_eligible_only_with_a_full_training_window():
    old = conditions(bars_from(noise_steps(200, 1, drift=-0.001)))
    young = conditions(bars_from(trending_steps(110, 2, 0.006), "ETHUSDT", FIRST_DAY + 90))
    found = walk_forward(TREND, GRID, [old, young], train_days=60, test_days=30)
    assert [step.symbol for step in found.steps] == ["BTCUSDT"] * 3 + ["ETHUSDT"] * 2
    assert found.choices >= 2


def test_a_symbol_that_dies_is_not_avoided_in_advance():
    dies = conditions(bars_from(trending_steps(120, 2, 0.006), "FTTUSDT"))
    lives = conditions(bars_from(noise_steps(200, 1, drift=-0.001)))
    found = walk_forward(TREND, GRID, [dies, lives], train_days=60, test_days=30)
    idle = found.steps[2]
    assert idle.symbol == "FTTUSDT" and idle.test_return == idle.test_sharpe == 0.0
    assert found.steps[3].symbol == "BTCUSDT"


def test_followable_trends_survive_the_walk_and_noise_does_not():
    assert walk().equity[-1] > 110_000
    assert walk().efficiency > 0.5
    assert walk(noise_steps(200, 3)).equity[-1] < 100_000


def test_impossible_walks_are_refused():
    with pytest.raises(RiskError, match="at least one symbol"):
        walk_forward(TREND, GRID, [], train_days=60, test_days=30)
    with pytest.raises(RiskError, match="nothing to test"):
        walk(train_days=200)
    halves = [
        conditions(bars_from(noise_steps(50, 1))),
        conditions(bars_from(noise_steps(50, 2), "ETHUSDT", FIRST_DAY + 50)),
    ]
    with pytest.raises(RiskError, match="every training day"):
        walk_forward(TREND, GRID, halves, train_days=60, test_days=10)

"""Examinations and walk-forwards of strategies that are no steps on one symbol."""

from __future__ import annotations

import numpy as np
import pytest

from qtm.backtest.account.panel import Listed, Panel
from qtm.backtest.account.terms import Conditions as AccountTerms
from qtm.backtest.conditions.account import AccountConditions
from qtm.backtest.conditions.contract import doubled, warm_up
from qtm.backtest.conditions.tape import TapeConditions
from qtm.backtest.holdings import LegHoldings, worst_equity
from qtm.backtest.overfitting.assessment import assess
from qtm.backtest.overfitting.permutation import signal_permutation_test
from qtm.backtest.overfitting.stability import parameter_box
from qtm.backtest.overfitting.stress_replay import replay_stress
from qtm.backtest.overfitting.trials import run_trials
from qtm.backtest.overfitting.verdict import Control
from qtm.backtest.overfitting.walk_forward import walk_forward
from qtm.backtest.registry import TrialRegistry
from qtm.backtest.tape.events import tape_of_bars
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.risk.stress import StressEvent
from qtm.store.database import open_database
from qtm.strategies.registry import load_strategy
from qtm.trading.costs import SPOT_COSTS
from tests.backtest.account.markets import FREE, panel, wandering
from tests.backtest.overfitting.market import DAY_MS, bars_from, instrument, noise_steps

CROSS, GRID, PAIRS = (load_strategy(name) for name in ("cross-momentum", "grid", "pairs"))
ACCOUNT = AccountConditions(wandering(["AUSDT", "BUSDT"], 24 * 60, 3), AccountTerms(100_000.0))
TAPE = TapeConditions(
    tape_of_bars(bars_from(noise_steps(60, 1, scale=0.02)), instrument()), instrument(), 1e5, SPOT_COSTS
)
CHOICES = {
    "cross-momentum": (ACCOUNT, CROSS, [{"lookback": n, "hold": 1, "every": 12} for n in (12, 24, 48)]),
    "grid": (TAPE, GRID, [{"levels": n, "step": 150.0} for n in (3, 6, 9)]),
}


def combinations(name):
    conditions, strategy, values = CHOICES[name]
    return conditions, strategy, [strategy.params(one) for one in values]


@pytest.mark.parametrize("name", CHOICES)
def test_every_gate_is_measured_or_says_why_not(name, tmp_path):
    conditions, strategy, chosen = combinations(name)
    registry = TrialRegistry(open_database(f"sqlite:///{tmp_path / 'qtm.db'}"))
    found = assess(strategy, chosen, conditions, registry, resamples=200)
    measured = {gate.control: gate.measured for gate in found.verdict.gates}
    assert measured.pop(Control.STRESS) is None or name == "grid"
    assert all(value is not None for value in measured.values())
    assert registry.count(strategy.name).trials == 3 == found.verdict.subject.trials
    assert found.verdict.subject.symbols == conditions.place.symbols
    alone = conditions.with_costs(doubled).run(strategy, found.trials.params[found.trials.best])
    assert found.measured.doubled_return == alone.equity[-1] / alone.cash - 1.0
    if name == "grid":
        assert "fill inside the bars" in found.measured.unmeasured["signal"]
    else:
        assert found.measured.signal.slides == len(conditions.panel) - 1


@pytest.mark.parametrize("name", CHOICES)
def test_a_walk_trades_only_what_it_had_not_seen(name):
    conditions, strategy, chosen = combinations(name)
    found = walk_forward(strategy, chosen, [conditions], train_days=30, test_days=10)
    assert len(found.steps) == 3 and found.returns.size == 30
    first = conditions.place.first_ms // DAY_MS + 30
    assert found.open_time_ms[0] == first * DAY_MS
    assert np.prod([1 + step.test_return for step in found.steps]) == pytest.approx(found.equity[-1] / 1e5)
    assert any(step.refit_cost > 0.0 for step in found.steps)


def test_leaving_an_account_costs_what_selling_every_leg_costs():
    conditions, strategy, chosen = combinations("cross-momentum")
    result = conditions.run(strategy, chosen[0])
    held = [
        (float(leg["qty"]), float(conditions.panel.close[-1, leg["instrument"]]))
        for leg in result.legs
        if leg["qty"] > 0
    ]
    cost = 0.0
    for qty, close in held:
        price = np.floor(close * (1 - 1e-4) * 100 + 1e-9) / 100
        cost += qty * (close - price) + qty * price * 0.001
    assert held and conditions.closing_cost(result) == pytest.approx(cost, rel=1e-9)


def test_an_allocator_is_warmed_up_so_that_it_rebalances_at_once():
    params = CROSS.params({"lookback": 20, "skip": 0, "hold": 1, "every": 15})
    begin_ms = int(ACCOUNT.panel.open_time_ms[500])
    end_ms = int(ACCOUNT.panel.open_time_ms[600])
    window = ACCOUNT.between(begin_ms, end_ms, 100_000.0, warm_up=warm_up(CROSS, params))
    result = window.run(CROSS, params, trade_from_ms=begin_ms)
    assert int(result.order_rows["decided_ms"][0]) == begin_ms + Interval.H1.ms


def test_the_worst_price_of_an_account_is_each_coins_own():
    rows = {"AUSDT": [(100, 110, 90, 100, 0)] * 6, "BUSDT": [(50, 55, 45, 50, 0)] * 6}
    conditions = AccountConditions(panel(rows), AccountTerms(1_000.0, costs=FREE))
    result = conditions.run(CROSS, CROSS.params({"lookback": 2, "skip": 0, "hold": 2, "every": 1}))
    np.testing.assert_array_equal(
        worst_equity(result), result.equity
    )  # flat prices: nothing rose, no holding
    rising = {"AUSDT": [(100 + i, 120 + i, 90 + i, 101 + i, 0) for i in range(6)]}
    conditions = AccountConditions(panel(rising), AccountTerms(1_000.0, costs=FREE))
    result = conditions.run(CROSS, CROSS.params({"lookback": 2, "skip": 0, "hold": 1, "every": 1}))
    (leg,) = LegHoldings.each(result)
    lost = leg.qty * (conditions.panel.close[:, 0] - conditions.panel.low[:, 0])
    assert lost[-1] > 0
    np.testing.assert_allclose(worst_equity(result), result.equity - lost, rtol=1e-12)


def test_an_account_lives_through_events_with_its_symbols_held_as_the_market():
    day = int(ACCOUNT.panel.open_time_ms[0]) // DAY_MS + 20
    name = str(np.datetime64(day, "D"))
    conditions, strategy, chosen = combinations("cross-momentum")
    result = conditions.run(strategy, chosen[0])
    (event,) = replay_stress(result, [StressEvent("a day", name, name)])
    first = int(np.searchsorted(result.open_time_ms, day * DAY_MS))
    assert event.strategy_return == result.equity[first + 23] / result.equity[first - 1] - 1
    assert event.market_return == result.bars.close[first + 23] / result.bars.close[first - 1] - 1
    assert event.worst_equity <= result.equity[first : first + 24].min()


def test_signals_of_an_account_slide_together():
    random = np.random.default_rng(1)
    held, moved = random.normal(0, 1, (50, 3)), random.normal(0, 0.01, (50, 3))
    found = signal_permutation_test(held, moved)
    slides = [(np.roll(held, s, axis=0) * moved).sum() for s in range(50)]
    assert found.p_value == np.mean([one >= slides[0] - 1e-12 for one in slides])
    assert found.earned == pytest.approx(slides[0])


def test_many_parameters_are_sampled_with_every_end_and_always_the_same():
    making = load_strategy("market-making")
    box = parameter_box(making, making.params({"shortest": 100.0}))
    centre = box[0]
    assert 100 < len(box) < 160 and box == parameter_box(making, centre)
    for name, value in centre._asdict().items():
        ends = {getattr(params, name) for params in box}
        assert min(ends) == pytest.approx(0.8 * value) and max(ends) == pytest.approx(1.2 * value)
        assert all(0.8 * value - 1e-9 <= one <= 1.2 * value + 1e-9 for one in ends)
    assert len(parameter_box(PAIRS, PAIRS.params())) < 80  # runs in Python are dear


def test_columns_of_an_account_compound_to_its_runs():
    conditions, strategy, chosen = combinations("cross-momentum")
    trials = run_trials(strategy, chosen, conditions)
    for number, params in enumerate(chosen):
        total = conditions.run(strategy, params).equity[-1] / 100_000.0
        assert np.prod(1 + trials.returns[:, number]) == pytest.approx(total, rel=1e-12)


def test_noise_fails_whatever_the_kind(tmp_path):
    tape = tape_of_bars(bars_from(noise_steps(90, 4)), instrument())
    conditions = TapeConditions(tape, instrument(), 1e5, SPOT_COSTS)
    registry = TrialRegistry(open_database(f"sqlite:///{tmp_path / 'qtm.db'}"))
    chosen = [GRID.params({"levels": n, "step": s}) for n in (3, 6) for s in (60.0, 120.0)]
    verdict = assess(GRID, chosen, conditions, registry, resamples=200).verdict
    assert Control.DEFLATED_SHARPE in {gate.control for gate in verdict.failed}


def test_spot_and_perpetual_of_one_coin_meet_their_worst_price_together():
    spot, perpetual = (wandering(["AUSDT"], 400, 5, market) for market in Market)
    both = Panel.of(
        [Listed(one.instruments[0], one.series(0)) for one in (spot, perpetual)],
    )
    conditions = AccountConditions(both, AccountTerms(100_000.0))
    carry = load_strategy("basis-carry")
    result = conditions.run(carry, carry.params({"window": 5, "enter": -0.01, "leave": -0.1}))
    held = result.order_rows["qty_after"]
    assert (held > 0).any() and (held < 0).any()
    apart = sum(
        np.minimum(leg.qty * (leg.low - leg.close), leg.qty * (leg.high - leg.close))
        for leg in LegHoldings.each(result)
    )
    together = worst_equity(result) - result.equity
    assert (together <= 0.0).all() and together.min() > 0.2 * apart.min()

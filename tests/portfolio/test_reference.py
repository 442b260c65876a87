"""The reference optimiser against the published portfolio, a second solver, and hard shapes."""

import numpy as np
import pytest

from qtm.errors import RiskError
from qtm.portfolio import constraints as named
from qtm.portfolio.allocation import Outcome
from qtm.portfolio.constraints import violated
from qtm.portfolio.fast.solve import solve_fast
from qtm.portfolio.optimise import optimise
from qtm.portfolio.problem import DrawdownCap, Group, Objective, TailCap
from qtm.portfolio.reference import solve_reference
from qtm.risk.measures import cdar, historical_cvar, uncompounded_drawdowns
from tests.portfolio import rockafellar_uryasev as published
from tests.portfolio.problems import heavy_tailed_returns, problem


@pytest.mark.parametrize("solve", [solve_reference, solve_fast])
@pytest.mark.parametrize("alpha", [0.90, 0.95, 0.99])
def test_rockafellar_uryasev_2000_portfolio(alpha, solve):
    answer = solve(published.smallest_cvar(alpha))
    assert answer.weights == pytest.approx(published.MINIMUM_VARIANCE, abs=0.02)
    assert answer.cvar == pytest.approx(published.CVAR[alpha], rel=0.01)
    assert answer.var == pytest.approx(published.VAR[alpha], rel=0.01)
    assert answer.gap < 1e-6
    assert answer.binding[0].name == named.RETURN_FLOOR


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("objective", list(Objective))
def test_a_second_solver_finds_the_same_value(seed, objective):
    rng = np.random.default_rng(seed)
    returns = heavy_tailed_returns(int(rng.integers(2, 15)), int(rng.integers(60, 500)), seed)
    count = returns.shape[1]
    upper = max(0.3, 2 / count)
    equal = historical_cvar(returns.mean(axis=1), 0.95)
    posed = problem(
        returns, upper=upper, objective=objective, tail_caps=(TailCap(0.95, 1.2 * equal),) * (seed % 2 == 0),
        return_floor=float(returns.mean()) if objective is Objective.MIN_CVAR else None,
    )  # fmt: skip
    clarabel, highs = (solve_reference(posed, (solver,)) for solver in ("CLARABEL", "HIGHS"))
    assert clarabel.gap < 1e-6 and highs.gap < 1e-6
    if objective is Objective.MIN_CVAR:
        assert clarabel.cvar == pytest.approx(highs.cvar, rel=1e-6)
    else:
        assert clarabel.expected_return == pytest.approx(highs.expected_return, rel=1e-6)


def test_the_cap_holds_outside_the_solver_and_its_dual_is_the_price_of_risk():
    returns = heavy_tailed_returns(10, 400, 3)
    cap = 0.9 * historical_cvar(returns.mean(axis=1), 0.95)
    answer = solve_reference(problem(returns, tail_caps=(TailCap(0.95, cap),), invested=(0.0, 1.0)))
    assert answer.cvar == pytest.approx(cap, rel=1e-6)
    looser = solve_reference(problem(returns, tail_caps=(TailCap(0.95, cap + 1e-5),), invested=(0.0, 1.0)))
    price = (looser.expected_return - answer.expected_return) / 1e-5
    binding = {entry.name: entry.dual for entry in answer.binding}
    assert binding["CVaR 95 % cap"] == pytest.approx(price, rel=0.02)


def test_several_levels_groups_turnover_gross_and_costs_hold_together():
    returns = heavy_tailed_returns(8, 300, 5)
    held = np.full(8, 0.125)
    posed = problem(
        returns, upper=0.5, lower=-0.2, invested=(0.5, 1.0), gross_cap=1.3, held=held, turnover_cap=0.6,
        cost_rate=0.0002, impact=0.0004, tail_caps=(TailCap(0.95, 0.03), TailCap(0.99, 0.05)),
        groups=(Group("first half", ("S00", "S01", "S02", "S03"), lower=0.1, upper=0.4),),
    )  # fmt: skip
    answer = solve_reference(posed)
    assert not violated(posed, answer.weights)
    assert answer.turnover <= 0.6 + 1e-7
    assert answer.gap < 1e-6
    free = solve_reference(problem(returns, upper=0.5, lower=-0.2, invested=(0.5, 1.0), gross_cap=1.3))
    assert answer.expected_return < free.expected_return


def test_costs_above_any_gain_leave_the_held_portfolio_alone():
    returns = heavy_tailed_returns(5, 200, 6)
    held = np.array([0.4, 0.3, 0.1, 0.1, 0.1])
    answer = solve_reference(problem(returns, held=held, cost_rate=1.0))
    assert answer.weights == pytest.approx(held, abs=1e-6)


def test_a_drawdown_cap_binds_on_the_path():
    returns = heavy_tailed_returns(6, 250, 7)
    free = solve_reference(problem(returns, upper=0.5))
    fall = cdar(uncompounded_drawdowns(returns @ free.weights), 0.9)
    answer = solve_reference(problem(returns, upper=0.5, drawdown_cap=DrawdownCap(0.9, 0.97 * fall)))
    assert cdar(uncompounded_drawdowns(returns @ answer.weights), 0.9) <= 0.97 * fall + 1e-7
    assert "CDaR 90 % cap" in [entry.name for entry in answer.binding]


def test_an_infeasible_cap_falls_back_in_the_open_and_names_itself():
    returns = heavy_tailed_returns(6, 300, 8)
    answer = optimise(problem(returns, upper=0.5, tail_caps=(TailCap(0.95, 0.001),)))
    least = solve_reference(problem(returns, upper=0.5, objective=Objective.MIN_CVAR))
    assert answer.outcome is Outcome.FALLBACK
    assert answer.cvar == pytest.approx(least.cvar, rel=1e-6)
    assert [attempt.step for attempt in answer.attempts] == ["as posed", "fast"]
    cap = next(entry for entry in answer.relaxations if entry.constraints == ("CVaR 95 % cap",))
    assert cap.amounts[0] == pytest.approx(least.cvar - 0.001, rel=1e-4)
    assert "CVaR 95 % cap" in answer.reason
    assert np.isnan(answer.gap)


def test_contradictory_limits_keep_the_held_weights_or_fail_by_name():
    returns = heavy_tailed_returns(4, 100, 9)
    with pytest.raises(RiskError, match="upper weight bounds"):
        optimise(problem(returns, upper=0.2))
    held = np.array([0.25, 0.25, 0.25, 0.25])
    answer = optimise(problem(returns, upper=0.2, held=held))
    assert answer.outcome is Outcome.FALLBACK and answer.solver == "held weights"
    assert (answer.weights == held).all()


def test_two_constraints_that_only_together_block_are_named_together():
    returns = heavy_tailed_returns(3, 120, 10)
    groups = (
        Group("a", ("S00",), lower=0.9),
        Group("b", ("S01",), lower=0.9),
        Group("c", ("S02",), lower=0.9),
    )
    answer = optimise(problem(returns, invested=(0.0, 1.0), groups=groups, held=np.zeros(3)))
    assert (named.MOST_INVESTED,) in [entry.constraints for entry in answer.relaxations]
    tight = problem(returns, upper=0.4, invested=(0.0, 1.0), groups=groups[:2], held=np.zeros(3))
    found = {frozenset(entry.constraints) for entry in optimise(tight).relaxations}
    least = {"group a least weight", "group b least weight"}
    assert frozenset(least) in found and frozenset({named.UPPER_BOUNDS, named.MOST_INVESTED}) in found
    assert {len(names) for names in found} == {2}


def test_an_unbounded_objective_is_an_error_that_says_what_bounds_it():
    returns = heavy_tailed_returns(3, 100, 11)
    free = problem(returns, lower=-np.inf, upper=np.inf)
    with pytest.raises(RiskError, match="without limit"):
        optimise(free)


def test_a_single_asset_gets_everything_or_cash():
    returns = heavy_tailed_returns(1, 200, 12)
    assert solve_reference(problem(returns)).weights == pytest.approx([1.0])
    cap = 0.5 * historical_cvar(returns[:, 0], 0.95)
    half = solve_reference(problem(returns, invested=(0.0, 1.0), tail_caps=(TailCap(0.95, cap),)))
    assert half.weights == pytest.approx([0.5], abs=1e-6)


def test_a_duplicated_asset_changes_no_value():
    returns = heavy_tailed_returns(5, 300, 13)
    twice = np.column_stack([returns, returns[:, 0]])
    posed = {"objective": Objective.MIN_CVAR, "return_floor": float(returns.mean())}
    assert solve_reference(problem(twice, **posed)).cvar == pytest.approx(
        solve_reference(problem(returns, **posed)).cvar, rel=1e-6
    )


def test_all_negative_means_with_cash_allowed_stay_in_cash():
    returns = heavy_tailed_returns(4, 200, 14) - 0.01
    answer = solve_reference(problem(returns, invested=(0.0, 1.0), tail_caps=(TailCap(0.95, 0.05),)))
    assert answer.weights == pytest.approx(np.zeros(4), abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mean": np.array([0.0, np.nan, 0.0])}, "S01"),
        ({"upper": np.array([1.0, -1.0, 1.0])}, "S01"),
        ({"alpha": 1.0}, "confidence"),
        ({"groups": (Group("x", ("NOPE",)),)}, "NOPE"),
        ({"symbols": ("A", "A", "B")}, "distinct"),
        ({"cost_rate": -1.0}, "cost_rate"),
        ({"invested": (1.0, 0.5)}, "invested"),
    ],
)
def test_bad_problems_are_refused_by_name(changes, message):
    with pytest.raises(RiskError, match=message):
        problem(heavy_tailed_returns(3, 50, 15), **changes)


def test_a_missing_scenario_return_is_refused_by_symbol_and_row():
    returns = heavy_tailed_returns(3, 50, 16)
    returns[7, 2] = np.nan
    with pytest.raises(RiskError, match="S02, scenario 7"):
        problem(returns, mean=np.zeros(3))

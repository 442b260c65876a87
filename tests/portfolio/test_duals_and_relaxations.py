"""What a constraint is worth, and which ones stand in the way: checked by moving them."""

from dataclasses import replace

import numpy as np
import pytest

from qtm.portfolio import constraints as named
from qtm.portfolio.allocation import Infeasible, Outcome
from qtm.portfolio.fast.solve import solve_fast
from qtm.portfolio.infeasibility import smallest_relaxations
from qtm.portfolio.optimise import optimise
from qtm.portfolio.problem import DrawdownCap, Group, Objective, PortfolioProblem, TailCap
from qtm.portfolio.reference import objective_value, solve_reference
from qtm.risk.measures import historical_cvar
from tests.portfolio.problems import heavy_tailed_returns, problem

FIRST_HALF = ("S00", "S01", "S02", "S03")
STEP = 1e-7


def loosened(posed: PortfolioProblem, name: str, room: float) -> PortfolioProblem:
    """`posed` with `room` more for the constraint called `name`."""
    for cap in posed.tail_caps:
        if cap.name == name:
            others = tuple(replace(c, cap=c.cap + room * (c == cap)) for c in posed.tail_caps)
            return replace(posed, tail_caps=others)
    if posed.drawdown_cap is not None and posed.drawdown_cap.name == name:
        return replace(posed, drawdown_cap=replace(posed.drawdown_cap, cap=posed.drawdown_cap.cap + room))
    for group in posed.groups:
        for most in (True, False):
            if named.group_name(group.name, at_most=most) == name:
                side = {"upper": group.upper + room} if most else {"lower": group.lower - room}
                groups = tuple(replace(g, **side) if g == group else g for g in posed.groups)
                return replace(posed, groups=groups)
    for index, symbol in enumerate(posed.symbols):
        unit = np.eye(len(posed.symbols))[index] * room
        if name == named.upper_bound_name(symbol):
            return replace(posed, upper=posed.upper + unit)
        if name == named.lower_bound_name(symbol):
            return replace(posed, lower=posed.lower - unit)
    least, most = posed.invested
    changes = {
        named.RETURN_FLOOR: {"return_floor": (posed.return_floor or 0.0) - room},
        named.TURNOVER_CAP: {"turnover_cap": (posed.turnover_cap or 0.0) + room},
        named.GROSS_CAP: {"gross_cap": (posed.gross_cap or 0.0) + room},
        named.FULLY_INVESTED: {"invested": (least - room, most + room)},
        named.LEAST_INVESTED: {"invested": (least - room, most)},
        named.MOST_INVESTED: {"invested": (least, most + room)},
        named.UPPER_BOUNDS: {"upper": posed.upper + room},
        named.LOWER_BOUNDS: {"lower": posed.lower - room},
    }
    return replace(posed, **changes[name])


def mandates() -> dict[str, PortfolioProblem]:
    """Mandates under which each kind of constraint binds."""
    returns = heavy_tailed_returns(8, 700, 41)
    equal = np.full(8, 1 / 8)
    risk = historical_cvar(returns @ equal, 0.95)
    careful = returns @ solve_fast(problem(returns, objective=Objective.MIN_CVAR)).weights
    two = tuple(TailCap(level, 1.1 * historical_cvar(careful, level)) for level in (0.9, 0.99))
    group = (Group("half", FIRST_HALF, upper=0.45),)
    return {
        "cap, group and bounds": problem(
            returns, upper=0.35, groups=group, tail_caps=(TailCap(0.95, 1.05 * risk),), invested=(0.0, 1.0)
        ),
        "turnover": problem(
            returns, held=equal, turnover_cap=0.4, tail_caps=(TailCap(0.95, 1.2 * risk),), cost_rate=1e-4
        ),
        "gross": problem(
            returns, lower=-0.3, gross_cap=1.2, tail_caps=(TailCap(0.95, risk),), invested=(0.5, 1.0)
        ),
        "floor": problem(
            returns, upper=0.5, objective=Objective.MIN_CVAR,
            return_floor=0.6 * float(np.sort(returns.mean(axis=0))[-1]) + 0.4 * float(returns.mean()),
        ),
        "two levels": problem(returns, upper=0.6, tail_caps=two),
    }  # fmt: skip


@pytest.mark.parametrize("solve", [solve_fast, solve_reference])
@pytest.mark.parametrize("name", list(mandates()))
def test_a_dual_is_what_relaxing_its_constraint_brings(name, solve):
    posed = mandates()[name]
    answer = solve(posed)
    assert answer.binding, "the mandate should bind somewhere"
    sign = -1.0 if posed.objective is Objective.MIN_CVAR else 1.0
    base = objective_value(posed, solve_fast(posed).weights)
    for binding in answer.binding:
        if binding.name == named.FULLY_INVESTED:
            continue  # an equality has no side to relax
        looser = loosened(posed, binding.name, STEP)
        gain = sign * (objective_value(looser, solve_fast(looser, tolerance=1e-9).weights) - base) / STEP
        assert gain == pytest.approx(binding.dual, rel=0.05, abs=2e-4), binding.name


def impossible() -> dict[str, tuple[PortfolioProblem, set[str]]]:
    """Mandates without a solution, and a smallest set of constraints each must name."""
    returns = heavy_tailed_returns(8, 300, 42)
    best = float(returns.mean(axis=0).max())
    crowded = (Group("a", FIRST_HALF, lower=0.7), Group("b", ("S04", "S05", "S06", "S07"), lower=0.6))
    nested = (Group("a", FIRST_HALF, upper=0.3), Group("b", ("S00", "S01"), lower=0.5))
    held = np.eye(8)[0]
    return {
        "cap below the least CVaR": (problem(returns, tail_caps=(TailCap(0.95, 0.002),)), {"CVaR 95 % cap"}),
        "floor above the best return": (
            problem(returns, objective=Objective.MIN_CVAR, return_floor=best + 1e-4),
            {named.RETURN_FLOOR},
        ),
        "groups that add up to too much": (
            problem(returns, groups=crowded), {named.group_name("a", at_most=False)}
        ),
        "groups inside one another": (
            problem(returns, groups=nested), {named.group_name("b", at_most=False)}
        ),
        "turnover too small for a bound": (
            problem(returns, held=held, turnover_cap=0.2, upper=0.5), {named.TURNOVER_CAP}
        ),
        "leverage below the investment": (
            problem(returns, lower=-0.5, gross_cap=0.8), {named.GROSS_CAP}
        ),
        "bounds that do not reach one": (problem(returns, upper=0.1), {named.UPPER_BOUNDS}),
        "bounds that start above one": (
            problem(returns, lower=0.2, upper=0.9), {named.LOWER_BOUNDS}
        ),
        "cap and floor, each alone to blame": (
            problem(
                returns, tail_caps=(TailCap(0.95, 1.001 * solve_reference(
                    problem(returns, objective=Objective.MIN_CVAR)).cvar),), return_floor=0.999 * best,
            ),
            {named.RETURN_FLOOR},
        ),
        "two caps that both block": (
            problem(returns, tail_caps=(TailCap(0.9, 0.001), TailCap(0.99, 0.002)), lower=0.05),
            {"CVaR 90 % cap", "CVaR 99 % cap"},
        ),
        "drawdown": (
            problem(returns, drawdown_cap=DrawdownCap(0.9, 1e-4), upper=0.5), {"CDaR 90 % cap"}
        ),
        "turnover and a group far away": (
            problem(
                returns, held=held, turnover_cap=0.1,
                groups=(Group("far", ("S06", "S07"), lower=0.5),), tail_caps=(TailCap(0.95, 1.0),),
            ),
            {named.TURNOVER_CAP},
        ),
    }  # fmt: skip


@pytest.mark.parametrize("case", list(impossible()))
def test_every_named_set_is_enough_and_as_small_as_it_gets(case):
    posed, expected = impossible()[case]
    found = smallest_relaxations(posed)
    assert expected in [set(one.constraints) for one in found], [one.words for one in found]
    assert len({len(one.constraints) for one in found}) == 1
    for one in found:
        enough, short = posed, posed
        for name, amount in zip(one.constraints, one.amounts, strict=True):
            enough = loosened(enough, name, 1.001 * amount + 1e-6)
            short = loosened(short, name, 0.9 * amount - 1e-6)
        assert solve_reference(enough).outcome is Outcome.OPTIMAL, one.words
        with pytest.raises(Infeasible):
            solve_reference(short)


@pytest.mark.parametrize("case", list(impossible()))
def test_the_fallback_is_in_the_open(case):
    posed, _ = impossible()[case]
    safe = replace(posed, held=np.full(8, 1 / 8)) if posed.held is None else posed
    answer = optimise(safe)
    assert answer.outcome is Outcome.FALLBACK
    assert answer.relaxations and "relax" in answer.reason
    assert answer.attempts[0].outcome == "infeasible"
    assert np.isnan(answer.gap)


def test_many_scenarios_are_diagnosed_on_bands_with_the_same_answer(monkeypatch):
    returns = heavy_tailed_returns(10, 3000, 43)
    posed = problem(returns, tail_caps=(TailCap(0.95, 0.002),), upper=0.5)
    on_bands = smallest_relaxations(posed)
    monkeypatch.setattr("qtm.portfolio.infeasibility.LEAST_ENTRIES", 10**9)
    on_all = smallest_relaxations(posed)
    assert [one.constraints for one in on_bands] == [one.constraints for one in on_all]
    for one, two in zip(on_bands, on_all, strict=True):
        assert one.amounts == pytest.approx(two.amounts, rel=1e-5)

"""Mandates of every kind drawn at random: what a second solver and the fast path must agree on."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from qtm.portfolio.problem import Distribution, GroundNorm, Group, Objective, PortfolioProblem, TailCap
from tests.portfolio.problems import heavy_tailed_returns, problem


class Kind(StrEnum):
    """What the drawn problem is known to be."""

    FEASIBLE = "feasible"
    DEGENERATE = "degenerate"
    INFEASIBLE = "infeasible"
    UNBOUNDED = "unbounded"


@dataclass(frozen=True)
class Drawn:
    kind: Kind
    problem: PortfolioProblem


def draw(seed: int) -> Drawn:
    """Problem number `seed`: of ten, six are feasible, two degenerate, one infeasible, one unbounded."""
    rng = np.random.default_rng(40_000 + seed)
    kind = [Kind.FEASIBLE] * 6 + [Kind.DEGENERATE] * 2 + [Kind.INFEASIBLE, Kind.UNBOUNDED]
    return _MAKERS[kind[seed % 10]](rng, seed)


def _base(rng: np.random.Generator, seed: int) -> tuple[np.ndarray, dict]:
    count, days = int(rng.integers(2, 30)), int(rng.integers(60, 900))
    returns = heavy_tailed_returns(count, days, 50_000 + seed)
    fields: dict = {
        "alpha": float(rng.choice([0.9, 0.95, 0.975, 0.99])),
        "objective": Objective(rng.choice(list(Objective))),
        "lower": np.full(count, -0.2 if rng.random() < 0.3 else 0.0),
        "upper": np.full(count, float(rng.uniform(2.0, 5.0) / count) if rng.random() < 0.6 else 1.0),
        "risk_aversion": float(rng.uniform(0.0, 0.1)),
    }
    if rng.random() < 0.3:
        fields["invested"] = (float(rng.uniform(0.0, 0.8)), 1.0)
    if rng.random() < 0.3:
        chances = rng.exponential(size=days)
        fields["probabilities"] = chances / chances.sum()
    if rng.random() < 0.25:
        fields["rivals"] = (Distribution(1.2 * heavy_tailed_returns(count, days // 2, seed)),)
    return returns, fields


def _feasible(rng: np.random.Generator, seed: int) -> Drawn:
    """Equal weights (scaled to what is invested) satisfy every constraint drawn."""
    returns, fields = _base(rng, seed)
    count = returns.shape[1]
    equal = np.full(count, 1.0 / count)
    plain = problem(returns, **fields)
    if rng.random() < 0.4:
        fields["cost_rate"] = float(rng.uniform(0.0, 5e-4))
    if rng.random() < 0.4:
        held = rng.dirichlet(np.ones(count))
        fields["held"] = held
        fields["turnover_cap"] = float(np.abs(equal - held).sum() * rng.uniform(1.0, 1.5))
    if fields["lower"][0] < 0.0 and rng.random() < 0.7:
        fields["gross_cap"] = float(rng.uniform(1.05, 1.8))
    if rng.random() < 0.4:
        half = tuple(plain.symbols[: max(count // 2, 1)])
        fields["groups"] = (Group("half", half, lower=0.05, upper=float(rng.uniform(0.6, 1.0))),)
    levels = rng.choice([0.9, 0.95, 0.99], size=int(rng.integers(0, 4)), replace=False)
    if fields["objective"] is Objective.MAX_RETURN and not levels.size:
        levels = np.array([0.95])
    fields["tail_caps"] = tuple(
        TailCap(float(level), float(plain.tail_risk(equal, float(level)) * rng.uniform(1.0, 1.3)))
        for level in levels
    )
    if fields["objective"] is Objective.MIN_CVAR and rng.random() < 0.6:
        trial = problem(returns, **fields)
        fields["return_floor"] = trial.expected_return(equal) - 1e-6
    if rng.random() < 0.15:
        fields |= {"radius": 0.0005, "ground": GroundNorm(rng.choice(list(GroundNorm)))}
        fields["tail_caps"] = tuple(
            TailCap(cap.alpha, cap.cap + 0.0005 / (1 - cap.alpha)) for cap in fields["tail_caps"]
        )
    return Drawn(Kind.FEASIBLE, problem(returns, **fields))


def _degenerate(rng: np.random.Generator, seed: int) -> Drawn:
    """Ties, duplicated assets and scenarios, assets that never move, all means below zero."""
    drawn = _feasible(rng, seed).problem
    count = len(drawn.symbols)
    returns = drawn.scenarios.copy()
    choice = seed % 4
    if choice == 0:
        returns = np.round(returns, 2)
    elif choice == 1 and count > 1:
        returns[:, 1] = returns[:, 0]
    elif choice == 2:
        returns[:, 0] = 0.0
    else:
        half = returns.shape[0] // 2
        returns[half : 2 * half] = returns[:half]
    mean = returns.mean(axis=0) - (0.02 if choice == 3 else 0.0)
    equal = np.full(count, 1.0 / count)
    fields = {
        "alpha": drawn.alpha, "objective": drawn.objective, "lower": drawn.lower, "upper": drawn.upper,
        "invested": drawn.invested, "mean": mean, "risk_aversion": drawn.risk_aversion,
        "probabilities": drawn.probabilities,
    }  # fmt: skip
    plain = problem(returns, **fields)
    fields["tail_caps"] = tuple(
        TailCap(cap.alpha, 1.1 * max(plain.tail_risk(equal, cap.alpha), 1e-3)) for cap in drawn.tail_caps
    )
    return Drawn(Kind.DEGENERATE, problem(returns, **fields))


def _infeasible(rng: np.random.Generator, seed: int) -> Drawn:
    """One impossible demand of five kinds."""
    returns, fields = _base(rng, seed)
    count = returns.shape[1]
    fields |= {"invested": (1.0, 1.0), "lower": np.zeros(count), "upper": np.ones(count)}
    names = problem(returns).symbols
    impossible = (
        {"tail_caps": (TailCap(0.95, -0.5),)},
        {"return_floor": float(returns.mean(axis=0).max()) + 0.01},
        {"upper": np.full(count, 0.9 / count)},
        {"groups": (Group("all", names, upper=0.9),)},
        {"held": np.eye(count)[0], "turnover_cap": 0.0, "upper": np.full(count, 0.9)},
    )[seed // 10 % 5]
    return Drawn(Kind.INFEASIBLE, problem(returns, **{**fields, **impossible}))


def _unbounded(rng: np.random.Generator, seed: int) -> Drawn:
    """No bounds and no cap on anything: more of one and less of another always earns more."""
    returns, fields = _base(rng, seed)
    count = returns.shape[1]
    endless = {"lower": np.full(count, -np.inf), "upper": np.full(count, np.inf), "tail_caps": ()}
    fields |= {**endless, "objective": Objective.MAX_RETURN, "invested": (1.0, 1.0)}
    return Drawn(Kind.UNBOUNDED, problem(returns, **fields))


_MAKERS = {
    Kind.FEASIBLE: _feasible,
    Kind.DEGENERATE: _degenerate,
    Kind.INFEASIBLE: _infeasible,
    Kind.UNBOUNDED: _unbounded,
}

"""What an optimiser answers: weights, the proof behind them, and what stood in the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from qtm.portfolio import constraints as named
from qtm.portfolio.problem import PortfolioProblem
from qtm.risk.decomposition import component_cvar
from qtm.risk.measures import Floats, historical_var


class Infeasible(Exception):  # noqa: N818 - an outcome, not an error: it is caught and turned into a fallback
    """No weights satisfy every constraint of the problem as posed."""


class Outcome(StrEnum):
    """How the weights came about."""

    OPTIMAL = "optimal"
    """They solve the problem as it was posed, within the stated gap."""
    FALLBACK = "fallback"
    """The problem as posed has no solution; a recorded fallback step gave them."""


@dataclass(frozen=True, slots=True)
class Binding:
    """A constraint that holds the optimum back.

    `dual` is what one unit more room would add to the objective (expected return, or CVaR saved).
    """

    name: str
    value: float
    bound: float
    dual: float

    @property
    def words(self) -> str:
        """One line for a report."""
        return f"{self.name}: {self.value:.4%} at its bound {self.bound:.4%}, worth {self.dual:.4g} per unit"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One step of the recorded order in which solvers and fallbacks were tried."""

    step: str
    outcome: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Relaxation:
    """A smallest set of constraints that, given this much more room, makes the problem solvable."""

    constraints: tuple[str, ...]
    amounts: tuple[float, ...]

    @property
    def words(self) -> str:
        """`CVaR 95 % cap by 0.0123`."""
        return " and ".join(
            f"{name} by {amount:.4g}" for name, amount in zip(self.constraints, self.amounts, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Allocation:
    """Weights and their measured properties.

    CVaR and VaR are re-evaluated on the scenarios by the historical measure, not taken from the solver.
    `gap` is the proven relative distance between the objective and the bound no portfolio can pass
    (NaN for a fallback, which is not optimal for the problem as posed).
    """

    problem: PortfolioProblem
    weights: Floats
    outcome: Outcome
    solver: str
    gap: float
    binding: tuple[Binding, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    relaxations: tuple[Relaxation, ...] = ()
    reason: str = ""

    @property
    def cvar(self) -> float:
        """CVaR over the problem's scenarios at its confidence level, as a positive loss."""
        return self.problem.distributions[0].cvar(self.weights, self.problem.alpha)

    @property
    def tail_risk(self) -> float:
        """The CVaR that was capped or minimised: with rivals and a Wasserstein radius more than `cvar`."""
        return self.problem.tail_risk(self.weights, self.problem.alpha)

    @property
    def var(self) -> float:
        """VaR at the problem's confidence level."""
        path = self.problem.scenarios @ self.weights
        return historical_var(path, self.problem.alpha, self.problem.probabilities)

    @property
    def expected_return(self) -> float:
        """Expected return after trading costs, per period."""
        return self.problem.expected_return(self.weights)

    @property
    def turnover(self) -> float:
        """Sum of absolute changes of weight."""
        return float(np.abs(self.weights - self.problem.held_weights).sum())

    @property
    def components(self) -> Floats:
        """Each symbol's share of the CVaR, summing to it, shape (N,)."""
        problem = self.problem
        return component_cvar(problem.scenarios, self.weights, problem.alpha, problem.probabilities)

    def summary(self) -> dict[str, Any]:
        """Plain data for JSON: weights, measures, binding constraints and the trail of attempts."""
        order = np.argsort(-np.abs(self.weights), kind="stable")
        components = self.components
        return {
            "outcome": self.outcome.value,
            "reason": self.reason,
            "objective": self.problem.objective.value,
            "alpha": self.problem.alpha,
            "scenarios": int(self.problem.scenarios.shape[0]),
            "symbols": len(self.problem.symbols),
            "weights": {
                self.problem.symbols[i]: float(self.weights[i]) for i in order if self.weights[i] != 0.0
            },
            "cash": 1.0 - float(self.weights.sum()),
            "expected_return": self.expected_return,
            "cvar": self.cvar,
            "tail_risk": self.tail_risk,
            "var": self.var,
            "turnover": self.turnover,
            "components": {
                self.problem.symbols[i]: float(components[i]) for i in order if self.weights[i] != 0.0
            },
            "solver": self.solver,
            "gap": None if np.isnan(self.gap) else self.gap,
            "binding": [
                {"name": b.name, "value": b.value, "bound": b.bound, "dual": b.dual} for b in self.binding
            ],
            "relaxations": [dict(zip(r.constraints, r.amounts, strict=True)) for r in self.relaxations],
            "attempts": [{"step": a.step, "outcome": a.outcome, "seconds": a.seconds} for a in self.attempts],
        }


def binding_constraints(
    problem: PortfolioProblem, weights: Floats, duals: Mapping[str, float], price: float = 1e-6
) -> tuple[Binding, ...]:
    """Constraints at their bound whose relaxation would improve the objective, dearest first."""
    bindings = [
        Binding(row.name, row.value, row.bound, duals[row.name])
        for row in named.portfolio_rows(problem, weights)
        if abs(row.excess) < 1e-5 and duals.get(row.name, 0.0) > price
    ]
    for symbol, weight, lower, upper in zip(
        problem.symbols, weights, problem.lower, problem.upper, strict=True
    ):
        for name, bound in ((named.upper_bound_name(symbol), upper), (named.lower_bound_name(symbol), lower)):
            if bound != 0.0 and abs(weight - bound) < 1e-6 and duals.get(name, 0.0) > price:
                bindings.append(Binding(name, float(weight), float(bound), duals[name]))
    return tuple(sorted(bindings, key=lambda binding: -binding.dual))

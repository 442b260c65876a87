"""What an optimiser answers: weights, the proof behind them, and what stood in the way."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from qtm.portfolio.problem import PortfolioProblem
from qtm.risk.decomposition import component_cvar
from qtm.risk.measures import Floats, historical_cvar, historical_var


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
        """CVaR at the problem's confidence level, as a positive loss."""
        return historical_cvar(self.problem.scenarios @ self.weights, self.problem.alpha)

    @property
    def var(self) -> float:
        """VaR at the problem's confidence level."""
        return historical_var(self.problem.scenarios @ self.weights, self.problem.alpha)

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
        return component_cvar(self.problem.scenarios, self.weights, self.problem.alpha)

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

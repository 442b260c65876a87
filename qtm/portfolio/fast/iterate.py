"""The iterate of the interior-point method: its variables, residuals and steps."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from qtm.risk.measures import Floats


class Residuals(NamedTuple):
    """What is missing from each equation, named after the variable whose equation it is."""

    s: Floats
    q: Floats
    e: Floats
    p: Floats
    x: Floats
    a: Floats
    u: Floats

    @property
    def primal(self) -> float:
        """Largest violation of a primal equation."""
        return max(largest(self.s), largest(self.q), largest(self.e), largest(self.p))

    @property
    def dual(self) -> float:
        """Largest violation of a dual equation."""
        return max(largest(self.x), largest(self.a), largest(self.u))


class Places(NamedTuple):
    """Where each positive variable, and in the other vector its multiplier, lies among all of them."""

    u: slice
    s: slice
    p: slice
    q: slice
    low: slice
    high: slice

    @classmethod
    def of(cls, sizes: tuple[int, ...]) -> Places:
        """One place after another, of these sizes."""
        ends = np.cumsum((0, *sizes)).tolist()
        return cls(*(slice(first, last) for first, last in itertools.pairwise(ends)))


@dataclass(slots=True)
class State:
    """All variables of one iterate, or the changes of one step.

    The point with its CVaRs x, the thresholds a, the multipliers of the equalities gam. The other variables
    are positive and lie in one vector: the excesses u, the slacks of the scenario rows s, of the parts p, of
    the rows q, and the distances to the bounds vl and vh; their multipliers yu, y, tau, lam, zl, zh lie in
    another in the same order. One vector each, because an iteration does the same to all of them.
    """

    x: Floats
    a: Floats
    gam: Floats
    primal: Floats
    dual: Floats
    places: Places

    @property
    def u(self) -> Floats:
        """Excess losses over the thresholds."""
        return self.primal[self.places.u]

    @property
    def s(self) -> Floats:
        """Slacks of the scenario rows."""
        return self.primal[self.places.s]

    @property
    def p(self) -> Floats:
        """Slacks of the parts' CVaR rows."""
        return self.primal[self.places.p]

    @property
    def q(self) -> Floats:
        """Slacks of the rows."""
        return self.primal[self.places.q]

    @property
    def vl(self) -> Floats:
        """Distances to the lower bounds."""
        return self.primal[self.places.low]

    @property
    def vh(self) -> Floats:
        """Distances to the upper bounds."""
        return self.primal[self.places.high]

    @property
    def yu(self) -> Floats:
        """Multipliers of `u >= 0`."""
        return self.dual[self.places.u]

    @property
    def y(self) -> Floats:
        """Multipliers of the scenario rows: the scenarios' weights."""
        return self.dual[self.places.s]

    @property
    def tau(self) -> Floats:
        """Multipliers of the parts' CVaR rows."""
        return self.dual[self.places.p]

    @property
    def lam(self) -> Floats:
        """Multipliers of the rows."""
        return self.dual[self.places.q]

    @property
    def zl(self) -> Floats:
        """Multipliers of the lower bounds."""
        return self.dual[self.places.low]

    @property
    def zh(self) -> Floats:
        """Multipliers of the upper bounds."""
        return self.dual[self.places.high]

    def lengths(self, step: State) -> tuple[float, float]:
        """Longest primal and dual steps, at most one, that keep every variable positive."""
        return longest(self.primal, step.primal), longest(self.dual, step.dual)

    def affine(self, step: State, primal: float, dual: float) -> float:
        """Complementarity after steps of these lengths."""
        return float((self.primal + primal * step.primal) @ (self.dual + dual * step.dual))

    def moved(self, step: State, primal: float, dual: float) -> State:
        """The iterate after these fractions of `step`."""
        return State(
            self.x + primal * step.x,
            self.a + primal * step.a,
            self.gam + dual * step.gam,
            self.primal + primal * step.primal,
            self.dual + dual * step.dual,
            self.places,
        )


def longest(value: Floats, change: Floats) -> float:
    """Longest step, at most one, along `change` that keeps `value` from crossing zero."""
    steepest = float((change / value).min())
    return 1.0 if steepest >= -1.0 else -1.0 / steepest


def largest(values: Floats) -> float:
    """Largest absolute value, zero of nothing."""
    return float(np.abs(values).max()) if values.shape[0] else 0.0

"""The iterate of the interior-point method: its variables, residuals and steps."""

from __future__ import annotations

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


@dataclass(slots=True)
class State:
    """All variables of one iterate, or the changes of one step.

    Primal: the point with its CVaRs x, the thresholds a, and positive: the excesses u, the slacks of the
    scenario rows s, of the parts p, of the rows q, and the distances to the bounds vl and vh. Dual: those of
    the equalities gam, and positive, in the same order, yu, y, tau, lam, zl, zh.
    """

    x: Floats
    a: Floats
    gam: Floats
    u: Floats
    s: Floats
    p: Floats
    q: Floats
    vl: Floats
    vh: Floats
    yu: Floats
    y: Floats
    tau: Floats
    lam: Floats
    zl: Floats
    zh: Floats

    def primals(self) -> tuple[Floats, ...]:
        """The positive primal variables."""
        return (self.u, self.s, self.p, self.q, self.vl, self.vh)

    def duals(self) -> tuple[Floats, ...]:
        """Their multipliers, in the same order."""
        return (self.yu, self.y, self.tau, self.lam, self.zl, self.zh)

    def products(self) -> tuple[Floats, ...]:
        """Each positive variable times its multiplier."""
        return tuple(primal * dual for primal, dual in zip(self.primals(), self.duals(), strict=True))

    def lengths(self, step: State) -> tuple[float, float]:
        """Longest primal and dual steps, at most one, that keep every variable positive."""
        primal = min(longest(v, d) for v, d in zip(self.primals(), step.primals(), strict=True))
        dual = min(longest(v, d) for v, d in zip(self.duals(), step.duals(), strict=True))
        return primal, dual

    def affine(self, step: State, primal: float, dual: float) -> float:
        """Complementarity after steps of these lengths."""
        return float(
            sum(
                (v + primal * dv) @ (z + dual * dz)
                for v, dv, z, dz in zip(
                    self.primals(), step.primals(), self.duals(), step.duals(), strict=True
                )
            )
        )

    def moved(self, step: State, primal: float, dual: float) -> State:
        """The iterate after these fractions of `step`."""
        return State(
            self.x + primal * step.x,
            self.a + primal * step.a,
            self.gam + dual * step.gam,
            *(v + primal * d for v, d in zip(self.primals(), step.primals(), strict=True)),
            *(v + dual * d for v, d in zip(self.duals(), step.duals(), strict=True)),
        )


def longest(value: Floats, change: Floats) -> float:
    """Longest step, at most one, along `change` that keeps `value` from crossing zero."""
    if not value.shape[0]:
        return 1.0
    steepest = float((change / value).min())
    return 1.0 if steepest >= -1.0 else -1.0 / steepest


def largest(values: Floats) -> float:
    """Largest absolute value, zero of nothing."""
    return float(np.abs(values).max()) if values.shape[0] else 0.0

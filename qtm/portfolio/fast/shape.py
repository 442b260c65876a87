"""The shape of problem the fast path solves: a linear programme around the CVaRs of some distributions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from qtm.portfolio import constraints as named
from qtm.portfolio.problem import Distribution, GroundNorm, Objective, PortfolioProblem, TailCap
from qtm.risk.measures import Floats

NARROWEST = 1e-8
"""A weight that may move less than this has no interior; such problems go to the reference."""
WIDEST = 1e3
"""Bounds further apart than this tell nothing; such problems go to the reference."""


@dataclass(frozen=True, slots=True)
class Polytope:
    """Points with `lower <= x <= upper` (n,) and `row_lower <= rows @ x <= row_upper` (K,), rows (K, n).

    The first N entries of a point are the portfolio w; then, for each of `centres` (N,), come distances d
    with `d >= |w - centre|`.
    """

    lower: Floats
    upper: Floats
    rows: Floats
    row_lower: Floats
    row_upper: Floats
    names: tuple[tuple[str, str], ...]
    """Names of each row's lower and upper side, as the problem's constraints are named."""
    centres: tuple[Floats, ...] = ()

    def point(self, weights: Floats) -> Floats:
        """The portfolio with its distances."""
        return np.concatenate((weights, *(np.abs(weights - centre) for centre in self.centres)))

    def violation(self, weights: Floats) -> float:
        """Largest violation of a row or bound by a portfolio."""
        point = self.point(weights)
        values = self.rows @ point
        over = np.concatenate(
            (values - self.row_upper, self.row_lower - values, point - self.upper, self.lower - point)
        )
        return float(over.max())


@dataclass(frozen=True, slots=True)
class Level:
    """A confidence level: the price of its CVaR in the objective and the cap on it (infinite if none)."""

    name: str
    alpha: float
    price: float
    cap: float


@dataclass(frozen=True, slots=True)
class TailProgramme:
    """Minimise `cost @ x + sum of price * CVaR(w)` over a polytope, every CVaR at most its cap.

    The CVaR of a level is the worst over the distributions.
    """

    distributions: tuple[Distribution, ...]
    levels: tuple[Level, ...]
    cost: Floats
    polytope: Polytope

    @property
    def symbols(self) -> int:
        """N."""
        return int(self.distributions[0].returns.shape[1])

    def linear_value(self, weights: Floats) -> float:
        """The part of the objective that is not CVaR."""
        return float(self.cost @ self.polytope.point(weights))


def programme_of(problem: PortfolioProblem) -> TailProgramme | None:
    """The linear programme of `problem`; None if its shape needs the reference formulation.

    It takes every objective, any number of CVaR caps and distributions, scenario probabilities, bounds,
    leverage, groups, turnover, proportional costs, and a Wasserstein margin that is the same for every
    portfolio (largest-return norm, long only, fully invested). Square-root costs, drawdown caps, other
    margins and weights that cannot move go to the reference.
    """
    bounds = _finite_bounds(problem)
    plain = (
        bounds is not None
        and problem.impact == 0.0
        and problem.drawdown_cap is None
        and (problem.radius == 0.0 or _margin_is_constant(problem))
    )
    if not plain or bounds is None:
        return None
    lower, upper = bounds
    if not (upper - lower > NARROWEST).all() or float((upper - lower).max()) > WIDEST:
        return None
    return _Builder(problem, lower, upper).programme()


class _Builder:
    """Rows over the portfolio and its distances, collected one by one."""

    def __init__(self, problem: PortfolioProblem, lower: Floats, upper: Floats) -> None:
        self.problem, self.lower, self.upper = problem, lower, upper
        self.count = len(problem.symbols)
        self.trades = problem.turnover_cap is not None or problem.cost_rate > 0.0
        self.gross = _leverage_could_bind(problem)
        self.centres = ((problem.held_weights,) if self.trades else ()) + (
            (np.zeros(self.count),) if self.gross else ()
        )
        self.rows: list[Floats] = []
        self.bounds: list[tuple[float, float]] = []
        self.names: list[tuple[str, str]] = []

    def programme(self) -> TailProgramme:
        problem = self.problem
        self._portfolio_rows()
        minimise = problem.objective is Objective.MIN_CVAR
        cost = np.zeros(self._width) if minimise else -self._net_return()
        return TailProgramme(_possible(problem), self._levels(), cost, self._polytope())

    @property
    def _width(self) -> int:
        return self.count * (1 + len(self.centres))

    def _spread(self, portfolio: Floats | float, *, trades: float = 0.0, gross: float = 0.0) -> Floats:
        """A row over the portfolio and its distances."""
        blocks = [np.broadcast_to(np.asarray(portfolio, dtype=np.float64), (self.count,))]
        if self.trades:
            blocks.append(np.full(self.count, trades))
        if self.gross:
            blocks.append(np.full(self.count, gross))
        return np.concatenate(blocks)

    def _net_return(self) -> Floats:
        return self._spread(self.problem.mean, trades=-self.problem.cost_rate)

    def _add(self, row: Floats, lower: float, upper: float, names: tuple[str, str]) -> None:
        self.rows.append(row)
        self.bounds.append((lower, upper))
        self.names.append(names)

    def _portfolio_rows(self) -> None:
        problem = self.problem
        least, most = problem.invested
        exact = least == most
        invested = (named.FULLY_INVESTED,) * 2 if exact else (named.LEAST_INVESTED, named.MOST_INVESTED)
        self._add(self._spread(1.0), least, most, (invested[0], invested[1]))
        for group in problem.groups:
            sides = (named.group_name(group.name, at_most=False), named.group_name(group.name, at_most=True))
            self._add(self._spread(problem.group_mask(group)), group.lower, group.upper, sides)
        if problem.return_floor is not None:
            self._add(self._net_return(), problem.return_floor, np.inf, (named.RETURN_FLOOR, ""))
        if problem.turnover_cap is not None:
            self._add(self._spread(0.0, trades=1.0), -np.inf, problem.turnover_cap, ("", named.TURNOVER_CAP))
        if _leverage_could_bind(problem) and problem.gross_cap is not None:
            self._add(self._spread(0.0, gross=1.0), -np.inf, problem.gross_cap, ("", named.GROSS_CAP))

    def _levels(self) -> tuple[Level, ...]:
        problem = self.problem
        caps = {cap.alpha: cap for cap in problem.tail_caps}
        for cap in problem.tail_caps:
            if cap.cap < caps[cap.alpha].cap:
                caps[cap.alpha] = cap
        prices = dict.fromkeys(caps, 0.0)
        if problem.objective is not Objective.MAX_RETURN:
            utility = problem.objective is Objective.MAX_UTILITY
            prices[problem.alpha] = problem.risk_aversion if utility else 1.0
        return tuple(
            Level(caps[a].name if a in caps else "", a, price, self._room(caps[a]) if a in caps else np.inf)
            for a, price in sorted(prices.items())
            if price > 0.0 or a in caps
        )

    def _room(self, cap: TailCap) -> float:
        """What the cap leaves for CVaR itself after the margin."""
        return cap.cap - self.problem.margin(self.problem.invested[1] * np.ones(1), cap.alpha)

    def _polytope(self) -> Polytope:
        lower, upper = [self.lower], [self.upper]
        for centre in self.centres:
            lower.append(np.zeros(self.count))
            upper.append(np.maximum(np.abs(self.upper - centre), np.abs(self.lower - centre)) + 0.1)
        return Polytope(
            lower=np.concatenate(lower),
            upper=np.concatenate(upper),
            rows=np.array(self.rows),
            row_lower=np.array([bound[0] for bound in self.bounds]),
            row_upper=np.array([bound[1] for bound in self.bounds]),
            names=tuple(self.names),
            centres=self.centres,
        )


def _possible(problem: PortfolioProblem) -> tuple[Distribution, ...]:
    """The distributions without scenarios of probability zero, which no tail can weigh."""
    return tuple(
        one
        if one.probabilities is None or (one.probabilities > 0.0).all()
        else Distribution(one.returns[one.probabilities > 0.0], one.probabilities[one.probabilities > 0.0])
        for one in problem.distributions
    )


def _leverage_could_bind(problem: PortfolioProblem) -> bool:
    if problem.gross_cap is None:
        return False
    long_only = bool((problem.lower >= 0.0).all())
    return not (long_only and problem.invested[1] <= problem.gross_cap)


def _margin_is_constant(problem: PortfolioProblem) -> bool:
    """Whether the dual norm of the weights is their sum, and that is fixed."""
    long_only = bool((problem.lower >= 0.0).all())
    return problem.ground is GroundNorm.LARGEST and long_only and problem.invested[0] == problem.invested[1]


def _finite_bounds(problem: PortfolioProblem) -> tuple[Floats, Floats] | None:
    """Weight bounds, tightened by what leverage and the invested range imply; None if some stay infinite."""
    lower, upper = problem.lower.copy(), problem.upper.copy()
    if problem.gross_cap is not None:
        lower, upper = np.maximum(lower, -problem.gross_cap), np.minimum(upper, problem.gross_cap)
    if np.isfinite(lower).all() and np.isfinite(problem.invested[1]) and not np.isfinite(upper).all():
        rest = problem.invested[1] - float(lower.sum())
        upper = np.where(np.isfinite(upper), upper, np.maximum(lower + rest, lower))
    if np.isfinite(lower).all() and np.isfinite(upper).all():
        return lower, upper
    return None


def with_floor(programme: TailProgramme, row: Floats, least: float, name: str) -> TailProgramme:
    """The programme with one more row `row @ x >= least`."""
    box = programme.polytope
    polytope = replace(
        box,
        rows=np.vstack((box.rows, row)),
        row_lower=np.append(box.row_lower, least),
        row_upper=np.append(box.row_upper, np.inf),
        names=(*box.names, (name, "")),
    )
    return replace(programme, polytope=polytope)

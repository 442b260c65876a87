"""What an allocation must achieve and respect: the typed problem every optimiser of this package solves.

Weights are fractions of the capital allocated; what is not invested is cash. Returns, caps and floors are per
scenario period (one day for daily scenarios) as fractions. The names made here are the ones an infeasible
problem, a binding constraint and the report use.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from qtm.errors import RiskError
from qtm.risk.measures import Floats, historical_cvar, tail_count


class Objective(StrEnum):
    """What is optimised."""

    MAX_RETURN = "max-return"
    MIN_CVAR = "min-cvar"
    MAX_UTILITY = "max-utility"


@dataclass(frozen=True, slots=True)
class TailCap:
    """CVaR at confidence `alpha` must not exceed `cap`."""

    alpha: float
    cap: float

    @property
    def name(self) -> str:
        """`CVaR 95 % cap`."""
        return f"CVaR {self.alpha * 100:g} % cap"


@dataclass(frozen=True, slots=True)
class Group:
    """Bounds on the summed weight of some symbols, e.g. a sector or everything settled in one stablecoin."""

    name: str
    symbols: tuple[str, ...]
    lower: float = -np.inf
    upper: float = np.inf


@dataclass(frozen=True, slots=True)
class DrawdownCap:
    """CDaR (conditional drawdown at risk) of the uncompounded path must not exceed `cap`.

    `alpha` towards one caps the maximum drawdown. The scenarios must then be in time order.
    """

    alpha: float
    cap: float

    @property
    def name(self) -> str:
        """`CDaR 95 % cap`."""
        return f"CDaR {self.alpha * 100:g} % cap"


@dataclass(frozen=True, slots=True)
class Distribution:
    """Joint returns (T, N) of the problem's symbols with their probabilities (T,); None: equally likely."""

    returns: Floats
    probabilities: Floats | None = None

    def cvar(self, weights: Floats, alpha: float) -> float:
        """CVaR of the portfolio `weights` (N,), as a positive loss."""
        return historical_cvar(self.returns @ weights, alpha, self.probabilities)

    def density(self, alpha: float) -> Floats:
        """Largest weight of each scenario in CVaR at `alpha`: its probability over 1 - alpha, shape (T,)."""
        count = self.returns.shape[0]
        chances = np.full(count, 1.0 / count) if self.probabilities is None else self.probabilities
        return chances / (1.0 - alpha)


class GroundNorm(StrEnum):
    """How far apart two scenarios are: the norm on returns behind a Wasserstein distance."""

    SUM = "sum"
    EUCLIDEAN = "euclidean"
    LARGEST = "largest"

    @property
    def dual_order(self) -> float:
        """Order of the dual norm, which measures the weights."""
        return {"sum": np.inf, "euclidean": 2.0, "largest": 1.0}[self.value]


@dataclass(frozen=True, slots=True)
class PortfolioProblem:
    """One allocation problem over N symbols and T scenarios.

    Parameters
    ----------
    symbols
        N distinct names.
    scenarios
        Returns of shape (T, N), finite.
    mean
        Expected returns of shape (N,), net of carry.
    alpha
        Confidence level of the reported and (for MIN_CVAR) minimised CVaR.
    objective
        MAX_RETURN needs a bounded feasible set: at least one tail cap or finite bounds. MAX_UTILITY maximises
        expected return less `risk_aversion` times CVaR at `alpha`.
    tail_caps
        Any number of CVaR caps, at different confidence levels if wished.
    return_floor
        Least expected return after costs.
    lower, upper
        Weight bounds of shape (N,); negative lower bounds allow short positions.
    invested
        Least and most sum of weights; (1, 1) is fully invested, (0, 1) lets the optimiser hold cash.
    gross_cap
        Most sum of absolute weights (leverage).
    groups
        Bounds on sums of weights.
    held
        Weights held now, shape (N,); zero if not given. Turnover and costs are measured from here.
    turnover_cap
        Most sum of absolute changes of weight.
    cost_rate
        Proportional cost per unit of weight traded (0.001 is 10 bp), subtracted from the expected return.
    impact
        Square-root impact: `impact * |trade|^1.5` is subtracted from the expected return, shape (N,) or one
        number. In units of return at a full unit of weight traded.
    drawdown_cap
        CDaR constraint on the scenario path.
    probabilities
        Chance of each scenario, shape (T,), summing to one; equally likely if not given.
    risk_aversion
        Return given up per unit of CVaR saved; read by MAX_UTILITY alone.
    rivals
        Further distributions that may be the true one: every cap and every minimised CVaR is the worst over
        them and the scenarios.
    radius, ground
        Wasserstein distance (order one, in units of return) within which the true distribution may lie from
        each of these, and the norm it is measured in. CVaR grows by `radius * dual norm(w) / (1 - alpha)`
        (Esfahani and Kuhn 2018).
    """

    symbols: tuple[str, ...]
    scenarios: Floats
    mean: Floats
    lower: Floats
    upper: Floats
    alpha: float = 0.95
    objective: Objective = Objective.MAX_RETURN
    tail_caps: tuple[TailCap, ...] = ()
    return_floor: float | None = None
    invested: tuple[float, float] = (1.0, 1.0)
    gross_cap: float | None = None
    groups: tuple[Group, ...] = ()
    held: Floats | None = None
    turnover_cap: float | None = None
    cost_rate: float = 0.0
    impact: float = 0.0
    drawdown_cap: DrawdownCap | None = None
    risk_aversion: float = 1.0
    probabilities: Floats | None = None
    rivals: tuple[Distribution, ...] = ()
    radius: float = 0.0
    ground: GroundNorm = GroundNorm.EUCLIDEAN

    def __post_init__(self) -> None:
        count = len(self.symbols)
        if count == 0 or len(set(self.symbols)) != count:
            raise RiskError("a portfolio needs distinct symbols", where=f"{count} symbols given")
        if self.scenarios.ndim != 2 or self.scenarios.shape[1] != count or self.scenarios.shape[0] < 2:
            raise RiskError(
                "scenarios must be a (T, N) table with at least two rows and one column per symbol",
                where=f"shape {self.scenarios.shape} for {count} symbols",
            )
        for name in ("mean", "lower", "upper", "held"):
            vector = getattr(self, name)
            if vector is not None and vector.shape != (count,):
                raise RiskError(f"{name} needs one value per symbol", where=f"shape {vector.shape}")
        self._require_finite()
        self._require_sane_bounds()
        for cap in self._levels():
            tail_count(self.scenarios.shape[0], cap)

    @property
    def held_weights(self) -> Floats:
        """Weights held now, zeros if none were given."""
        return np.zeros(len(self.symbols)) if self.held is None else self.held

    @property
    def has_trading_terms(self) -> bool:
        """Whether the problem depends on what is held now."""
        return self.turnover_cap is not None or self.cost_rate > 0.0 or self.impact > 0.0

    @property
    def distributions(self) -> tuple[Distribution, ...]:
        """The scenarios and their rivals."""
        return (Distribution(self.scenarios, self.probabilities), *self.rivals)

    def tail_risk(self, weights: Floats, alpha: float) -> float:
        """The CVaR that caps and objectives speak of: the worst over the distributions, with the margin."""
        worst = max(distribution.cvar(weights, alpha) for distribution in self.distributions)
        return worst + self.margin(weights, alpha)

    def margin(self, weights: Floats, alpha: float) -> float:
        """What the Wasserstein radius adds to CVaR."""
        if self.radius == 0.0:
            return 0.0
        return self.radius * float(np.linalg.norm(weights, self.ground.dual_order)) / (1.0 - alpha)

    def cost(self, weights: Floats) -> float:
        """Expected cost of trading from the held weights to `weights`, in return units."""
        trade = np.abs(weights - self.held_weights)
        return float(self.cost_rate * trade.sum() + self.impact * (trade**1.5).sum())

    def expected_return(self, weights: Floats) -> float:
        """Expected return of `weights` after trading costs."""
        return float(self.mean @ weights) - self.cost(weights)

    def group_mask(self, group: Group) -> Floats:
        """One for members of the group, zero otherwise, shape (N,)."""
        members = set(group.symbols)
        return np.array([1.0 if symbol in members else 0.0 for symbol in self.symbols])

    def _levels(self) -> list[float]:
        levels = [self.alpha, *(cap.alpha for cap in self.tail_caps)]
        return levels if self.drawdown_cap is None else [*levels, self.drawdown_cap.alpha]

    def _require_finite(self) -> None:
        count = len(self.symbols)
        for rank, distribution in enumerate(self.distributions):
            returns, chances = distribution.returns, distribution.probabilities
            which = "scenario" if rank == 0 else f"rival {rank}, scenario"
            if returns.ndim != 2 or returns.shape[1] != count or returns.shape[0] < 2:
                raise RiskError("a rival needs one column per symbol", where=f"{which}s {returns.shape}")
            if not np.isfinite(returns).all():
                row, column = np.argwhere(~np.isfinite(returns))[0]
                raise RiskError(
                    "a scenario return is missing or infinite",
                    where=f"{self.symbols[column]}, {which} {row}",
                    remedy="build scenarios with qtm.portfolio.scenarios, which says what it does with gaps",
                )
            if chances is not None and (
                chances.shape != returns.shape[:1]
                or not (chances >= 0.0).all()
                or abs(float(chances.sum()) - 1.0) > 1e-9
            ):
                raise RiskError(
                    "scenario probabilities must be one per scenario, not negative, and sum to one",
                    where=f"{which}s: shape {chances.shape}, sum {float(chances.sum()):.9f}",
                )
        for what, vector in (("an expected return", self.mean), ("a held weight", self.held)):
            for index in () if vector is None else np.flatnonzero(~np.isfinite(vector)):
                raise RiskError(f"{what} is missing or infinite", where=self.symbols[index])

    def _require_sane_bounds(self) -> None:
        for index in np.flatnonzero(~(self.lower <= self.upper)):
            raise RiskError(
                "a weight's lower bound lies above its upper bound",
                where=f"{self.symbols[index]}: {self.lower[index]} to {self.upper[index]}",
            )
        if not self.invested[0] <= self.invested[1]:
            raise RiskError("the least invested lies above the most invested", where=f"{self.invested}")
        for group in self.groups:
            unknown = sorted(set(group.symbols) - set(self.symbols))
            if unknown:
                raise RiskError(f"group {group.name} names unknown symbols", where=", ".join(unknown))
            if not group.lower <= group.upper:
                raise RiskError(f"group {group.name} has its lower bound above its upper bound")
        for name in ("gross_cap", "turnover_cap", "cost_rate", "impact", "risk_aversion", "radius"):
            value = getattr(self, name)
            if value is not None and not value >= 0.0:
                raise RiskError(f"{name} must not be negative", where=str(value))
        caps = [(cap.name, cap.cap) for cap in self.tail_caps]
        if self.drawdown_cap is not None:
            caps.append((self.drawdown_cap.name, self.drawdown_cap.cap))
        if self.return_floor is not None:
            caps.append(("return floor", self.return_floor))
        for name, value in caps:
            if np.isnan(value):
                raise RiskError(f"{name} must be a number", where=str(value))

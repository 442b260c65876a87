"""Monte Carlo from a t copula: joint crashes as likely as the data make them, margins of choice.

A Gaussian copula lets the joint extremes of imperfectly correlated assets become independent; a t copula with
few degrees of freedom does not, which is what crypto does in a crash. Correlations come from Kendall's tau,
which no outlier moves (Lindskog, McNeil and Schmock 2003), the degrees of freedom from maximum likelihood on
the ranks given them (Mashal and Zeevi 2002). Reference: McNeil, Frey and Embrechts, "Quantitative Risk
Management" (2015), chapter 7.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import gammaln, ndtr, stdtr, stdtrit
from scipy.stats import kendalltau, rankdata

from qtm.errors import RiskError
from qtm.portfolio.scenarios.margins import Margins
from qtm.portfolio.scenarios.scenario_set import NO_DAY, ScenarioSet
from qtm.risk.extreme_value import ParetoTail, fit_pareto_tail
from qtm.risk.measures import Floats
from qtm.risk.parametric import student_t_freedom

LEAST_ROWS = 60
FEWEST_FREEDOM, MOST_FREEDOM = 1.5, 200.0
_WORST_RETURN = -0.999


@dataclass(frozen=True, slots=True)
class TCopula:
    """A t copula: correlation matrix (N, N), unit diagonal, and degrees of freedom."""

    correlation: Floats
    freedom: float

    def draw(self, rows: int, seed: int) -> Floats:
        """`rows` draws of uniforms, shape (rows, N), strictly inside (0, 1)."""
        random = np.random.default_rng(seed)
        factor = _square_root(self.correlation)
        normal = random.standard_normal((rows, self.correlation.shape[0])) @ factor.T
        if self.freedom >= MOST_FREEDOM:
            uniform = ndtr(normal)
        else:
            mixing = np.sqrt(self.freedom / random.chisquare(self.freedom, rows))[:, None]
            uniform = stdtr(self.freedom, normal * mixing)
        tiny = 1e-12
        inside: Floats = np.clip(uniform, tiny, 1.0 - tiny)
        return inside

    def tail_dependence(self, first: int, second: int) -> float:
        """Chance that one asset crashes given that the other does, in the limit (Embrechts et al. 2002)."""
        if self.freedom >= MOST_FREEDOM:
            return 0.0
        rho = float(self.correlation[first, second])
        argument = -math.sqrt((self.freedom + 1.0) * (1.0 - rho) / (1.0 + rho))
        return 2.0 * float(stdtr(self.freedom + 1.0, argument))


def fit_t_copula(returns: Floats) -> TCopula:
    """The t copula of `returns` (T, N): correlations by Kendall's tau, freedom by maximum likelihood.

    Raises
    ------
    RiskError
        If there are fewer than 60 rows, or a column is constant.
    """
    rows, count = returns.shape
    if rows < LEAST_ROWS:
        raise RiskError(
            f"a copula fit needs at least {LEAST_ROWS} rows", where=f"{rows}", remedy="widen the window"
        )
    still = np.flatnonzero(returns.min(axis=0) == returns.max(axis=0))
    if still.size:
        raise RiskError("a constant series has no dependence to fit", where=f"column {still[0]}")
    correlation = np.eye(count)
    for first in range(count):
        for second in range(first):
            tau = float(kendalltau(returns[:, first], returns[:, second]).statistic)
            correlation[first, second] = correlation[second, first] = math.sin(0.5 * math.pi * tau)
    correlation = _positive_definite(correlation)
    if count == 1:
        return TCopula(correlation, MOST_FREEDOM)
    ranks: Floats = rankdata(returns, axis=0) / (rows + 1.0)
    inverse: Floats = np.asarray(np.linalg.inv(correlation), dtype=np.float64)
    log_determinant = float(np.linalg.slogdet(correlation)[1])

    def negative_likelihood(log_freedom: float) -> float:
        return -_log_likelihood(ranks, inverse, log_determinant, math.exp(log_freedom))

    found = minimize_scalar(
        negative_likelihood, bounds=(math.log(FEWEST_FREEDOM), math.log(MOST_FREEDOM)), method="bounded"
    )
    return TCopula(correlation, math.exp(float(found.x)))


def t_copula_scenarios(
    scenarios: ScenarioSet, *, draws: int = 5000, margins: Margins = Margins.PARETO_TAILS, seed: int = 0
) -> ScenarioSet:
    """`draws` scenarios from the t copula and margins fitted to `scenarios`.

    A symbol whose losses show no Pareto tail keeps its empirical margin on that side.
    """
    if scenarios.probabilities is not None:
        raise RiskError("a copula is fitted to equally likely days", where=scenarios.model)
    if draws < 1:
        raise RiskError("a simulation needs at least one draw", where=f"{draws}")
    copula = fit_t_copula(scenarios.returns)
    uniform = copula.draw(draws, seed)
    drawn = np.column_stack(
        [
            _quantiles(scenarios.returns[:, column], uniform[:, column], margins)
            for column in range(uniform.shape[1])
        ]
    )
    provenance = replace(
        scenarios.provenance,
        seed=seed,
        parameters={
            **scenarios.provenance.parameters,
            "draws": float(draws),
            "freedom": copula.freedom,
            "margins": margins.value,
        },
    )
    return replace(
        scenarios,
        open_time_ms=np.full(draws, NO_DAY, dtype=np.int64),
        returns=np.maximum(drawn, _WORST_RETURN),
        model=f"t copula, {copula.freedom:.1f} degrees of freedom, {margins.value} margins",
        provenance=provenance,
    )


def _quantiles(history: Floats, uniform: Floats, margins: Margins) -> Floats:
    if margins is Margins.STUDENT_T:
        freedom = student_t_freedom(history)
        scale = float(history.std(ddof=1)) * math.sqrt((freedom - 2.0) / freedom)
        quantiles: Floats = float(history.mean()) + scale * stdtrit(freedom, uniform)
        return quantiles
    ordered = np.sort(history)
    points = (np.arange(history.shape[0]) + 0.5) / history.shape[0]
    values: Floats = np.interp(uniform, points, ordered)
    if margins is Margins.EMPIRICAL:
        return values
    losses, gains = _pareto_tail(history), _pareto_tail(-history)
    if losses is not None:
        deep = uniform < 1.0 - losses.begins_at
        values[deep] = -losses.losses(uniform[deep])
    if gains is not None:
        high = 1.0 - uniform < 1.0 - gains.begins_at
        values[high] = gains.losses(1.0 - uniform[high])
    return values


def _pareto_tail(returns: Floats) -> ParetoTail | None:
    """The loss tail, or None where the data have none that the theory could be fitted to."""
    try:
        return fit_pareto_tail(returns)
    except RiskError:
        return None


def _log_likelihood(ranks: Floats, inverse: Floats, log_determinant: float, freedom: float) -> float:
    """Log-likelihood of uniforms (T, N) under the t copula."""
    rows, count = ranks.shape
    points = stdtrit(freedom, ranks)
    squares = np.einsum("ti,ij,tj->t", points, inverse, points, optimize=True)
    joint = (
        gammaln(0.5 * (freedom + count))
        + (count - 1) * gammaln(0.5 * freedom)
        - count * gammaln(0.5 * (freedom + 1.0))
        - 0.5 * log_determinant
    )
    own = 0.5 * (freedom + 1.0) * float(np.log1p(points**2 / freedom).sum())
    return float(rows * joint - 0.5 * (freedom + count) * np.log1p(squares / freedom).sum() + own)


def _positive_definite(matrix: Floats) -> Floats:
    """The matrix with its eigenvalues raised above zero and its diagonal back at one (Rebonato, Jaeckel)."""
    values, vectors = np.linalg.eigh(matrix)
    if values[0] > 1e-8:
        return matrix
    repaired = (vectors * np.maximum(values, 1e-8)) @ vectors.T
    size = np.sqrt(np.diag(repaired))
    scaled: Floats = repaired / np.outer(size, size)
    return scaled


def _square_root(matrix: Floats) -> Floats:
    values, vectors = np.linalg.eigh(matrix)
    root: Floats = vectors * np.sqrt(np.maximum(values, 0.0))
    return root

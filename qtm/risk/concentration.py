"""Concentration and common risk: Herfindahl index, effective bets, betas and the factor share of variance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qtm.errors import RiskError
from qtm.risk.measures import Floats


def herfindahl(weights: Floats) -> float:
    """Sum of squared shares of gross exposure: 1/N when equal, 1 when all is in one position."""
    gross = float(np.abs(weights).sum()) if weights.ndim == 1 else 0.0
    if not (gross > 0.0 and np.isfinite(gross)):
        raise RiskError("concentration needs a book with positions", where=f"gross exposure {gross}")
    return float(np.sum((weights / gross) ** 2))


def effective_positions(weights: Floats) -> float:
    """Number of equal positions with the same Herfindahl index."""
    return 1.0 / herfindahl(weights)


def effective_bets(weights: Floats, covariance: Floats) -> float:
    """Effective number of uncorrelated bets: exponential entropy of the risk shares of principal portfolios.

    Source: Meucci, "Managing diversification" (2009). Between 1 (one source of risk) and N.
    """
    _require_fit(weights, covariance)
    values, vectors = np.linalg.eigh(covariance)
    risks = (vectors.T @ weights) ** 2 * np.maximum(values, 0.0)
    if not risks.sum() > 0.0:
        raise RiskError("a book without variance has no bets to count")
    shares = risks[risks > 0.0] / risks.sum()
    return float(np.exp(-np.sum(shares * np.log(shares))))


def diversification_ratio(weights: Floats, covariance: Floats) -> float:
    """Weighted mean of the positions' deviations over that of the book (Choueifaty and Coignard 2008)."""
    _require_fit(weights, covariance)
    alone = float(np.abs(weights) @ np.sqrt(np.diag(covariance)))
    together = float(weights @ covariance @ weights)
    if not together > 0.0:
        raise RiskError("a book without variance has no diversification ratio")
    return alone / float(np.sqrt(together))


def betas(returns: Floats, market: Floats) -> Floats:
    """Slope of each column of `returns`, shape (T, N), against `market`, shape (T,)."""
    return factor_model(returns, market[:, None]).loadings[:, 0]


@dataclass(frozen=True, slots=True)
class FactorModel:
    """Least-squares loadings of N assets on K factors, with what the factors leave.

    Attributes
    ----------
    loadings
        Shape (N, K).
    factor_covariance
        Shape (K, K).
    residual_covariance
        Shape (N, N): covariance of what the factors do not explain.
    """

    loadings: Floats
    factor_covariance: Floats
    residual_covariance: Floats

    def exposures(self, weights: Floats) -> Floats:
        """Sensitivity of the book to each factor, shape (K,)."""
        return weights @ self.loadings

    def variance_shares(self, weights: Floats) -> Floats:
        """Share of the book's variance carried by each factor, shape (K,); the rest is its own.

        Shares are Euler's: exposure times its derivative of the variance, so that they sum whether or not the
        factors are correlated.
        """
        exposed = self.exposures(weights)
        carried = exposed * (self.factor_covariance @ exposed)
        total = float(carried.sum()) + float(weights @ self.residual_covariance @ weights)
        if not total > 0.0:
            raise RiskError("a book without variance has no factor shares")
        shares: Floats = carried / total
        return shares

    def common_share(self, weights: Floats) -> float:
        """Share of the book's variance that comes from the factors."""
        return float(self.variance_shares(weights).sum())


def factor_model(returns: Floats, factors: Floats) -> FactorModel:
    """Regress each column of `returns`, shape (T, N), on `factors`, shape (T, K), with a constant.

    Raises
    ------
    RiskError
        If lengths differ, a value is missing, there are too few rows, or the factors are collinear.
    """
    if returns.ndim != 2 or factors.ndim != 2 or returns.shape[0] != factors.shape[0]:
        raise RiskError(
            "returns and factors do not belong together", where=f"shapes {returns.shape}, {factors.shape}"
        )
    rows, count = factors.shape
    if rows < count + 2:
        raise RiskError("too few returns for a regression", where=f"{rows} rows, {count} factors")
    if not (np.isfinite(returns).all() and np.isfinite(factors).all()):
        raise RiskError("a regression met a missing return", remedy="drop or repair the value")
    centred, moves = returns - returns.mean(axis=0), factors - factors.mean(axis=0)
    if np.linalg.matrix_rank(moves) < count:
        raise RiskError("the factors are collinear or stand still", where=f"{count} factors")
    loadings, *_ = np.linalg.lstsq(moves, centred, rcond=None)
    residuals = centred - moves @ loadings
    return FactorModel(loadings.T, moves.T @ moves / rows, residuals.T @ residuals / rows)


def _require_fit(weights: Floats, covariance: Floats) -> None:
    if weights.ndim != 1 or covariance.shape != (weights.shape[0], weights.shape[0]):
        raise RiskError(
            "weights and covariance do not fit", where=f"shapes {weights.shape}, {covariance.shape}"
        )

"""Problems the portfolio tests share: heavy-tailed, correlated, seeded."""

import numpy as np

from qtm.portfolio.problem import PortfolioProblem


def heavy_tailed_returns(symbols: int, scenarios: int, seed: int = 0) -> np.ndarray:
    """Daily-sized multivariate t(4) returns with one common factor, shape (T, N)."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((scenarios, 1)) * (0.008 + 0.004 * rng.random(symbols))
    own = rng.standard_normal((scenarios, symbols)) * (0.006 + 0.015 * rng.random(symbols))
    fat = np.sqrt(4 / rng.chisquare(4, (scenarios, 1)) / 2)
    return 0.0002 + 0.0008 * rng.random(symbols) + fat * (common + own)


def problem(returns: np.ndarray, upper: float = 1.0, lower: float = 0.0, **changes) -> PortfolioProblem:
    """A fully invested long-only problem over `returns`, changed as named."""
    count = returns.shape[1]
    fields = {
        "symbols": tuple(f"S{index:02d}" for index in range(count)),
        "scenarios": returns,
        "mean": returns.mean(axis=0),
        "lower": np.full(count, lower),
        "upper": np.full(count, upper),
    }
    return PortfolioProblem(**{**fields, **changes})

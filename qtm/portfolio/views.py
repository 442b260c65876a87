"""What the desk believes, mixed with what a prior says: Black and Litterman (1992).

A view states the expected return of a portfolio: one symbol, or one against another. Views move the expected
return of everything that is correlated with them, and a confidence of 1 makes them hold exactly. Formulas and
test values: He and Litterman, "The intuition behind Black-Litterman model portfolios" (1999); a confidence c
stands for a view variance of (1 - c) / c times that of the prior along the view (Idzorek 2005, Walters 2014).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qtm.errors import ConfigError, RiskError
from qtm.risk.measures import Floats

TAU = 0.05
"""Variance of the prior mean, relative to that of returns; with confidences it drops out of the answer."""


@dataclass(frozen=True, slots=True)
class View:
    """`long`, less `short` if there is one, is expected to return `expected` a day, with `confidence`."""

    long: str
    expected: float
    short: str | None = None
    confidence: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 < self.confidence <= 1.0 or not np.isfinite(self.expected):
            raise ConfigError(
                "a view needs a finite return and a confidence above 0 and at most 1",
                where=f"{self.long}: {self.expected}, confidence {self.confidence}",
            )
        if self.long == self.short:
            raise ConfigError("a view sets a symbol against itself", where=self.long)

    @classmethod
    def parse(cls, text: str) -> View:
        """The view written `LONG[-SHORT]:RETURN[@CONFIDENCE]`, such as `SOLUSDT-BTCUSDT:0.001@0.6`.

        Raises
        ------
        ConfigError
            If the text is not of that form.
        """
        pair, colon, rest = text.partition(":")
        long, _, short = pair.partition("-")
        expected, _, confidence = rest.partition("@")
        try:
            if not (long and colon):
                raise ValueError
            return cls(long, float(expected), short or None, float(confidence) if confidence else 0.5)
        except ValueError:
            raise ConfigError(
                f"{text!r} is not a view",
                where="view",
                remedy="write it as LONG[-SHORT]:RETURN A DAY[@CONFIDENCE], e.g. SOLUSDT-BTCUSDT:0.001@0.6",
            ) from None


def equilibrium_mean(covariance: Floats, weights: Floats, risk_aversion: float = 2.5) -> Floats:
    """The expected returns under which holding `weights` (N,) would be optimal, shape (N,).

    Parameters
    ----------
    covariance
        Of returns, shape (N, N).
    weights
        What the market holds.
    risk_aversion
        Return asked for per unit of variance.
    """
    mean: Floats = risk_aversion * covariance @ weights
    return mean


def mean_with_views(
    prior: Floats, covariance: Floats, symbols: Sequence[str], views: Sequence[View]
) -> Floats:
    """Expected returns after `views`, shape (N,).

    Parameters
    ----------
    prior
        Expected returns without them, shape (N,): the equilibrium's, or any other estimate.
    covariance
        Of returns, shape (N, N).
    symbols
        N names.
    views
        None leave the prior as it is.

    Raises
    ------
    RiskError
        If a view names an unknown symbol, is about a portfolio without variance, or views that are certain
        depend on each other.
    """
    if not views:
        return prior
    rows = np.array([_row(view, symbols) for view in views])
    spread = rows @ (TAU * covariance) @ rows.T
    along = spread.diagonal()
    for view, variance in zip(views, along, strict=True):
        if not variance > 0.0:
            raise RiskError(
                "a view is about a portfolio that never moves", where=f"{view.long}, {view.short}"
            )
    doubt = np.array([(1.0 - view.confidence) / view.confidence for view in views]) * along
    surprise = np.array([view.expected for view in views]) - rows @ prior
    try:
        pull = np.linalg.solve(spread + np.diag(doubt), surprise)
    except np.linalg.LinAlgError:
        raise RiskError(
            "views that are certain say the same thing twice or contradict each other",
            where=", ".join(view.long for view in views),
            remedy="lower a confidence below 1 or leave one out",
        ) from None
    posterior: Floats = prior + TAU * covariance @ rows.T @ pull
    return posterior


def _row(view: View, symbols: Sequence[str]) -> Floats:
    row = np.zeros(len(symbols))
    for symbol, weight in ((view.long, 1.0), (view.short, -1.0)):
        if symbol is None:
            continue
        if symbol not in symbols:
            raise RiskError("a view names a symbol without scenarios", where=symbol)
        row[list(symbols).index(symbol)] = weight
    return row

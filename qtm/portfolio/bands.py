"""Bands of scenarios around the VaR: which of them a programme must keep, and which it wrongly left out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from qtm.portfolio.problem import Distribution, PortfolioProblem
from qtm.portfolio.programme import Band, Bands, Indices, tail_levels
from qtm.risk.measures import Floats

WIDTH = 0.4
"""Half width of a band, in units of the tail."""
SPARE = 0.1
"""Most scenarios added in advance on each side of a band, in units of the tail."""


def bands_around(problem: PortfolioProblem, weights: Floats) -> Bands:
    """The bands of every level and distribution of `problem` around the VaRs of `weights` (N,)."""
    return {
        (alpha, rank): around(distribution, alpha, weights)
        for alpha in tail_levels(problem)
        for rank, distribution in enumerate(problem.distributions)
    }


def around(distribution: Distribution, alpha: float, weights: Floats) -> Band:
    """The band around the VaR of `weights`, and the scenarios beyond it."""
    order, tail = _ranked(distribution, alpha, weights)
    half = max(int(WIDTH * tail), int(0.6 * weights.shape[0]) + 25)
    first, last = max(tail - half, 0), min(tail + half, order.shape[0])
    return Band(order[first:last], order[:first])


def _ranked(distribution: Distribution, alpha: float, weights: Floats) -> tuple[Indices, int]:
    """Scenarios from the worst loss down, and how many of them the tail takes."""
    order = np.argsort(distribution.returns @ weights, kind="stable")
    filled = np.cumsum(distribution.density(alpha)[order])
    return order, int(np.searchsorted(filled, 1.0)) + 1


def grown(
    problem: PortfolioProblem,
    bands: Bands,
    thresholds: Mapping[tuple[float, int], float],
    weights: Floats,
) -> Bands:
    """Bands with the scenarios the programme had wrongly summed or dropped, and a few beside them."""
    wider = {}
    for (alpha, rank), band in bands.items():
        distribution = problem.distributions[rank]
        losses = -(distribution.returns @ weights)
        threshold = thresholds[alpha, rank]
        spare = int(SPARE * band.rows.shape[0]) + 10
        outside = np.ones(losses.shape[0], bool)
        outside[band.rows] = outside[band.deep] = False
        dropped = np.flatnonzero(outside)
        summed = band.deep
        back_in = dropped[_wrong_or_close(losses[dropped] - threshold, spare)]
        taken_up = summed[_wrong_or_close(threshold - losses[summed], spare)]
        wider[alpha, rank] = Band(
            np.concatenate((band.rows, back_in, taken_up)), np.setdiff1d(summed, taken_up, assume_unique=True)
        )
    return wider


def _wrong_or_close(excess: Floats, spare: int) -> Indices:
    """Positions with positive `excess`, and if there are any, the `spare` nearest below zero."""
    wrong = np.flatnonzero(excess > 0.0)
    if not wrong.shape[0]:
        return wrong
    close = np.flatnonzero(excess <= 0.0)
    if close.shape[0] > spare:
        close = close[np.argpartition(-excess[close], spare)[:spare]]
    return np.concatenate((wrong, close))

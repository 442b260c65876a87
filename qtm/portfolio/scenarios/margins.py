"""The margins a copula can be given; apart from it, because naming one needs no statistics library."""

from __future__ import annotations

from enum import StrEnum


class Margins(StrEnum):
    """Distribution of each symbol's own return."""

    EMPIRICAL = "empirical"
    """The history, interpolated between neighbouring returns; nothing worse than the worst day."""
    STUDENT_T = "student-t"
    """A location-scale t with the sample's mean and deviation."""
    PARETO_TAILS = "pareto-tails"
    """The history between its outer tenths, generalised Pareto losses and gains beyond them."""

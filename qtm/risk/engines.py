"""VaR engines: each turns a window of returns into the predictive loss tail of the next period.

An engine sees only the window it is given, so whatever rolls it through history cannot look ahead. The tail
it answers gives VaR, CVaR, and losses to draw, which is what model back-tests need.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.special import ndtri, stdtrit

from qtm.errors import RiskError
from qtm.risk.extreme_value import fit_pareto_tail
from qtm.risk.garch import fit_garch
from qtm.risk.measures import Floats, historical_cvar, historical_var
from qtm.risk.parametric import (
    Moments,
    cornish_fisher_cvar,
    cornish_fisher_var,
    normal_cvar,
    student_t_cvar,
    student_t_freedom,
)
from qtm.risk.shortfall_tests import Tail
from qtm.risk.volatility import ewma_volatility, filtered_returns


class PredictiveTail(Tail, Protocol):
    """A tail that also names its VaR."""

    def var(self, alpha: float) -> float:
        """Loss exceeded with probability 1 - alpha."""


class Engine(Protocol):
    """A way to forecast the loss tail of the next period."""

    @property
    def name(self) -> str:
        """What reports call it."""

    def tail(self, window: Floats) -> PredictiveTail:
        """The tail of the period after `window`, shape (W,) returns, oldest first."""


@dataclass(frozen=True)
class EmpiricalTail:
    """Equally likely scenarios; measures are the historical ones."""

    scenarios: Floats

    @cached_property
    def _ascending(self) -> Floats:
        return np.sort(self.scenarios)

    def losses(self, u: Floats) -> Floats:
        """The ceil(u n)-th worst loss, so that the mean over u < p is exactly the fractional CVaR."""
        rank = np.ceil(u * self._ascending.shape[0] - 1e-9).astype(np.int64)
        drawn: Floats = -self._ascending[np.maximum(rank - 1, 0)]
        return drawn

    def var(self, alpha: float) -> float:
        """See `measures.historical_var`."""
        return historical_var(self.scenarios, alpha)

    def cvar(self, alpha: float) -> float:
        """See `measures.historical_cvar`."""
        return historical_cvar(self.scenarios, alpha)


@dataclass(frozen=True, slots=True)
class NormalTail:
    """A normal return."""

    mean: float
    deviation: float

    def losses(self, u: Floats) -> Floats:
        """Normal quantiles."""
        drawn: Floats = -self.mean - self.deviation * ndtri(u)
        return drawn

    def var(self, alpha: float) -> float:
        """See `parametric.normal_var`."""
        return float(self.losses(np.array([1.0 - alpha]))[0])

    def cvar(self, alpha: float) -> float:
        """See `parametric.normal_cvar`."""
        return normal_cvar(self.mean, self.deviation, alpha)


@dataclass(frozen=True, slots=True)
class StudentTail:
    """A Student t return with more than two degrees of freedom."""

    mean: float
    deviation: float
    freedom: float

    def losses(self, u: Floats) -> Floats:
        """Student quantiles."""
        scale = self.deviation * np.sqrt((self.freedom - 2.0) / self.freedom)
        drawn: Floats = -self.mean - scale * stdtrit(self.freedom, u)
        return drawn

    def var(self, alpha: float) -> float:
        """See `parametric.student_t_var`."""
        return float(self.losses(np.array([1.0 - alpha]))[0])

    def cvar(self, alpha: float) -> float:
        """See `parametric.student_t_cvar`."""
        return student_t_cvar(self.mean, self.deviation, self.freedom, alpha)


@dataclass(frozen=True, slots=True)
class CornishFisherTail:
    """A normal return bent by skewness and excess kurtosis; refuses moments outside its domain."""

    moments: Moments

    def losses(self, u: Floats) -> Floats:
        """Cornish-Fisher quantiles."""
        return np.array([cornish_fisher_var(self.moments, 1.0 - float(share)) for share in u])

    def var(self, alpha: float) -> float:
        """See `parametric.cornish_fisher_var`."""
        return cornish_fisher_var(self.moments, alpha)

    def cvar(self, alpha: float) -> float:
        """See `parametric.cornish_fisher_cvar`."""
        return cornish_fisher_cvar(self.moments, alpha)


@dataclass(frozen=True, slots=True)
class Historical:
    """The window as it was."""

    name: str = "historical"

    def tail(self, window: Floats) -> PredictiveTail:
        """See `Engine`."""
        return EmpiricalTail(window)


@dataclass(frozen=True, slots=True)
class FilteredHistorical:
    """The window rescaled from each day's expected volatility to tomorrow's, exponentially weighted."""

    decay: float = 0.94
    name: str = "filtered"

    def tail(self, window: Floats) -> PredictiveTail:
        """See `Engine`."""
        return EmpiricalTail(filtered_returns(window, self.decay))


@dataclass(frozen=True, slots=True)
class GarchFiltered:
    """The window rescaled by a GARCH(1,1) fitted to it."""

    name: str = "garch"

    def tail(self, window: Floats) -> PredictiveTail:
        """See `Engine`; raises RiskError where GARCH does not fit."""
        return EmpiricalTail(fit_garch(window).filtered(window))


@dataclass(frozen=True, slots=True)
class Normal:
    """Mean and deviation of the window, and a normal tail."""

    name: str = "normal"

    def tail(self, window: Floats) -> PredictiveTail:
        """See `Engine`."""
        moments = Moments.of(window)
        return NormalTail(moments.mean, moments.deviation)


@dataclass(frozen=True, slots=True)
class Student:
    """Mean and deviation of the window, and a Student t tail fitted to it."""

    name: str = "student-t"

    def tail(self, window: Floats) -> PredictiveTail:
        """See `Engine`."""
        moments = Moments.of(window)
        return StudentTail(moments.mean, moments.deviation, student_t_freedom(window))


@dataclass(frozen=True, slots=True)
class CornishFisher:
    """First four moments of the window, where they lie inside the expansion's domain."""

    name: str = "cornish-fisher"

    def tail(self, window: Floats) -> PredictiveTail:
        """See `Engine`; raises RiskError outside the domain."""
        tail = CornishFisherTail(Moments.of(window))
        tail.var(0.99)
        return tail


@dataclass(frozen=True, slots=True)
class ExtremeValue:
    """Peaks over a threshold of the window, after an exponentially weighted volatility filter or without.

    With the filter this is the conditional extreme value model of McNeil and Frey (2000).
    """

    filtered: bool = False
    share: float = 0.10
    decay: float = 0.94

    @property
    def name(self) -> str:
        """See `Engine`."""
        return "filtered-evt" if self.filtered else "evt"

    def tail(self, window: Floats) -> PredictiveTail:
        """See `Engine`; raises RiskError where there is no tail to fit."""
        if not self.filtered:
            return fit_pareto_tail(window, self.share)
        expected, following = ewma_volatility(window[:, None], self.decay)
        standard = fit_pareto_tail(window / expected[:, 0], self.share)
        tomorrow = float(following[0])
        return replace(standard, threshold=standard.threshold * tomorrow, scale=standard.scale * tomorrow)


ENGINES: dict[str, Engine] = {
    engine.name: engine
    for engine in (
        Historical(),
        FilteredHistorical(),
        GarchFiltered(),
        Normal(),
        Student(),
        ExtremeValue(),
        ExtremeValue(filtered=True),
    )
}
"""The engines by name that can be rolled through any history; Cornish-Fisher refuses too many windows."""

DEFAULT_ENGINE = "filtered"
"""The engine the platform relies on where nothing else is said."""


def engine_named(name: str) -> Engine:
    """Look an engine up by its name.

    Raises
    ------
    RiskError
        Naming the engines there are.
    """
    if name not in ENGINES:
        raise RiskError(
            f"unknown VaR engine {name!r}", where="engine", remedy=f"use one of {', '.join(ENGINES)}"
        )
    return ENGINES[name]

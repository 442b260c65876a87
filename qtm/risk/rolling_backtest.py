"""Rolling back-test of a VaR engine: forecasts through history, every test on them, lights and the action.

The policy's measures are VaR at 99 % (counted by Basel's traffic light over the last 250 forecasts) and ES at
97.5 % (Acerbi-Szekely's Z2 over the same, against critical values simulated from the forecasts' own tails).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from qtm.errors import RiskError
from qtm.risk.coverage import (
    LikelihoodRatio,
    Transitions,
    conditional_coverage,
    exceptions_of,
    independence,
    kupiec,
)
from qtm.risk.engines import Engine, PredictiveTail
from qtm.risk.lights import Light, ModelAction, TrafficLight, action_for, traffic_light
from qtm.risk.measures import Floats
from qtm.risk.rules import REDUCING
from qtm.risk.shortfall_tests import (
    ES_RED_BELOW,
    ES_YELLOW_BELOW,
    acerbi_szekely_z1,
    acerbi_szekely_z2,
    es_light,
    simulate_z2,
    z2_critical,
)

VAR_ALPHA: Final = 0.99
ES_ALPHA: Final = 0.975
YEAR: Final = 250
"""Forecasts that a light judges, as in Basel's table."""


@dataclass(frozen=True, slots=True)
class RolledEngine:
    """An engine's forecasts and what then happened; row i was known before return i.

    Attributes
    ----------
    returns, var, es
        Shape (D,): realised returns, VaR at 99 % and ES at 97.5 % forecast for them.
    es_threshold
        VaR at 97.5 %, beyond which ES is the mean; shape (D,).
    tails
        The D predictive tails.
    """

    engine: str
    window: int
    returns: Floats
    var: Floats
    es: Floats
    es_threshold: Floats
    tails: tuple[PredictiveTail, ...]

    @property
    def exceptions(self) -> npt.NDArray[np.bool_]:
        """Which returns fell below minus VaR, shape (D,)."""
        return exceptions_of(self.returns, self.var)


def roll(
    engine: Engine, returns: Floats, window: int, *, progress: Callable[[], None] | None = None
) -> RolledEngine:
    """Forecast every return after the first `window` from the `window` returns before it.

    Parameters
    ----------
    returns
        Shape (T,), finite, oldest first.
    progress
        Called after each forecast.

    Raises
    ------
    RiskError
        If nothing is left to forecast, or the engine refuses a window (the position is named).
    """
    if returns.ndim != 1 or returns.shape[0] <= window or not np.isfinite(returns).all():
        raise RiskError(
            "a rolling back-test needs more finite returns than its window",
            where=f"shape {returns.shape}, window {window}",
            remedy="shorten the window or ingest more days",
        )
    tails = []
    for end in range(window, returns.shape[0]):
        try:
            tails.append(engine.tail(returns[end - window : end]))
        except RiskError as error:
            raise RiskError(
                error.what, where=f"{engine.name}, window ending at return {end}; {error.where}"
            ) from None
        if progress is not None:
            progress()
    return RolledEngine(
        engine.name,
        window,
        returns[window:],
        np.array([tail.var(VAR_ALPHA) for tail in tails]),
        np.array([tail.cvar(ES_ALPHA) for tail in tails]),
        np.array([tail.var(ES_ALPHA) for tail in tails]),
        tuple(tails),
    )


@dataclass(frozen=True, slots=True)
class EngineVerdict:
    """Every test of one engine: on all forecasts, and the lights on the newest 250 of them.

    Attributes
    ----------
    exceptions, expected, coverage, clustering, joint
        VaR 99 % over all forecasts: Kupiec, Christoffersen's independence, and both together.
    z1, z2, z2_p_value
        ES 97.5 % over all forecasts; the p-value is the share of simulated histories below z2.
    var_light, shortfall_light
        On the newest 250 forecasts.
    days_in_zone
        Of every 250 consecutive forecasts, how many were green, yellow and red.
    """

    engine: str
    forecasts: int
    exceptions: int
    expected: float
    coverage: LikelihoodRatio
    clustering: LikelihoodRatio
    joint: LikelihoodRatio
    z1: float | None
    z2: float
    z2_p_value: float
    recent_exceptions: int
    var_light: TrafficLight
    recent_z2: float
    z2_yellow_below: float
    z2_red_below: float
    shortfall_light: Light
    days_in_zone: tuple[int, int, int]
    mean_var: float
    mean_es: float

    @property
    def light(self) -> Light:
        """The worse of the two lights."""
        return max(self.var_light.light, self.shortfall_light)

    @property
    def action(self) -> ModelAction:
        """What the lights ask of the desk that relies on this engine."""
        return action_for(self.var_light.light, self.shortfall_light)

    def body(self) -> dict[str, Any]:
        """The verdict as plain data."""
        return {
            "engine": self.engine,
            "forecasts": self.forecasts,
            "var99": {
                "exceptions": self.exceptions,
                "expected": round(self.expected, 2),
                "kupiec_p": self.coverage.p_value,
                "independence_p": self.clustering.p_value,
                "conditional_coverage_p": self.joint.p_value,
                "recent_exceptions": self.recent_exceptions,
                "light": self.var_light.light.name.lower(),
                "plus_factor": self.var_light.plus_factor,
                "mean": self.mean_var,
            },
            "es97_5": {
                "z1": self.z1,
                "z2": self.z2,
                "z2_p": self.z2_p_value,
                "recent_z2": self.recent_z2,
                "yellow_below": self.z2_yellow_below,
                "red_below": self.z2_red_below,
                "light": self.shortfall_light.name.lower(),
                "mean": self.mean_es,
            },
            "days_in_zone": dict(zip(("green", "yellow", "red"), self.days_in_zone, strict=True)),
            "action": {
                "limit_multiplier": str(self.action.limit_multiplier),
                "reduce_only": self.action.state == REDUCING,
                "review": self.action.review,
            },
        }


def judge_engine(rolled: RolledEngine, *, trials: int = 20_000, seed: int = 0) -> EngineVerdict:
    """Run every test on an engine's forecasts.

    Parameters
    ----------
    trials
        Simulated histories for the critical values of Z2; at least 10,000 for the red light.

    Raises
    ------
    RiskError
        If there are fewer than 250 forecasts, too few trials, or a forecast without risk.
    """
    if rolled.returns.shape[0] < YEAR:
        raise RiskError(
            f"a model is judged on at least {YEAR} forecasts",
            where=f"{rolled.engine}: {rolled.returns.shape[0]}",
            remedy="shorten the window or ingest more days",
        )
    hit = rolled.exceptions
    recent = slice(-YEAR, None)
    simulated = simulate_z2(rolled.tails, ES_ALPHA, trials=trials, seed=seed)
    simulated_year = (
        simulated
        if len(rolled.tails) == YEAR
        else simulate_z2(rolled.tails[recent], ES_ALPHA, trials=trials, seed=seed)
    )
    z2 = acerbi_szekely_z2(rolled.returns, rolled.es_threshold, rolled.es, ES_ALPHA)
    recent_z2 = acerbi_szekely_z2(
        rolled.returns[recent], rolled.es_threshold[recent], rolled.es[recent], ES_ALPHA
    )
    lights = rolling_lights(rolled)
    return EngineVerdict(
        engine=rolled.engine,
        forecasts=int(hit.shape[0]),
        exceptions=int(hit.sum()),
        expected=hit.shape[0] * (1.0 - VAR_ALPHA),
        coverage=kupiec(hit.shape[0], int(hit.sum()), VAR_ALPHA),
        clustering=independence(Transitions.of(hit)),
        joint=conditional_coverage(hit, VAR_ALPHA),
        z1=acerbi_szekely_z1(rolled.returns, rolled.es_threshold, rolled.es),
        z2=z2,
        z2_p_value=float(np.searchsorted(simulated, z2, side="right") / trials),
        recent_exceptions=int(hit[recent].sum()),
        var_light=traffic_light(YEAR, int(hit[recent].sum()), VAR_ALPHA),
        recent_z2=recent_z2,
        z2_yellow_below=z2_critical(simulated_year, ES_YELLOW_BELOW),
        z2_red_below=z2_critical(simulated_year, ES_RED_BELOW),
        shortfall_light=es_light(recent_z2, simulated_year),
        days_in_zone=(
            int(np.sum(lights == Light.GREEN)),
            int(np.sum(lights == Light.YELLOW)),
            int(np.sum(lights == Light.RED)),
        ),
        mean_var=float(rolled.var.mean()),
        mean_es=float(rolled.es.mean()),
    )


def rolling_lights(rolled: RolledEngine) -> npt.NDArray[np.int64]:
    """Basel's light of VaR 99 % after each run of 250 forecasts, shape (D - 249,)."""
    counts = np.convolve(rolled.exceptions.astype(np.int64), np.ones(YEAR, dtype=np.int64), mode="valid")
    zone = np.array([traffic_light(YEAR, n, VAR_ALPHA).light for n in range(YEAR + 1)], dtype=np.int64)
    return zone[counts]

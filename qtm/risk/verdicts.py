"""A model on trial: its rolled forecasts against what happened, judged by every test at once."""

from __future__ import annotations

from dataclasses import dataclass

from qtm.risk.engines import EmpiricalTail
from qtm.risk.forecasts import Forecasts
from qtm.risk.model_backtests import (
    Light,
    acerbi_szekely_z2,
    conditional_coverage,
    es_light,
    exceptions_of,
    kupiec,
    simulate_z2,
    traffic_light,
)

TRIALS = 20_000
"""Simulated histories behind a critical value; the red light asks for the 0.01 % quantile."""


@dataclass(frozen=True, slots=True)
class ModelVerdict:
    """How a model's forecasts held.

    `z2` is NaN and `es_light` None where the forecasts hold no loss to compare with (a book without risk).
    """

    model: str
    alpha: float
    days: int
    exceptions: int
    expected: float
    light: Light
    kupiec_p: float
    coverage_p: float
    z2: float
    es_light: Light | None

    @property
    def worst(self) -> Light:
        """The worse of the VaR and the ES light."""
        return self.light if self.es_light is None else max(self.light, self.es_light)


def judge(forecasts: Forecasts, *, trials: int = TRIALS, seed: int = 0) -> ModelVerdict:
    """Exceptions, Kupiec, Christoffersen, Basel's light, and Acerbi-Szekely's Z2 against simulated criticals.

    Critical values of Z2 are simulated from the model's own daily scenarios, with `trials` histories.
    """
    hit = exceptions_of(forecasts.returns, forecasts.var)
    days, count = int(hit.shape[0]), int(hit.sum())
    z2, light = float("nan"), None
    if (forecasts.cvar > 0.0).all():
        z2 = acerbi_szekely_z2(forecasts.returns, forecasts.var, forecasts.cvar, forecasts.alpha)
        tails = [EmpiricalTail(row) for row in forecasts.tails]
        light = es_light(z2, simulate_z2(tails, forecasts.alpha, trials=trials, seed=seed))
    return ModelVerdict(
        model=forecasts.model,
        alpha=forecasts.alpha,
        days=days,
        exceptions=count,
        expected=days * (1.0 - forecasts.alpha),
        light=traffic_light(days, count, forecasts.alpha).light,
        kupiec_p=kupiec(days, count, forecasts.alpha).p_value,
        coverage_p=conditional_coverage(hit, forecasts.alpha).p_value,
        z2=z2,
        es_light=light,
    )

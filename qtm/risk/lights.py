"""Basel's traffic light (1996; FRTB 2019) for a VaR model, and what the lights of models ask of a desk.

Zones go by the cumulative binomial probability of the exceptions: yellow from 95 %, red from 99.99 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import Final, NamedTuple

from qtm.risk.coverage import exception_rate
from qtm.risk.rules import ACTIVE, REDUCING

YELLOW_FROM: Final = 0.95
RED_FROM: Final = 0.9999
"""Cumulative probabilities at which the Basel zones begin."""

_PLUS_FACTORS: Final = (0.0, 0.0, 0.0, 0.0, 0.0, 0.40, 0.50, 0.65, 0.75, 0.85, 1.00)
_FRTB_MULTIPLIERS: Final = (1.50, 1.50, 1.50, 1.50, 1.50, 1.70, 1.76, 1.83, 1.88, 1.92, 2.00)


class Light(IntEnum):
    """Zone of a model; the worse light is the larger one."""

    GREEN = 0
    YELLOW = 1
    RED = 2


@dataclass(frozen=True, slots=True)
class TrafficLight:
    """Basel's zone of a model, with the binomial probabilities behind it.

    Attributes
    ----------
    cumulative
        Probability that a true model has this many exceptions or fewer.
    type_one
        Probability that a true model has this many or more: the error of calling it wrong.
    plus_factor, multiplier
        The 1996 addition to the multiplier 3 and the FRTB multiplier; None unless T = 250 and alpha = 99 %,
        the only case they are published for.
    """

    light: Light
    cumulative: float
    type_one: float
    plus_factor: float | None
    multiplier: float | None


def traffic_light(observations: int, exceptions: int, alpha: float = 0.99) -> TrafficLight:
    """Basel's traffic light for a count of exceptions."""
    from scipy.special import bdtr  # here, not above: a running stream only reads lights and starts faster

    p = exception_rate(observations, exceptions, alpha)
    cumulative = float(bdtr(exceptions, observations, p))
    below = float(bdtr(exceptions - 1, observations, p)) if exceptions else 0.0
    light = Light.RED if cumulative >= RED_FROM else Light(cumulative >= YELLOW_FROM)
    published = observations == 250 and math.isclose(alpha, 0.99)
    row = min(exceptions, len(_PLUS_FACTORS) - 1)
    return TrafficLight(
        light,
        cumulative,
        1.0 - below,
        _PLUS_FACTORS[row] if published else None,
        _FRTB_MULTIPLIERS[row] if published else None,
    )


class ModelAction(NamedTuple):
    """What a light does to the desk: limits are multiplied, the trading state set, a review opened."""

    limit_multiplier: Decimal
    state: int
    review: bool


_ACTIONS: Final = {
    Light.GREEN: ModelAction(Decimal(1), ACTIVE, review=False),
    Light.YELLOW: ModelAction(Decimal("0.85"), ACTIVE, review=False),
    Light.RED: ModelAction(Decimal("0.85"), REDUCING, review=True),
}


def action_for(*lights: Light) -> ModelAction:
    """The action the worst of these lights asks for; without any light the model counts as red."""
    return _ACTIONS[max(lights, default=Light.RED)]

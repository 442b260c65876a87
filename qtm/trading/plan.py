"""What a step may answer besides a bare target: a target with protective exits.

    return Plan(1.0, stop=bar.close - 3 * reach, take_profit=0.0, trail=2 * reach)

A price level of NaN leaves the present one as it is and 0.0 removes it. Exits belong to the position: they
become live with the entry's fill and go with the position. They close it whole; the target then counts as
met, so a stopped-out strategy stays out until it answers with another target.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import numpy as np
from numba import types
from numba.extending import overload

NAN = float("nan")


class Plan(NamedTuple):
    """A target and its protective exits.

    Attributes
    ----------
    target
        As a step's bare answer: 1.0 is the whole allotment, NaN means "no change".
    stop
        Price at which the position is closed at the market: below for a long, above for a short.
    take_profit
        Price of a resting limit order that closes the position.
    trail
        Distance in quote currency kept behind the best price since entry.
    """

    target: float
    stop: float = NAN
    take_profit: float = NAN
    trail: float = NAN


KEEP = Plan(NAN, NAN, NAN, NAN)
"""No change of anything."""


def plan_of(answer: Any) -> Plan:
    """A step's answer as a `Plan`, whether it was a plan or a bare target."""
    return answer if isinstance(answer, Plan) else Plan(float(answer))


@overload(plan_of, inline="always")
def _plan_of(answer):  # type: ignore[no-untyped-def]  # numba compares this signature with the lambdas'
    if isinstance(answer, types.BaseNamedTuple):
        return lambda answer: answer
    return lambda answer: Plan(float(answer), np.nan, np.nan, np.nan)


def target_of(answer: Any) -> float:
    """The target in a step's answer, for runs that cannot hold protective exits.

    Raises
    ------
    TypeError
        When the answer carries exits.
    """
    if isinstance(answer, Plan):
        raise TypeError("this run cannot hold protective exits")
    return cast(float, answer)

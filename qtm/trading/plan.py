"""What a step may answer besides a bare target: a target with protective exits.

    return Plan(1.0, stop=bar.close - 3 * reach, take_profit=0.0)

What is left out or NaN leaves the present level as it is and 0.0 removes it. Exits belong to the position:
they become live with the entry's fill and go with the position. They close it whole; the target then counts
as met, so a stopped-out strategy stays out until it answers with another target.
"""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple, cast

from numba import types
from numba.core.errors import TypingError
from numba.core.typing import signature
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate
from numba.extending import infer_getattr, overload

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


KEEP = Plan(NAN)
"""No change of anything."""

_NUMBERS = (types.float64,) * len(Plan._fields)
_PLAN = types.BaseTuple.from_types(_NUMBERS, Plan)
_CLASS = types.NamedTupleClass(Plan)


class _Making(AbstractTemplate):  # type: ignore[misc]
    """`Plan(...)` in compiled code: any numbers, and NaN for what is left out.

    Left to itself numba asks for every field and takes a whole number for another type of plan.
    """

    key = _CLASS

    def generic(self, args: Any, kws: Any) -> Any:
        call = inspect.signature(Plan)
        try:
            given = call.bind(*args, **dict(kws)).arguments
        except TypeError as error:
            raise TypingError(f"Plan: {error}") from error
        for name, value in given.items():
            if self.context.can_convert(value, types.float64) is None:
                raise TypingError(f"Plan: {name} is no number but {value}")
        return signature(_PLAN, *_NUMBERS).replace(pysig=call)


@infer_getattr
class _CallOfClass(AttributeTemplate):  # type: ignore[misc]
    key = _CLASS

    def resolve___call__(self, _class: Any) -> Any:
        return types.Function(_Making)


def plan_of(answer: Any) -> Plan:
    """A step's answer as a `Plan`, whether it was a plan or a bare target."""
    return answer if isinstance(answer, Plan) else Plan(float(answer))


@overload(plan_of, inline="always")
def _plan_of(answer):  # type: ignore[no-untyped-def]  # numba compares this signature with the lambdas'
    if isinstance(answer, types.BaseNamedTuple):
        return lambda answer: answer
    return lambda answer: Plan(answer)


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

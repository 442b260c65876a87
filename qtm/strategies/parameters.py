"""A strategy's parameters: a typed tuple with defaults, checked against its bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from qtm.errors import StrategyError


def checked_params(
    strategy: str,
    params_type: type[Any],
    bounds: Mapping[str, tuple[float, float]],
    values: Mapping[str, Any] | None,
) -> Any:
    """The parameter tuple for `values` over the defaults.

    Raises
    ------
    StrategyError
        For an unknown name, a value of the wrong type, or one outside its bounds.
    """
    given = dict(values or {})
    defaults: dict[str, Any] = params_type._field_defaults
    unknown = sorted(set(given) - set(params_type._fields))
    if unknown:
        raise StrategyError(
            f"unknown parameter {unknown[0]!r}",
            where=f"strategy {strategy}",
            remedy=f"its parameters are {', '.join(params_type._fields)}",
        )
    merged = {
        name: _checked(strategy, bounds, name, given.get(name, defaults.get(name)), type(defaults.get(name)))
        for name in params_type._fields
    }
    return params_type(**merged)


def _checked(
    strategy: str, bounds: Mapping[str, tuple[float, float]], name: str, value: Any, kind: type[Any]
) -> Any:
    try:
        number = kind(value)
        exact = float(number) == float(value) and np.isfinite(float(value))
    except (TypeError, ValueError, OverflowError):
        exact = False
    if not exact:
        raise StrategyError(
            f"parameter {name}={value!r} is not a {kind.__name__}", where=f"strategy {strategy}"
        )
    low, high = bounds.get(name, (-np.inf, np.inf))
    if not low <= float(number) <= high:
        raise StrategyError(
            f"parameter {name}={value} is out of range",
            where=f"strategy {strategy}",
            remedy=f"give {name} between {low:g} and {high:g}",
        )
    return number

"""Model lights act on the gate: yellow tightens exposure limits, red also lets only shrinking orders pass."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TypeVar

from qtm.errors import RiskError
from qtm.risk.gate import Gate, StateChange
from qtm.risk.lights import ModelAction
from qtm.risk.limit_file import Scope
from qtm.risk.limits import LimitTree
from qtm.risk.rules import REDUCING

EXPOSURE_LIMITS = ("max_order_value", "max_position_value", "max_order_qty")
"""The limits a light multiplies; loss limits, collars and message rates are not the model's business."""

S = TypeVar("S", bound=Scope)


def tightened(tree: LimitTree, multiplier: Decimal) -> LimitTree:
    """The same tree with every exposure limit of every scope multiplied; its version says so.

    Raises
    ------
    RiskError
        If the multiplier would loosen a limit or close it.
    """
    if not 0 < multiplier <= 1:
        raise RiskError("a light can only tighten limits", where=f"multiplier {multiplier}")
    if multiplier == 1:
        return tree
    file = tree.file
    changed = file.model_copy(
        update={
            "firm": _scaled(file.firm, multiplier),
            "desk": _all_scaled(file.desk, multiplier),
            "trader": _all_scaled(file.trader, multiplier),
            "strategy": _all_scaled(file.strategy, multiplier),
            "instrument": _all_scaled(file.instrument, multiplier),
        }
    )
    cap = None if tree.cap is None else _scaled(tree.cap, multiplier)
    return LimitTree(changed, f"{tree.version}x{multiplier}", cap)


def obey(gate: Gate, limits: LimitTree, action: ModelAction, at_ms: int) -> StateChange | None:
    """Put what the models' lights ask for into force at the gate.

    Parameters
    ----------
    limits
        The tree as loaded, without any light; obeying twice therefore tightens once.

    Returns
    -------
    StateChange or None
        The gate's change of state, when the lights ask for one. Lights never re-open a gate: that is a
        person's decision after the review.
    """
    gate.tree = tightened(limits, action.limit_multiplier)
    if action.state == REDUCING:
        return gate.reduce(at_ms, "risk models are red: only shrinking orders until they are reviewed")
    return None


def _scaled(scope: S, multiplier: Decimal) -> S:
    values = {name: getattr(scope, name) for name in EXPOSURE_LIMITS}
    return scope.model_copy(
        update={name: value * multiplier for name, value in values.items() if value is not None}
    )


def _all_scaled(scopes: Mapping[str, S], multiplier: Decimal) -> dict[str, S]:
    return {name: _scaled(scope, multiplier) for name, scope in scopes.items()}

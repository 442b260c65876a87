"""The strategy contract: a typed parameter set, a state, and one step over one closed bar.

The step is plain Python within what numba compiles. The backtest engine loops over the compiled step and the
live stream calls the very same compiled step per bar. The unclosed bar does not exist in the contract, so a
step cannot look ahead.

    class Params(NamedTuple):
        fast: int = 20
        slow: int = 50


    @step_strategy(name="sma-cross", params=Params, bounds={"fast": (2, 500), "slow": (3, 500)},
                   state={"fast": WINDOW, "slow": WINDOW}, summary="Long above the slow average.")
    def sma_cross(params, state, bar, account):
        fast = sma(state.fast, bar.close_ticks, params.fast)
        slow = sma(state.slow, bar.close_ticks, params.slow)
        if state.slow.count < params.slow:
            return np.nan
        return 1.0 if fast > slow else 0.0

The number returned is the target position (1.0 = the whole allotted equity, or the configured number of
units; negative = short, futures only). NaN means "no change". A step may answer with a
`qtm.trading.plan.Plan` instead: a target with protective exits.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np

from qtm.compiled import inlined
from qtm.strategies.machine_code import load_kernel
from qtm.strategies.parameters import checked_params
from qtm.trading.plan import Plan

Step = Callable[[Any, Any, Any, Any], float | Plan]

_STEP_KERNEL = '''"""Generated: one call of a strategy's step."""
from numba import njit


@njit(cache=True, error_model="numpy")
def one_step(params, state, bar, account):
    return step(params, state, bar, account)
'''


@dataclass(frozen=True)
class StepStrategy:
    """A strategy: see the module docstring. Built by `step_strategy`, looked up by `registry.load_strategy`.

    `version` is the first 12 hex digits of the SHA-256 of the strategy's source file: it names what was run.
    `state_dtype` is a structured numpy dtype, so a strategy's whole memory is a block of bytes that can be
    snapshotted and restored exactly.
    """

    kind: ClassVar[str] = "step"

    name: str
    summary: str
    params_type: type[Any]
    bounds: Mapping[str, tuple[float, float]]
    state_dtype: np.dtype[Any]
    step: Step
    version: str
    warmup: Callable[[Any], int] = field(default=lambda _params: 0)

    @cached_property
    def inlined_step(self) -> Step:
        """The step for other compiled code to call."""
        return inlined(self.step)

    @cached_property
    def compiled_step(self) -> Step:
        """The step as machine code, callable as `step(params, state_record, bar, account)`."""
        kernel = load_kernel(
            f"step_{self.name}",
            _STEP_KERNEL,
            {"step": self.inlined_step},
            strategy_version=self.version,
            strategy_module=self.step.__module__,
        )
        return cast(Step, kernel.one_step)

    @property
    def source(self) -> Path:
        """The strategy's file."""
        return Path(inspect.getfile(self.step))

    def new_state(self) -> Any:
        """A zeroed state of shape (1,); element 0 is the record the step mutates."""
        return np.zeros(1, self.state_dtype)

    def params(self, values: Mapping[str, Any] | None = None) -> Any:
        """The parameter tuple for `values` over the defaults; raises StrategyError for what does not fit."""
        return checked_params(self.name, self.params_type, self.bounds, values)


def step_strategy(
    *,
    name: str,
    summary: str,
    params: type[NamedTuple] | type[Any],
    bounds: Mapping[str, tuple[float, float]],
    state: Mapping[str, Any],
    warmup: Callable[[Any], int] | None = None,
) -> Callable[[Step], StepStrategy]:
    """Declare a step strategy; see the module docstring for an example.

    `state` maps field names to numpy dtypes (a scalar type, or an indicator's dtype such as `SMA`).
    `warmup(params)` is the number of bars before the first target other than NaN.
    """
    dtype = np.dtype([(field_name, field_type) for field_name, field_type in state.items()], align=True)

    def build(step: Step) -> StepStrategy:
        return StepStrategy(
            name=name,
            summary=summary,
            params_type=params,
            bounds=bounds,
            state_dtype=dtype,
            step=step,
            version=hashlib.sha256(source_code(step)).hexdigest()[:12],
            warmup=warmup or (lambda _params: 0),
        )

    return build


def source_code(step: Callable[..., Any]) -> bytes:
    """The file that defines `step`, or the step alone where there is no file (a notebook cell)."""
    try:
        return Path(inspect.getfile(step)).read_bytes()
    except OSError:
        return inspect.getsource(step).encode()

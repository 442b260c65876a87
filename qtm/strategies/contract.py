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

import dis
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, cast

from qtm.compiled import inlined
from qtm.strategies.declaration import WithState, state_dtype
from qtm.strategies.machine_code import load_kernel
from qtm.strategies.provenance import source_digest
from qtm.trading.plan import Plan

Step = Callable[[Any, Any, Any, Any], float | Plan]

_STEP_KERNEL = '''"""Generated: one call of a strategy's step."""
from qtm.compiled_kernels import kernel


@kernel()
def one_step(params, state, bar, account):
    return step(params, state, bar, account)
'''


@dataclass(frozen=True)
class StepStrategy(WithState):
    """A strategy: see the module docstring. Built by `step_strategy`, looked up by `registry.load_strategy`.

    `warmup(params)` is the number of bars before the first target other than NaN.
    """

    kind: ClassVar[str] = "step"

    step: Step
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
            purpose=f"{self.name} bar by bar",
            strategy_version=self.version,
            strategy_module=self.step.__module__,
        )
        return cast(Step, kernel.one_step)

    @cached_property
    def looks_at_account(self) -> bool:
        """False when the step never names its fourth argument: then it can be asked ahead of the account."""
        name = self.step.__code__.co_varnames[3]
        used = (operation.argval for operation in dis.get_instructions(self.step))
        return any(one == name or (isinstance(one, tuple) and name in one) for one in used)

    @property
    def definition(self) -> Callable[..., Any]:
        """`step`."""
        return self.step


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

    def build(step: Step) -> StepStrategy:
        return StepStrategy(
            name=name,
            summary=summary,
            params_type=params,
            bounds=bounds,
            state_dtype=state_dtype(state),
            step=step,
            digest=source_digest(step),
            warmup=warmup or (lambda _params: 0),
        )

    return build

"""The contract of order strategies: a step that places, amends and cancels orders itself.

    class Params(NamedTuple):
        lots: int = 10


    @order_strategy(name="join", params=Params, bounds={"lots": (1, 10_000)}, state={"quotes": "i8"},
                    wakes=("quote",), summary="Joins the best bid.")
    def strategy(params, state, event, account, desk):
        if find(desk, BUY, desk.bid_ticks) == 0:
            cancel_side(desk, BUY)
            post_only(desk, BUY, params.lots, desk.bid_ticks)
            state.quotes += 1

A step answers nothing; it acts through the functions of `qtm.trading.desk`. It is woken by what it names in
`wakes` (keys of `qtm.trading.desk.WAKES`), by a timer of `period_ms`, or by both, and sees the market as of
that event and never later. The engine compiles the step; called directly it is plain Python that a debugger
can follow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

from qtm.compiled import either_way
from qtm.errors import StrategyError
from qtm.strategies.declaration import WithState, state_dtype
from qtm.strategies.provenance import source_digest
from qtm.trading.desk import WAKES

OrderStep = Callable[[Any, Any, Any, Any, Any], None]


@dataclass(frozen=True)
class OrderStrategy(WithState):
    """An order strategy; built by `order_strategy`, looked up by `registry.load_strategy`.

    `wakes` is a mask of `qtm.trading.desk.WAKES`, `period_ns(params)` the timer's period (0 for none).
    """

    kind: ClassVar[str] = "orders"

    step: OrderStep
    wakes: int
    period_ns: Callable[[Any], int] = field(default=lambda _params: 0)
    needs_depth: bool = False

    @cached_property
    def jitable_step(self) -> OrderStep:
        """The step for compiled code to call; plain Python calls it as plain Python."""
        return either_way(self.step)

    @property
    def definition(self) -> Callable[..., Any]:
        """`step`."""
        return self.step


def order_strategy(
    *,
    name: str,
    summary: str,
    params: type[NamedTuple] | type[Any],
    bounds: Mapping[str, tuple[float, float]],
    state: Mapping[str, Any],
    wakes: tuple[str, ...] = (),
    period_ms: Callable[[Any], float] | float = 0,
    needs_depth: bool = False,
) -> Callable[[OrderStep], OrderStrategy]:
    """Declare an order strategy; see the module docstring for an example.

    `needs_depth` refuses tapes that show no quantities.

    Raises
    ------
    StrategyError
        When nothing would ever wake it, or `wakes` names what does not exist.
    """
    unknown = [one for one in wakes if one not in WAKES]
    if unknown or not (wakes or period_ms):
        raise StrategyError(
            f"nothing is called {unknown[0]!r}" if unknown else "nothing would ever wake it",
            where=f"strategy {name}",
            remedy=f"wakes are {', '.join(WAKES)}, or give a period_ms",
        )
    mask = sum(WAKES[one] for one in set(wakes))

    def period_ns(values: Any) -> int:
        return round((period_ms(values) if callable(period_ms) else period_ms) * 1e6)

    def build(step: OrderStep) -> OrderStrategy:
        return OrderStrategy(
            name=name,
            summary=summary,
            params_type=params,
            bounds=bounds,
            state_dtype=state_dtype(state),
            step=step,
            digest=source_digest(step),
            wakes=mask,
            period_ns=period_ns,
            needs_depth=needs_depth,
        )

    return build

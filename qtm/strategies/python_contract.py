"""The contract of a free Python strategy: a class that sees closed bars of many symbols and sets targets.

    class Params(NamedTuple):
        length: int = 20


    @python_strategy(name="above", summary="Hold what closes above its mean.", params=Params,
                     bounds={"length": (2, 1000)})
    class Above:
        def __init__(self, params):
            self.params = params

        def on_bar(self, context, bars):
            for symbol, bar in bars.items():
                closes = context.history(symbol, self.params.length)
                if closes.size == self.params.length:
                    above = bar.close > closes.mean()
                    context.target(symbol, 1.0 / len(context.symbols) if above else 0.0)

Any library and any model will do; breakpoints work. The engine's semantics are those of the compiled
strategies: a target set at a close becomes an order for the next open, judged by the same gate. `on_start`
and `on_fill` are optional.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from qtm.errors import StrategyError
from qtm.market.bars import Bar
from qtm.strategies.declaration import Declaration
from qtm.strategies.provenance import source_digest


class FillNote(NamedTuple):
    """One fill of the strategy's own: signed `qty` in base units, `fee` in quote currency, why, and when."""

    symbol: str
    qty: float
    price: float
    fee: float
    cause: str
    decided_ms: int


class Context(Protocol):
    """What a Python strategy may know and do at a close; everything is of its own share of the account."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """The names it trades."""

    @property
    def time_ms(self) -> int:
        """When the present bar closed."""

    @property
    def equity(self) -> float:
        """Cash and positions at the last closes, in quote currency."""

    def cash(self, market: str) -> float:
        """Cash on `spot`, or the margin account's equity on `um`."""

    def position(self, symbol: str) -> float:
        """Signed base units held."""

    def weight(self, symbol: str) -> float:
        """The position's value as a share of equity."""

    def history(self, symbol: str, bars: int, column: str = "close") -> npt.NDArray[np.float64]:
        """The last values of a column up to the present bar, oldest first, without gaps; at most `bars`."""

    def target(
        self,
        symbol: str,
        weight: float,
        *,
        stop: float = 0.0,
        take_profit: float = 0.0,
        trail: float = 0.0,
    ) -> None:
        """Want a position worth `weight` x equity, with exits if any; a changed weight is traded."""

    def rebalance(self, symbol: str, weight: float) -> None:
        """Want a position worth `weight` x equity, traded even if the weight is the one wanted before."""

    def transfer(self, to: str, amount: float) -> None:
        """Move cash at once from the other market to `spot` or `um`."""


class Behaviour(Protocol):
    """What the class must do; `on_start(context)` and `on_fill(context, fill)` may be there as well."""

    def on_bar(self, context: Context, bars: Mapping[str, Bar]) -> None:
        """Decide after a close; `bars` holds the symbols that have a bar."""


@dataclass(frozen=True)
class PythonStrategy(Declaration):
    """A free Python strategy: see the module docstring. Built by `python_strategy`."""

    kind: ClassVar[str] = "python"

    behaviour: Callable[[Any], Behaviour]
    warmup: Callable[[Any], int]
    symbols: int | None
    markets: tuple[str, ...]

    @property
    def definition(self) -> Callable[..., Any]:
        """`behaviour`."""
        return self.behaviour


def python_strategy(
    *,
    name: str,
    summary: str,
    params: type[Any],
    bounds: Mapping[str, tuple[float, float]],
    warmup: Callable[[Any], int] | None = None,
    symbols: int | None = None,
    markets: tuple[str, ...] = (),
) -> Callable[[type], PythonStrategy]:
    """Declare a free Python strategy; see the module docstring for an example.

    `warmup(params)` is the number of bars of history it reads; a run that goes on from a snapshot has as
    many. `symbols` is how many symbols it needs, `markets` which markets, if it needs certain ones.

    Raises
    ------
    StrategyError
        When the class has no `on_bar`.
    """

    def build(behaviour: type) -> PythonStrategy:
        if not callable(getattr(behaviour, "on_bar", None)):
            raise StrategyError(
                f"the class {behaviour.__name__!r} has no on_bar",
                where=name,
                remedy="give it on_bar(context, bars)",
            )
        return PythonStrategy(
            name=name,
            summary=summary,
            params_type=params,
            bounds=bounds,
            behaviour=behaviour,
            digest=source_digest(behaviour),
            warmup=warmup or (lambda _params: 0),
            symbols=symbols,
            markets=markets,
        )

    return build

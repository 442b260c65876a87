"""The values each parameter may take, and their combinations by number."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from qtm.errors import StrategyError
from qtm.strategies.registry import Strategy


@dataclass(frozen=True)
class Space:
    """Every combination of the axes' values; number 0 has every first value and the last axis moves fastest.

    `axes` maps parameter names to the values to try, in order. Parameters without an axis keep their default.
    """

    strategy: Strategy
    axes: Mapping[str, tuple[float, ...]]

    @classmethod
    def of(cls, strategy: Strategy, grid: Mapping[str, Sequence[float]]) -> Space:
        """The space of a grid, every value checked; StrategyError for one out of range, or none at all."""
        for name, values in grid.items():
            if len(values) == 0:
                raise StrategyError(f"parameter {name} has no values", where=f"strategy {strategy.name}")
            for value in values:
                strategy.params({name: value})
        axes = {name: tuple(dict.fromkeys(float(value) for value in values)) for name, values in grid.items()}
        return cls(strategy, axes)

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """How many values each axis has."""
        return tuple(len(values) for values in self.axes.values())

    @cached_property
    def size(self) -> int:
        """How many combinations there are."""
        return math.prod(self.lengths)

    def places(self, number: int) -> tuple[int, ...]:
        """Where combination `number` stands on each axis."""
        found: list[int] = []
        for length in reversed(self.lengths):
            number, place = divmod(number, length)
            found.append(place)
        return tuple(reversed(found))

    def number(self, places: Sequence[int]) -> int:
        """The combination at `places`."""
        found = 0
        for length, place in zip(self.lengths, places, strict=True):
            found = found * length + place
        return found

    def params(self, number: int) -> Any:
        """The parameter tuple of combination `number`."""
        places = self.places(number)
        chosen = {name: values[at] for (name, values), at in zip(self.axes.items(), places, strict=True)}
        return self.strategy.params(chosen)

    def all(self) -> list[Any]:
        """The parameter tuples of every combination, in order."""
        return [self.params(number) for number in range(self.size)]

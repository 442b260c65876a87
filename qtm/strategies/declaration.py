"""What every kind of strategy declares: its name, typed parameters with bounds, and the source it is."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from qtm.errors import StrategyError
from qtm.strategies.parameters import checked_params
from qtm.strategies.provenance import file_of

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Declaration(ABC):
    """The common part of the four contracts.

    Attributes
    ----------
    name
        Of letters, digits, `.`, `_` and `-`: it becomes part of order ids and the name of files.
    params_type
        A NamedTuple with a default for every parameter.
    bounds
        Lowest and highest value per parameter.
    digest
        Names what was run: see `qtm.strategies.provenance.source_digest`.
    """

    kind: ClassVar[str]

    name: str
    summary: str
    params_type: type[Any]
    bounds: Mapping[str, tuple[float, float]]
    digest: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise StrategyError(
                f"{self.name!r} is no name for a strategy",
                where=str(self.source),
                remedy="use letters, digits, `.`, `_` and `-`, and begin with a letter or digit",
            )

    @property
    def version(self) -> str:
        """The digest's first 12 hex digits, for people and file names."""
        return self.digest[:12]

    @property
    @abstractmethod
    def definition(self) -> Callable[..., Any]:
        """The user's function or class."""

    @property
    def source(self) -> Path:
        """The strategy's file."""
        return file_of(self.definition)

    def params(self, values: Mapping[str, Any] | None = None) -> Any:
        """The parameter tuple for `values` over the defaults; raises StrategyError for what does not fit."""
        return checked_params(self.name, self.params_type, self.bounds, values)


@dataclass(frozen=True)
class WithState(Declaration):
    """A declaration of compiled code, whose whole memory is one record.

    `state_dtype` is a structured numpy dtype, so a strategy's memory is a block of bytes that can be
    snapshotted and restored exactly.
    """

    state_dtype: np.dtype[Any]

    def new_state(self) -> Any:
        """A zeroed state of shape (1,); element 0 is the record the step mutates."""
        return np.zeros(1, self.state_dtype)


def state_dtype(fields: Mapping[str, Any]) -> np.dtype[Any]:
    """The record of a state declared as field names with dtypes (a scalar type or an indicator's)."""
    return np.dtype(list(fields.items()), align=True)

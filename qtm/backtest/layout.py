"""How a run's memory lies in a snapshot's bytes: read back only by code that lays it out alike."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from qtm.errors import StrategyError


def layout_of(memory: Iterable[np.ndarray[Any, Any]]) -> str:
    """Name of the fields, types and offsets of arrays, 16 hexadecimal digits."""
    fields = [(str(part.dtype), part.dtype.itemsize) for part in memory]
    return hashlib.sha256(repr(fields).encode()).hexdigest()[:16]


def check_layout(made: str, memory: Iterable[np.ndarray[Any, Any]], where: str) -> None:
    """Raise StrategyError when a snapshot of layout `made` is not laid out as `memory` is."""
    if made != layout_of(memory):
        raise StrategyError(
            "the snapshot was made by another version of the engine, whose memory is laid out differently",
            where=where,
            remedy="start afresh, or resume with the version of the platform that made the snapshot",
        )

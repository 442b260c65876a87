"""Who wants to know that machine code is being made: a first run takes seconds, and should say why."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_listeners: list[Callable[[str], None]] = []
_told_at_the_prompt: set[str] = set()
"""What a notebook or an interactive interpreter (both set `sys.ps1`) was told already."""


@contextmanager
def told_of_compiling(tell: Callable[[str], None]) -> Iterator[None]:
    """While the block runs, call `tell(what)` when something begins to be compiled, once for each `what`.

    `what` are words such as "trend for the step engine". It is called from whichever thread compiles.
    """
    told: set[str] = set()

    def once(what: str) -> None:
        if what not in told:
            told.add(what)
            tell(what)

    _listeners.append(once)
    try:
        yield
    finally:
        _listeners.remove(once)


def announce(what: str) -> None:
    """Tell everybody who listens that `what` is being compiled; where nobody does, a person at a prompt."""
    for tell in tuple(_listeners):
        tell(what)
    if not _listeners and hasattr(sys, "ps1") and what not in _told_at_the_prompt:
        _told_at_the_prompt.add(what)
        sys.stderr.write(f"compiling {what}, once: a few seconds\n")

"""A hash chain over records: any change, loss or reordering after the fact shows.

Each hash covers the one before it and the record's canonical JSON bytes, so the newest hash vouches for the
whole history. A chain proves that records were not altered, not that they were true when written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

GENESIS = "0" * 64
"""The hash before the first record."""


def canonical(record: Any) -> str:
    """JSON with sorted keys and no spaces: one text per content."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def chained(previous: str, record: str) -> str:
    """SHA-256 of the previous hash's bytes followed by the record's."""
    return hashlib.sha256(bytes.fromhex(previous) + record.encode()).hexdigest()


def first_break(rows: Iterable[tuple[str, str]]) -> int | None:
    """Index of the first (record, hash) that does not follow from the rows before it; None when all do."""
    previous = GENESIS
    for index, (record, digest) in enumerate(rows):
        if chained(previous, record) != digest:
            return index
        previous = digest
    return None

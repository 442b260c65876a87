"""The venue's sequence rules: buffer, snapshot, drop, chain, and start again after a gap."""

from __future__ import annotations

from typing import Any

import pytest

from qtm.paper.mirror.depth_sync import MOST_BUFFERED, DepthGapError, DepthSync
from qtm.paper.wire import E8


def update(first: int, last: int, bids: Any = (), asks: Any = ()) -> dict[str, Any]:
    return {"U": first, "u": last, "b": list(bids), "a": list(asks)}


def snapshot(last_id: int) -> dict[str, Any]:
    return {"lastUpdateId": last_id, "bids": [["99.00", "1.5"]], "asks": [["101.00", "2"]]}


def test_updates_wait_for_the_snapshot_and_those_it_contains_are_dropped() -> None:
    depth = DepthSync()
    assert depth.update(update(5, 8, bids=[["98.00", "7"]])) is None
    assert depth.update(update(9, 12, bids=[["99.00", "3"]], asks=[["101.00", "0"], ["102.00", "1"]])) is None
    assert not depth.synced
    assert depth.snapshot(snapshot(10))
    assert depth.bids == {99 * E8: 3 * E8}
    assert depth.asks == {102 * E8: E8}
    assert depth.last_id == 12


def test_a_snapshot_older_than_the_first_waiting_update_is_of_no_use() -> None:
    depth = DepthSync()
    depth.update(update(12, 14))
    assert not depth.snapshot(snapshot(10))
    assert not depth.synced
    assert depth.snapshot(snapshot(11))
    assert depth.last_id == 14


def test_the_chain_goes_on_and_what_is_known_already_changes_nothing() -> None:
    depth = DepthSync()
    assert depth.snapshot(snapshot(10))
    assert depth.update(update(9, 10, bids=[["99.00", "9"]])) is None
    assert depth.update(update(10, 13, bids=[["99.00", "4"]])) == ([(99 * E8, 4 * E8)], [])
    assert depth.update(update(14, 14, asks=[["101.00", "0.00000001"]])) == ([], [(101 * E8, 1)])
    assert depth.asks == {101 * E8: 1}


def test_a_missing_update_makes_the_copy_worthless_until_the_next_snapshot() -> None:
    depth = DepthSync()
    depth.snapshot(snapshot(10))
    with pytest.raises(DepthGapError, match="update 12 follows where 11 was due"):
        depth.update(update(12, 15, bids=[["99.00", "6"]]))
    assert not depth.synced
    assert depth.bids == {}
    assert depth.snapshot(snapshot(13))
    assert depth.last_id == 15
    assert depth.bids == {99 * E8: 6 * E8}


def test_what_waits_is_bounded_and_the_snapshot_must_then_be_newer() -> None:
    depth = DepthSync()
    for number in range(1, MOST_BUFFERED + 3):
        depth.update(update(number, number))
    assert not depth.snapshot(snapshot(1))
    assert depth.snapshot(snapshot(MOST_BUFFERED))
    assert depth.last_id == MOST_BUFFERED + 2

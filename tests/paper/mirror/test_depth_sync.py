"""The venue's sequence rules: buffer, snapshot, drop, chain, and start again after a gap."""

from __future__ import annotations

from typing import Any

import pytest

from qtm.paper.mirror.depth_sync import MOST_BUFFERED, DepthGapError, DepthSync
from qtm.paper.mirror.markets import SPOT, UM
from qtm.paper.wire import E8


def update(first: int, last: int, bids: Any = (), asks: Any = ()) -> dict[str, Any]:
    return {"U": first, "u": last, "b": list(bids), "a": list(asks)}


def snapshot(last_id: int) -> dict[str, Any]:
    return {"lastUpdateId": last_id, "bids": [["99.00", "1.5"]], "asks": [["101.00", "2"]]}


def test_updates_wait_for_the_snapshot_and_those_it_contains_are_dropped() -> None:
    depth = DepthSync(SPOT.before)
    assert depth.update(update(5, 8, bids=[["98.00", "7"]])) is None
    assert depth.update(update(9, 12, bids=[["99.00", "3"]], asks=[["101.00", "0"], ["102.00", "1"]])) is None
    assert not depth.synced
    assert depth.snapshot(snapshot(10))
    assert depth.bids == {99 * E8: 3 * E8}
    assert depth.asks == {102 * E8: E8}
    assert depth.last_id == 12


def test_a_snapshot_older_than_the_first_waiting_update_is_of_no_use() -> None:
    depth = DepthSync(SPOT.before)
    depth.update(update(12, 14))
    assert not depth.snapshot(snapshot(10))
    assert not depth.synced
    assert depth.snapshot(snapshot(11))
    assert depth.last_id == 14


def test_the_chain_goes_on_and_what_is_known_already_changes_nothing() -> None:
    depth = DepthSync(SPOT.before)
    assert depth.snapshot(snapshot(10))
    assert depth.update(update(9, 10, bids=[["99.00", "9"]])) is None
    assert depth.update(update(10, 13, bids=[["99.00", "4"]])) == ([(99 * E8, 4 * E8)], [])
    assert depth.update(update(14, 14, asks=[["101.00", "0.00000001"]])) == ([], [(101 * E8, 1)])
    assert depth.asks == {101 * E8: 1}


def test_a_missing_update_makes_the_copy_worthless_until_the_next_snapshot() -> None:
    depth = DepthSync(SPOT.before)
    depth.snapshot(snapshot(10))
    with pytest.raises(DepthGapError, match="continues 11 where 10 is the last one known"):
        depth.update(update(12, 15, bids=[["99.00", "6"]]))
    assert not depth.synced
    assert depth.bids == {}
    assert depth.snapshot(snapshot(13))
    assert depth.last_id == 15
    assert depth.bids == {99 * E8: 6 * E8}


def test_what_waits_is_bounded_and_the_snapshot_must_then_be_newer() -> None:
    depth = DepthSync(SPOT.before)
    for number in range(1, MOST_BUFFERED + 3):
        depth.update(update(number, number))
    assert not depth.snapshot(snapshot(1))
    assert depth.snapshot(snapshot(MOST_BUFFERED))
    assert depth.last_id == MOST_BUFFERED + 2


def contract_update(before: int, first: int, last: int) -> dict[str, Any]:
    return {**update(first, last), "pu": before}


def test_a_contract_chain_is_told_by_pu_and_leaves_out_numbers_of_other_contracts() -> None:
    depth = DepthSync(UM.before)
    depth.update(contract_update(90, 95, 99))
    depth.update(contract_update(99, 104, 110))
    # The snapshot stands between two updates: nothing of this contract happened in 100 to 103.
    assert depth.snapshot(snapshot(101))
    assert depth.last_id == 110
    assert depth.update(contract_update(110, 130, 131)) == ([], [])
    with pytest.raises(DepthGapError, match="continues 140 where 131"):
        depth.update(contract_update(140, 141, 150))


def test_a_snapshot_that_is_older_than_what_a_waiting_contract_update_continues_is_of_no_use() -> None:
    depth = DepthSync(UM.before)
    depth.update(contract_update(99, 104, 110))
    assert not depth.snapshot(snapshot(98))
    assert depth.snapshot(snapshot(99))

"""The journal of a sweep survives a crash at any byte."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest

from qtm.backtest.search.journal import SweepJournal
from qtm.errors import ConfigError, StoreError

FIGURES = ("sharpe", "trades")
ROWS = np.array([[1.5, 3.0], [np.nan, 0.0], [-0.25, 7.0]])


def write(folder: Path) -> str:
    with SweepJournal(folder, {"strategy": "trend"}, FIGURES, resume=False) as journal:
        journal.append([4, 9], ROWS[:2])
        journal.append([2], ROWS[2:])
        return journal.run_id


def test_what_was_appended_is_there_again_under_the_same_run(tmp_path: Path) -> None:
    run_id = write(tmp_path)
    with SweepJournal(tmp_path, {}, FIGURES, resume=True) as journal:
        assert journal.run_id == run_id and list(journal.found) == [4, 9, 2]
        np.testing.assert_array_equal([journal.found[4], journal.found[9], journal.found[2]], ROWS)


@pytest.mark.parametrize("lost", range(1, 30))
def test_a_torn_end_is_cut_off_and_the_rest_kept(tmp_path: Path, lost: int) -> None:
    write(tmp_path)
    path = tmp_path / "rows.bin"
    held = path.read_bytes()
    path.write_bytes(held[:-lost])
    with SweepJournal(tmp_path, {}, FIGURES, resume=True) as journal:
        assert list(journal.found) == [4, 9] if lost <= 28 else [4]
        journal.append([2], ROWS[2:])
    with SweepJournal(tmp_path, {}, FIGURES, resume=True) as journal:
        assert 2 in journal.found and path.stat().st_size % (len(held) // 3) == 0


def test_a_record_that_changed_on_disk_is_not_believed(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "rows.bin"
    held = bytearray(path.read_bytes())
    held[len(held) // 3 + 9] ^= 1
    path.write_bytes(held)
    with SweepJournal(tmp_path, {}, FIGURES, resume=True) as journal:
        assert list(journal.found) == [4]


def test_starting_afresh_forgets_and_is_another_run(tmp_path: Path) -> None:
    run_id = write(tmp_path)
    with SweepJournal(tmp_path, {}, FIGURES, resume=False) as journal:
        assert journal.found == {} and journal.run_id != run_id


def test_a_start_for_which_there_is_no_room_keeps_what_was_found_before(tmp_path: Path) -> None:
    run_id = write(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, hard))
    try:
        with pytest.raises(StoreError, match="journal cannot be written"):
            SweepJournal(tmp_path, {"axes": "x" * 1_000}, FIGURES, resume=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with SweepJournal(tmp_path, {}, FIGURES, resume=True) as journal:
        assert journal.run_id == run_id and list(journal.found) == [4, 9, 2]
    assert {path.name for path in tmp_path.iterdir()} == {"about.json", "rows.bin"}


def test_two_processes_do_not_share_a_journal(tmp_path: Path) -> None:
    with (
        SweepJournal(tmp_path, {}, FIGURES, resume=False),
        pytest.raises(ConfigError, match="another process"),
    ):
        SweepJournal(tmp_path, {}, FIGURES, resume=True)

"""The cache of machine code: an entry is whole or absent, whoever writes; without a folder, work goes on."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

import qtm
from qtm.compile_cache import DONE, MACHINE_CODE, cache_folders, forget_unused, keep, kept, put


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The installation's folder and the user's."""
    monkeypatch.delenv("QTM_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    monkeypatch.setattr(qtm, "__file__", str(tmp_path / "qtm" / "__init__.py"))
    (tmp_path / "qtm").mkdir()
    return tmp_path / "qtm" / "__pycache__" / "machine_code", tmp_path / "user" / "qtm"


def lock(folder: Path) -> None:
    """Make a folder one that takes nothing, for root too."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("not a folder")


def test_machine_code_is_kept_with_the_installation_unless_told_otherwise(
    installed: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_folders() == installed
    assert put("functions/f", b"code") == installed[0]
    monkeypatch.setenv("QTM_CACHE", str(tmp_path / "mine"))
    assert cache_folders() == (tmp_path / "mine",)
    assert kept("functions/f") is None


def test_a_read_only_installation_serves_what_it_has_and_the_user_keeps_the_rest(
    installed: tuple[Path, Path],
) -> None:
    put("functions/theirs", b"compiled when it was installed")
    (folder,) = installed[0].iterdir()
    folder.rename(folder.with_name("aside"))
    lock(folder)
    assert put("functions/mine", b"code") == installed[1]
    assert kept("functions/mine") == b"code"
    folder.unlink()
    folder.with_name("aside").rename(folder)
    assert kept("functions/mine") == b"code"
    assert kept("functions/theirs") == b"compiled when it was installed"


def test_an_entry_cut_short_or_damaged_is_none(installed: tuple[Path, Path]) -> None:
    put("functions/f", b"machine code")
    (path,) = installed[0].glob("functions/*")
    whole = path.read_bytes()
    for harmed in (whole[:-1], whole[:10], b"", whole[:-1] + b"X"):
        path.write_bytes(harmed)
        assert kept("functions/f") is None
    put("functions/f", b"machine code")
    assert kept("functions/f") == b"machine code"


def test_an_entry_is_readable_by_all_whom_the_installation_serves(installed: tuple[Path, Path]) -> None:
    before = os.umask(0o022)
    try:
        put("functions/f", b"code")
    finally:
        os.umask(before)
    (path,) = installed[0].glob("functions/*")
    assert path.stat().st_mode & 0o777 == 0o644


def test_without_any_folder_work_goes_on_with_one_warning(
    installed: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    for folder in installed:
        lock(folder)
    with caplog.at_level(logging.WARNING):
        keep("functions/f", b"code")
        keep("functions/g", b"code")
    assert [record.getMessage() for record in caplog.records] == [
        f"qtm: machine code cannot be kept, so every run compiles again: Not a directory [{installed[0]}] "
        "-> free or unlock the folder, or set QTM_CACHE to another one"
    ]
    with pytest.raises(NotADirectoryError):
        put("functions/f", b"code")


def test_a_failed_write_leaves_nothing(installed: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    written = Path.write_bytes

    def until_the_disk_is_full(path: Path, content: bytes) -> int:
        written(path, content[:5])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", until_the_disk_is_full)
    with pytest.raises(OSError, match="No space"):
        put("functions/f", b"code")
    assert [*installed[0].glob("*/*"), *installed[1].glob("*/*")] == []


def test_what_nobody_read_for_months_is_forgotten_and_other_files_are_not(
    installed: tuple[Path, Path],
) -> None:
    for name in ("former", "present"):
        put(f"{MACHINE_CODE}/{name}", b"code")
    put(f"{DONE}/job", b"")
    foreign = installed[0] / MACHINE_CODE / "notes.txt"
    foreign.write_text("mine")
    forget_unused()
    assert kept(f"{DONE}/job") == b""
    for path in (foreign, *installed[0].glob(f"{MACHINE_CODE}/former*")):
        os.utime(path, (0, 0))
    forget_unused()
    assert kept(f"{MACHINE_CODE}/former") is None
    assert kept(f"{MACHINE_CODE}/present") == b"code"
    assert kept(f"{DONE}/job") is None, "what says that all is there must go, too"
    assert foreign.exists()

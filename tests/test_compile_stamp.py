"""A function kept as machine code is as old as all it reaches, not only as the file it stands in."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from qtm.compile_stamp import digest_of_function

OUTER = "from reached.inner import SCALE, half\ndef outer(x):\n    return SCALE * half(x)\n"
INNER = "SCALE = 2\ndef half(x):\n    return x / 2\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "reached"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "outer.py").write_text(OUTER)
    (folder / "inner.py").write_text(INNER)
    (folder / "other.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def test_it_is_stale_when_a_function_it_calls_or_a_constant_it_names_changes(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outer = importlib.import_module("reached.outer")
    before = digest_of_function(outer.outer)
    (package / "other.py").write_text("unrelated = 1")
    assert digest_of_function(outer.outer) == before
    (package / "inner.py").write_text(INNER.replace("x / 2", "x * 0.5"))
    assert digest_of_function(outer.outer) != before
    (package / "inner.py").write_text(INNER)
    assert digest_of_function(outer.outer) == before
    monkeypatch.setattr(outer, "SCALE", 3)
    assert digest_of_function(outer.outer) != before

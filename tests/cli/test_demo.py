"""The walk a newcomer takes first, from an empty folder to paper fills."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qtm.cli.main import build_app


@pytest.mark.slow
def test_the_demo_ends_with_the_home_that_holds_what_it_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QTM_HOME", "var")
    dates = ["--from", "2024-01-02", "--to", "2024-01-05"]
    shown = CliRunner().invoke(build_app(), ["demo", "--source", "synthetic", *dates, "--bars", "1"])
    assert shown.exit_code == 0, shown.output
    (home,) = re.findall(r"QTM_HOME=(\S+) make ui", shown.output)
    assert (tmp_path / home / "lake" / "spot_bars_1m").is_dir()
    for path in re.findall(r": (\S+\.html)", shown.output):
        assert (tmp_path / path).is_file()
    assert "no order was sent" in shown.output  # the day begins without a trend

"""`qtm paper serve` as a process: announces itself, serves, stops cleanly, says when a port is taken."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qtm.cli.main import build_app
from qtm.errors import ConfigError, VenueError


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from qtm.cli.main import main; main()", "paper", "serve", *options]
    environment = {**os.environ, "QTM_HOME": str(folder), "no_proxy": "*"}
    return subprocess.Popen(
        command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_serving_stopping_and_a_port_in_use(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    options = ("--market", "synthetic", "--symbols", "BTCUSDT,ETHUSDT", "--speed", "step")
    options += ("--from", "2024-06-01", "--history", "60")
    child = start(tmp_path, *options, "--port", "0", "--ready-file", str(ready))
    try:
        deadline = time.monotonic() + 120
        while not ready.exists():
            assert child.poll() is None, child.stderr and child.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        facts = json.loads(ready.read_text())
        request = urllib.request.Request(facts["url"] + "/paper/advance", data=b'{"bars": 2}', method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            status = json.load(answer)
        assert (status["advanced"], status["symbols"]) == (2, ["BTCUSDT", "ETHUSDT"])
        assert status["market_time_ms"] == 1_717_200_120_000
        second = start(tmp_path, *options, "--port", str(facts["port"]))
        _, message = second.communicate(timeout=60)
        assert second.returncode == 6
        assert f"127.0.0.1:{facts['port']}" in message
        assert "--port" in message
    finally:
        child.send_signal(signal.SIGTERM)
        introduction, log = child.communicate(timeout=60)
    assert child.returncode == 0
    assert "listening on" in log
    assert f"{facts['url']}/api/v3" in introduction
    assert f"{facts['ws_url']}/ws-api/v3" in introduction
    assert "API key paper-key" in introduction
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("options", "where", "remedy"),
    [
        (["--market", "mirror", "--from", "2024-01-01"], "--from", "--market replay or synthetic"),
        (["--market", "synthetic", "--recording", "x.gz"], "--recording", "--market frames"),
        (["--mirror-url", "ws://x"], "--mirror-url", "--market mirror"),
        (["--market", "magic"], "--market", "replay, synthetic, frames or mirror"),
        (["--venue", "um", "--bnb-price", "600"], "--venue um", "leave it out"),
        (["--balances", "USDT"], "--balances", "USDT=100000"),
        (["--balances", "USDT=-5"], "--balances", "USDT=100000"),
        (["--market", "frames"], "--recording", "name a file"),
    ],
)
def test_an_option_that_would_be_passed_over_is_refused(options: list[str], where: str, remedy: str) -> None:
    result = CliRunner().invoke(build_app(), ["paper", "serve", *options])
    assert isinstance(result.exception, ConfigError)
    assert result.exception.where == where
    assert remedy in result.exception.remedy


@pytest.mark.parametrize("venue", ["spot", "um"])
def test_an_unreachable_mirror_ends_with_its_address_and_a_remedy(venue: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        result = CliRunner().invoke(
            build_app(), ["paper", "serve", "--venue", venue, "--market", "mirror", "--mirror-rest-url", url]
        )
    assert isinstance(result.exception, VenueError)
    assert result.exception.where == url
    assert "--market synthetic" in result.exception.remedy

"""The stream as a process: it stops cleanly, comes back, survives disconnections, and obeys a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from qtm.strategies.registry import load_strategy
from tests.parity.market import MINUTE_MS, START_MS, Exchange, Stream, minute_bars

TREND = ("--strategy", "trend", "--symbols", "BTCUSDT", "--param", "fast=2", "--param", "slow=5")


def eventually(what: Callable[[], bool], within_s: float = 120) -> None:
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def answered(stream: Stream) -> int:
    files = list((stream.home / "state" / "streams").glob("*/signals.jsonl"))
    return files[0].read_bytes().count(b"\n") if files else 0


def command(stream: Stream, *words: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "qtm.cli.main", *words], env=stream.environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    content: dict[str, object] = json.loads(done.stdout)
    return content


def test_it_stops_on_sigterm_and_continues_where_it_stopped(tmp_path: Path) -> None:
    with Exchange([minute_bars("BTCUSDT", 120, history=20)]) as exchange:
        stream = Stream(tmp_path, exchange, *TREND, "--lockstep")
        child = stream.start()
        eventually(lambda: answered(stream) > 40)
        child.send_signal(signal.SIGTERM)
        first = stream.finish(child)
        second = stream.run()
    assert not first["resumed"] and second["resumed"]
    assert first["run_id"] == second["run_id"]
    assert first["bars"] + second["bars"] == 120, "the 5 bars it warms up on are not bars it traded"
    times = sorted(time_ms for _, time_ms in stream.signals())
    assert times == [START_MS + step * MINUTE_MS for step in range(-5, 120)]


def test_bars_missed_while_disconnected_are_fetched_before_trading_goes_on(tmp_path: Path) -> None:
    with Exchange([minute_bars("BTCUSDT", 60, history=20)]) as exchange:
        stream = Stream(tmp_path, exchange, *TREND, "--replay", "--bars", "40")
        child = stream.start()
        eventually(lambda: exchange.ask(lambda one: len(one.application.sockets)) >= 2)
        exchange.ask(lambda one: one.advance(10))
        eventually(lambda: answered(stream) == 15)
        exchange.ask(lambda one: [opened.socket.abort() for opened in list(one.application.sockets.values())])
        exchange.ask(lambda one: one.advance(20))
        eventually(lambda: answered(stream) == 35)
        exchange.ask(lambda one: one.advance(10))
        summary = stream.finish(child)
    assert summary["bars"] == 40
    times = sorted(time_ms for _, time_ms in stream.signals())
    assert times == [START_MS + step * MINUTE_MS for step in range(-5, 40)]


def test_a_kill_from_another_process_stops_it_and_a_restart_does_not_re_arm(tmp_path: Path) -> None:
    with Exchange([minute_bars("BTCUSDT", 80, history=20)]) as exchange:
        stream = Stream(tmp_path, exchange, *TREND, "--lockstep")
        child = stream.start()
        eventually(lambda: len(exchange.trades()) >= 1)
        child.send_signal(signal.SIGSTOP)  # the stream hangs: the kill must work without it
        report = command(stream, "kill", "--spot-url", exchange.url, "--reason", "drill", "--json")
        assert report["residual"] == 0
        settled = len(exchange.trades())
        child.send_signal(signal.SIGCONT)
        summary = stream.finish(child)
        # what was on the wire at the latch may still have filled; nothing was sent after it
        assert len(exchange.trades()) <= settled + 1
        assert summary["orders"]["refused"] >= 1
        status = command(stream, "status", "--json")
        told = command(stream, "explain", "trend-BTCUSDT-0000001", "--json")
        assert told["verdict"] == "APPROVED" and told["chain_intact"] and told["fills"]
        assert told["signal"]["target"] == (1.0).hex()  # type: ignore[index]
        assert status["kills"] and status["gate"]["by_control"]["KS-03"] >= 1  # type: ignore[index]

        refused = subprocess.run(stream.command, env=stream.environment, capture_output=True, text=True)
        assert refused.returncode == 6 and "a kill is in force" in refused.stderr
        assert command(stream, "kill", "--release")["released"] == 1
        assert stream.run()["state"] == "ACTIVE"


def test_two_processes_never_stream_the_same_account_and_strategy(tmp_path: Path) -> None:
    with Exchange([minute_bars("BTCUSDT", 30, history=20)]) as exchange:
        stream = Stream(tmp_path, exchange, *TREND, "--replay")
        first = stream.start()
        eventually(lambda: exchange.ask(lambda one: len(one.application.sockets)) >= 2)
        second = subprocess.run(stream.command, env=stream.environment, capture_output=True, text=True)
        first.send_signal(signal.SIGTERM)
        stream.finish(first)
    assert second.returncode == 2 and "another process already streams" in second.stderr


def test_two_symbols_share_one_account_and_one_gate(tmp_path: Path) -> None:
    bars = [minute_bars(symbol, 80, history=20) for symbol in ("BTCUSDT", "ETHUSDT")]
    with Exchange(bars) as exchange:
        words = [word if word != "BTCUSDT" else "BTCUSDT,ETHUSDT" for word in TREND]
        summary = Stream(tmp_path, exchange, *words, "--lockstep").run()
        traded = {trade.symbol for trade in exchange.trades()}
    assert traded == {"BTCUSDT", "ETHUSDT"}
    assert summary["bars"] == 2 * 80
    assert set(summary["positions"]) == {"BTCUSDT", "ETHUSDT"}


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--strategy", "tren", "--symbols", "BTCUSDT"), 4, "did you mean 'trend'"),
        (("--strategy", "trend", "--symbols", "NOSUCH"), 6, "NOSUCH"),
        (("--strategy", "trend", "--symbols", "BTCUSDT", "--param", "fast=0"), 4, "out of range"),
        (("--strategy", "trend", "--symbols", "BTCUSDT", "--interval", "7m"), 2, "unknown interval"),
        (
            ("--strategy", "trend", "--symbols", "BTCUSDT", "--spot-url", "http://192.0.2.1:1"),
            2,
            "this machine",
        ),
        (("--strategy", "trend", "--symbols", "BTCUSDT", "--limits", "nowhere.toml"), 2, "limit file"),
        (("--strategy", "trend", "--symbols", "BTCUSDT"), 2, "add --replay"),
    ],
)
def test_bad_input_ends_in_one_sentence_and_sends_nothing(
    tmp_path: Path, options: tuple[str, ...], code: int, words: str
) -> None:
    with Exchange([minute_bars("BTCUSDT", 5, history=5)]) as exchange:
        stream = Stream(tmp_path, exchange, *options)
        done = subprocess.run(stream.command, env=stream.environment, capture_output=True, text=True)
        assert exchange.trades() == []
    assert done.returncode == code, done.stderr
    assert words in done.stderr and "Traceback" not in done.stderr


def test_help_shows_examples() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "streaming", "--help"], capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 0 and "--lockstep" in done.stdout and "Examples" in done.stdout


def test_a_name_too_long_for_order_ids_is_said_before_anything_is_traded(tmp_path: Path) -> None:
    source = load_strategy("trend").source.read_text()
    strategy = tmp_path / "long.py"
    strategy.write_text(source.replace('name="trend"', f'name="{"l" * 30}"'))
    with Exchange([minute_bars("BTCUSDT", 10)]) as exchange:
        stream = Stream(tmp_path, exchange, "--strategy", str(strategy), "--symbols", "BTCUSDT", "--replay")
        done = subprocess.run(stream.command, env=stream.environment, capture_output=True, text=True)
    assert done.returncode == 2 and "a shorter name" in done.stderr and "Traceback" not in done.stderr

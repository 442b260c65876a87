"""`qtm demo` walks the whole path, from history to paper fills, by running the commands a user would type."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from qtm.cli.demo_summary import print_summary
from qtm.errors import ConfigError, QtmError, VenueError
from qtm.settings import settings

if TYPE_CHECKING:
    from collections.abc import Sequence

BACKTESTS: dict[str, tuple[str, ...]] = {
    "trend": ("--set", "fast=240", "--set", "slow=1000"),
    "mean-reversion": ("--set", "window=1000", "--set", "entry=3"),
}
"""The bundled strategies shown, with windows long enough for one-minute bars."""

TRADED = "BTCUSDT"
STREAMED = "trend"
_READY_WITHIN_S = 60.0
_QTM = (sys.executable, "-m", "qtm.cli.main")


@dataclass(frozen=True, slots=True)
class Step:
    """What one command did: its wall time, when it was done (since the start), its peak memory."""

    title: str
    command: str
    wall_s: float
    done_s: float
    peak_mb: float
    body: Mapping[str, Any]


@dataclass(slots=True)
class Walk:
    """The running demo: where it prints, the environment of its commands, and what they did so far."""

    console: Console
    environment: dict[str, str]
    began: float
    steps: list[Step] = field(default_factory=list)

    def run(self, title: str, *words: str) -> Mapping[str, Any]:
        """Run `qtm WORDS --json` as a child and return its answer; its progress shows on stderr.

        Raises
        ------
        QtmError
            When the command fails; it has then said why on stderr.
        """
        command = self._announce(title, words)
        started = time.monotonic()
        child = subprocess.Popen([*_QTM, *words, "--json"], stdout=subprocess.PIPE, env=self.environment)
        try:
            output, peak_mb = _finished(child)
        finally:
            _stop(child)
        if child.returncode:
            raise QtmError(
                f"`{command}` ended with exit code {child.returncode}", remedy="its own message is above"
            )
        body: Mapping[str, Any] = json.loads(output)
        self._done(title, command, started, peak_mb, body)
        return body

    @contextmanager
    def serving(self, title: str, ready_file: Path, *words: str) -> Iterator[Mapping[str, Any]]:
        """Keep `qtm WORDS` running while the block runs; yields what it wrote to `ready_file`."""
        command = self._announce(title, words)
        started = time.monotonic()
        child = subprocess.Popen([*_QTM, *words], env=self.environment)
        try:
            yield _ready(ready_file, child)
            child.send_signal(signal.SIGTERM)
            _, peak_mb = _finished(child)
            self._done(title, command, started, peak_mb, {})
        finally:
            _stop(child)

    def _done(
        self, title: str, command: str, started: float, peak_mb: float, body: Mapping[str, Any]
    ) -> None:
        now = time.monotonic()
        self.steps.append(Step(title, command, now - started, now - self.began, peak_mb, body))

    def _announce(self, title: str, words: Sequence[str]) -> str:
        command = f"qtm {shlex.join(words)}"
        self.console.print(
            f"[bold cyan]{title}[/bold cyan]  [dim]$ {command}[/dim]", soft_wrap=True, highlight=False
        )
        return command


def register(app: typer.Typer) -> None:
    """Add `demo` to the command line."""
    app.command("demo")(demo)


def demo(
    archive: Annotated[
        str | None,
        typer.Option(help="Folder laid out like Binance's public archive, or its URL (default: settings)."),
    ] = None,
    source: Annotated[
        str, typer.Option(help="auto (archive if it answers, else synthetic), archive or synthetic.")
    ] = "auto",
    start: Annotated[str, typer.Option("--from", help="First day of the 1m bars, UTC.")] = "2024-01-01",
    end: Annotated[str, typer.Option("--to", help="Day after the last 1m bar, UTC.")] = "2025-07-01",
    bars: Annotated[
        int, typer.Option(min=1, max=1440, help="Minutes of the last day to trade on paper.")
    ] = 1440,
) -> None:
    """History, checks, backtests, weights, risk report and a day of paper trading, in one go.

    Needs no key and no account, asks nothing, and leaves nothing running.

    Example: [bold]qtm demo --archive ~/binance-archive[/bold]
    """
    last_day = _last_day(start, end)
    if archive is not None:
        os.environ["QTM_MARKET__ARCHIVE"] = archive
    synthetic, reason = _choose(source)
    home = settings().home / "synthetic" if synthetic else settings().home
    walk = Walk(Console(), {**os.environ, "QTM_HOME": str(home)}, time.monotonic())
    colour = "yellow" if synthetic else "green"
    walk.console.print(f"[bold {colour}]Market: {reason}.[/bold {colour}]", soft_wrap=True)
    _history(walk, "synthetic" if synthetic else "archive", start, end)
    _judge_and_research(walk, start, end)
    _trade(walk, last_day, bars)
    print_summary(walk.console, walk.steps, reason, home, time.monotonic() - walk.began)


def _choose(source: str) -> tuple[bool, str]:
    """Whether the market is synthetic, and why; made-up prices get a home of their own."""
    from qtm.market.choose import choose_source

    if source not in ("auto", "archive", "synthetic"):
        raise ConfigError(
            f"unknown source {source!r}", where="--source", remedy="use auto, archive or synthetic"
        )
    if source == "auto":
        found = choose_source(settings())
        found.source.close()
        if found.source.name.startswith("archive") or found.is_synthetic:
            return found.is_synthetic, found.reason
        return True, "SYNTHETIC prices, because the archive does not answer"
    found = choose_source(settings(), "archive" if source == "archive" else "synthetic")
    found.source.close()
    return found.is_synthetic, found.reason


def _history(walk: Walk, taken: str, start: str, end: str) -> None:
    walk.run("History, 1m", "ingest", "bars", "-i", "1m", "--from", start, "--to", end, "--source", taken)
    walk.run("History, 1d", "ingest", "bars", "-i", "1d", "--from", "2020-07-01", "--to", "2026-01-01",
             "--source", taken)  # fmt: skip
    walk.run("Funding, USD-M", "ingest", "funding", "--from", "2023-01-01", "--to", "2024-06-01",
             "--source", taken)  # fmt: skip


def _judge_and_research(walk: Walk, start: str, end: str) -> None:
    walk.run("Quality, 1m", "quality", "run", "-i", "1m", "--from", start, "--to", end)
    walk.run("Quality, 1d", "quality", "run", "-i", "1d")
    for strategy, parameters in BACKTESTS.items():
        walk.run(f"Backtest, {strategy}", "backtest", strategy, "-s", TRADED, "-i", "1m", *parameters)
    walk.run("Weights", "optimize")
    walk.run("Risk report", "report")


def _trade(walk: Walk, day: date, bars: int) -> None:
    """Replay `day` on the paper exchange bar by bar and stream the strategy against it.

    The exchange starts empty each time, so each demo trades on an account of its own.
    """
    with tempfile.TemporaryDirectory() as scratch:
        ready = Path(scratch) / "paper.json"
        with walk.serving(
            "Paper exchange", ready, "paper", "serve", "--symbols", TRADED,
            "--from", str(day), "--to", str(day + timedelta(days=1)), "--speed", "step",
            "--port", "0", "--ready-file", str(ready),
        ) as paper:  # fmt: skip
            walk.run(
                "Stream", "stream", "--strategy", STREAMED, "--symbols", TRADED, "--spot-url", paper["url"],
                "--account", f"demo-{int(time.time())}", "--fresh", "--lockstep", "--bars", str(bars),
            )  # fmt: skip


def _last_day(start: str, end: str) -> date:
    try:
        first, after = date.fromisoformat(start), date.fromisoformat(end)
    except ValueError as error:
        raise ConfigError(f"not a day: {error}", where="--from, --to", remedy="write 2024-01-31") from None
    if after - first < timedelta(days=3):
        raise ConfigError(
            "the demo needs at least three days", where=f"{start} .. {end}", remedy="move --from or --to"
        )
    return after - timedelta(days=1)


def _finished(child: subprocess.Popen[bytes]) -> tuple[bytes, float]:
    """Read the child's output to its end and reap it; returns it with the child's peak memory in MB."""
    output = child.stdout.read() if child.stdout else b""
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return output, usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Leave nothing running, whatever happened."""
    if child.returncode is None and child.poll() is None:
        child.terminate()
        try:
            child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    if child.stdout:
        child.stdout.close()


def _ready(ready_file: Path, child: subprocess.Popen[bytes]) -> Mapping[str, Any]:
    deadline = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < deadline:
        if ready_file.exists():
            facts: Mapping[str, Any] = json.loads(ready_file.read_text())
            return facts
        if child.poll() is not None:
            raise VenueError(
                "the paper exchange stopped before it listened", remedy="its own message is above"
            )
        time.sleep(0.05)
    raise VenueError(
        f"the paper exchange was not ready within {_READY_WITHIN_S:g} s", remedy="see its log above"
    )

"""Sweeps of the lake: resumable after a kill, counted once each, within their memory budget."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from qtm.backtest.conditions.bars import BarConditions
from qtm.backtest.fast_sweep import FastLane
from qtm.backtest.look_ahead import proof_market
from qtm.backtest.registry import TrialRegistry
from qtm.backtest.sweep_lane import BUDGET_BYTES, table_of
from qtm.errors import ConfigError
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake
from qtm.market.synthetic import synthetic_bars, synthetic_instruments
from qtm.settings import settings
from qtm.strategies.registry import load_strategy
from qtm.sweep import SweepResult, sweep
from qtm.trading.costs import SPOT_COSTS
from tests.backtest.scripted import instrument

START_MS, DAY_MS = 1_577_836_800_000, 86_400_000
GRID = {"fast": list(range(3, 23)), "slow": list(range(30, 130, 10)), "below": [0.0]}
TRIALS = {"grid": None, "random": 60, "bayes": 60}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(str(tmp_path_factory.mktemp("lake")))
    lake.write_instruments([one for one in synthetic_instruments() if one.symbol == "BTCUSDT"])
    end_ms = START_MS + 60 * DAY_MS
    frame = synthetic_bars("BTCUSDT", Interval.H1, START_MS, end_ms, 7)
    lake.write_bars(Market.SPOT, Interval.H1, frame, start_ms=START_MS, end_ms=end_ms)
    return lake


@pytest.fixture
def home(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("QTM_HOME", str(tmp_path))
    monkeypatch.setenv("QTM_LAKE", lake.uri)
    settings.cache_clear()
    yield tmp_path
    settings.cache_clear()


def run(method: str, *, resume: bool = False, **more: object) -> SweepResult:
    return sweep(
        "trend",
        "BTCUSDT",
        "1h",
        grid=GRID,
        method=method,
        trials=TRIALS[method],
        resume=resume,
        **more,  # type: ignore[arg-type]
    )


_SLOW_SWEEP = """
    import sys, time
    from qtm.sweep import sweep
    grid = {"fast": list(range(3, 23)), "slow": list(range(30, 130, 10)), "below": [0.0]}
    trials = {"grid": None, "random": 60, "bayes": 60}[sys.argv[1]]
    sweep("trend", "BTCUSDT", "1h", grid=grid, method=sys.argv[1], trials=trials,
          budget_bytes=900_000, on_progress=lambda done, total: time.sleep(0.2))
"""


@pytest.mark.parametrize("method", ["grid", "random", "bayes"])
def test_a_sweep_killed_in_the_middle_goes_on_to_the_same_table(method: str, home: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(_SLOW_SWEEP), method], env=os.environ)
    rows = home / "sweeps"
    deadline = time.monotonic() + 120
    while not any(file.stat().st_size > 3_000 for file in rows.glob("*/rows.bin")):
        assert child.poll() is None and time.monotonic() < deadline, "the sweep ended before it was killed"
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()

    again = run(method, resume=True)
    total = TRIALS[method] or 200
    assert 0 < again.resumed < total and len(again.table) == total
    registry = TrialRegistry.open(settings().database)
    assert registry.count("trend").trials == registry.table("trend").height == total

    afresh = run(method)
    assert afresh.resumed == 0 and afresh.table.equals(again.table)
    assert registry.count("trend").trials == total


def test_what_was_journaled_but_not_counted_is_counted_on_resuming(home: Path) -> None:
    class Killed(BaseException):
        """Stands for the end of the process between the journal and the registry."""

    def dies(self: TrialRegistry, found: object, run_id: str | None = None) -> str:
        raise Killed

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(TrialRegistry, "record", dies)
        run("random")
    assert run("random", resume=True).resumed > 0
    assert TrialRegistry.open(settings().database).table("trend").height == 60


def test_a_finished_sweep_is_not_run_again(home: Path) -> None:
    first = run("grid")
    ran: list[tuple[int, int]] = []
    second = run("grid", resume=True, on_progress=lambda done, total: ran.append((done, total)))
    assert second.resumed == 200 and ran == [(200, 200)] and second.table.equals(first.table)


def test_progress_rises_to_the_total(home: Path) -> None:
    seen: list[tuple[int, int]] = []
    run("bayes", on_progress=lambda done, total: seen.append((done, total)))
    assert seen[0] == (0, 60) and seen[-1] == (60, 60) and seen == sorted(seen)


def test_methods_find_the_same_figures_for_the_same_combination(home: Path) -> None:
    every = run("grid").table
    for method in ("random", "bayes"):
        some = run(method).table
        assert len(some) == 60 and some.join(every, on=some.columns, how="anti", nulls_equal=True).is_empty()


def test_the_page_shows_the_map_and_is_whole(home: Path) -> None:
    page = run("grid").page().read_text()
    assert "fast and slow" in page and "heatmap" in page and "trial" in page


@pytest.mark.parametrize("budget", [1_500_000, 4_000_000, BUDGET_BYTES])
def test_a_sweep_allocates_no_more_than_its_budget(budget: int) -> None:
    market = proof_market(20_000, seed=3)
    strategy = load_strategy("trend")
    chosen = [strategy.params({"fast": f, "slow": s}) for f in range(2, 22) for s in range(30, 130, 10)]

    def whole() -> int:
        conditions = BarConditions(market, instrument(), 1e5, SPOT_COSTS)
        lane = FastLane(strategy, conditions, threads=4, budget_bytes=budget)
        found = [rows for _, rows in lane.run(chosen)]
        assert len(table_of(strategy, chosen, np.concatenate(found))) == len(chosen)
        return lane.footing(len(chosen)).total

    whole()  # compiled by now
    tracemalloc.start()
    stated = whole()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak <= stated <= budget


def test_a_budget_that_is_too_small_is_refused_with_what_it_needs() -> None:
    market = proof_market(20_000, seed=3)
    conditions = BarConditions(market, instrument(), 1e5, SPOT_COSTS)
    lane = FastLane(load_strategy("trend"), conditions, budget_bytes=100_000)
    with pytest.raises(ConfigError, match=r"may use 0\.1"):
        lane.footing(200)


def test_workers_share_one_copy_of_the_columns(home: Path) -> None:
    from qtm.research import gather

    inputs = gather("trend", "BTCUSDT", "1h")
    lane = FastLane(inputs.strategy, inputs.conditions)
    bars = inputs.conditions.bars
    mapped = lane._columns[:6]
    names = ("open_time_ms", "open", "high", "low", "close", "volume")
    given = [getattr(bars, name) for name in names]
    assert all(np.may_share_memory(*pair) for pair in zip(mapped, given, strict=True))
    assert lane.footing(10).shared == 8 * len(bars)  # closes in ticks, made once


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"method": "guess"}, "unknown method"),
        ({"method": "bayes", "trials": 10, "objective": "max_drawdown"}, "cannot raise"),
        ({"method": "random"}, "number of trials"),
    ],
)
def test_what_makes_no_sense_is_refused(home: Path, more: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        sweep("trend", "BTCUSDT", "1h", grid=GRID, **more)  # type: ignore[arg-type]

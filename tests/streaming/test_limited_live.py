"""A strategy at LIVE_LIMITED trades under its caps (TD-07) and stops by itself, whatever happens to it."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from qtm.control.candidate import Candidate, candidate_of
from qtm.control.run_rows import ended_runs
from qtm.settings import ControlSettings, LimitedSettings, Settings
from qtm.store.database import open_database
from qtm.store.schema import decisions, kills, orders
from qtm.strategies.registry import load_strategy
from tests.control.support import DAY_MS, grant_limited_live, prove_once
from tests.parity.market import MINUTE_MS, Exchange, Stream, minute_bars
from tests.streaming.test_stream_process import TREND, command, eventually

TREND_STRATEGY = load_strategy("trend")
BREAKOUT = {"channel": 5, "ranges": 5, "width": 3.0}
CAPS = LimitedSettings(max_order_value=100, max_position_value=100, max_orders_per_day=3, max_days=30)
ARMED = {
    "QTM_LIVE__VENUE": "binance", "QTM_LIVE__ARMED": "true", "QTM_LIVE__API_KEY": "paper-key",
    "QTM_LIVE__API_SECRET": "paper-secret", "QTM_CONTROL__LIMITED__MAX_ORDERS_PER_DAY": "50",
}  # fmt: skip
ELIGIBLE = """
[[eligible]]
venue = "binance"
strategies = ["trend", "breakout"]
symbols = ["BTCUSDT", "ETHUSDT"]
signoff = "LEGAL-1"
until = 2199-12-31
"""


def live(home: Path, exchange: Exchange, *options: str, strategy: Sequence[str] = TREND) -> Stream:
    """The stream as it trades live, against the exchange."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "limits.toml").write_text(ELIGIBLE)
    limits = ("--limits", str(home / "limits.toml"), "--lockstep", "--cash", "90")
    stream = Stream(home, exchange, *strategy, *options, *limits, **ARMED)
    stream.command[2] = "tests.streaming.live_on_loopback"
    return stream


def candidate_on(stream: Stream, symbol: str, name: str, params: Mapping[str, float]) -> Candidate:
    strategy = load_strategy(name)
    return candidate_of(
        strategy, strategy.params(params), market="spot", symbol=symbol, interval="1m",
        settings=Settings(home=stream.home),
    )  # fmt: skip


def trend_on(stream: Stream, symbol: str) -> Candidate:
    return candidate_on(stream, symbol, "trend", {"fast": 2, "slow": 5})


def grant(stream: Stream, at_ms: int, *candidates: Candidate, caps: LimitedSettings = CAPS) -> None:
    """Promote each candidate to LIVE_LIMITED."""
    rules = ControlSettings(authorisers=("bob",), limited=caps)
    (stream.home / "state").mkdir(exist_ok=True)
    database = open_database(stream.database_url)
    for candidate in candidates:
        grant_limited_live(database, rules, stream.home / "dossiers", candidate, at_ms)


def accounts_of_runs(stream: Stream) -> list[str]:
    """Whose runs count as evidence for the candidate."""
    with open_database(stream.database_url).read() as connection:
        return [row.account for row in ended_runs(TREND_STRATEGY, trend_on(stream, "BTCUSDT"), connection)]


def sent(stream: Stream) -> int:
    with open_database(stream.database_url).read() as connection:
        return int(connection.execute(select(func.count()).select_from(orders)).scalar_one())


def stops(stream: Stream) -> list[Any]:
    with open_database(stream.database_url).read() as connection:
        return list(connection.execute(select(kills)))


def in_order(stream: Stream) -> list[Any]:
    with open_database(stream.database_url).read() as connection:
        return list(connection.execute(select(decisions).order_by(decisions.c.decision_id)))


@pytest.fixture(autouse=True)
def proofs(monkeypatch: pytest.MonkeyPatch) -> None:
    prove_once(monkeypatch)


def test_the_cap_on_orders_a_day_stops_it_over_kill_9_and_restarts(tmp_path: Path) -> None:
    now_ms = time.time_ns() // 1_000_000
    midnight_ms = now_ms // DAY_MS * DAY_MS  # the market of this test lies inside the day of its orders
    bars = [minute_bars("BTCUSDT", 100, history=20, start_ms=midnight_ms)]
    with Exchange(bars, start_ms=midnight_ms) as exchange:
        stream = live(tmp_path, exchange)
        grant(stream, now_ms, trend_on(stream, "BTCUSDT"))
        child = stream.start()
        eventually(lambda: len(exchange.trades()) >= 2)
        child.kill()
        child.wait()
        (use,) = command(stream, "status", "--json")["limited"]  # type: ignore[misc]
        assert 2 <= int(use["orders today"]["used"]) <= int(use["orders today"]["allowed"]) == 3
        assert 0 < float(use["order value today"]["used"]) <= 100
        assert stream.run()["orders"]["refused"] >= 1
        assert sent(stream) == 3 and len(exchange.trades()) == 3
        (stop,) = stops(stream)
        assert (stop.scope, stop.target, stop.released_ns) == ("strategy", "trend", None)
        assert stop.reason.startswith("TD-07 cap of LIVE_LIMITED: order 4 breaks 3 orders a UTC day")
        assert "binance-paper-ke" in accounts_of_runs(stream)
    told = command(stream, "explain", "trend-BTCUSDT-0000004", "--json")
    broken = [one["control"] for one in told["findings"] if not one["passed"]]  # type: ignore[attr-defined]
    assert told["verdict"] == "REFUSED" and broken == ["TD-07"]
    value = next(one for one in told["findings"] if one["control"] == "PT-03")  # type: ignore[attr-defined]
    assert (value["bound"], value["set_by"].split(",")[0]) == (
        "100",
        "max_order_value of LIVE_LIMITED (TD-07)",
    )


def test_when_its_days_run_out_while_it_trades_it_stops(tmp_path: Path) -> None:
    start_ms = time.time_ns() // 1_000_000 // MINUTE_MS * MINUTE_MS + MINUTE_MS
    last_ms = start_ms + 20 * MINUTE_MS
    bars = [minute_bars("BTCUSDT", 40, history=20, start_ms=start_ms)]
    with Exchange(bars, start_ms=start_ms) as exchange:
        stream = live(tmp_path, exchange)
        caps = CAPS.model_copy(update={"max_orders_per_day": 50})
        grant(stream, last_ms - caps.max_days * DAY_MS, trend_on(stream, "BTCUSDT"), caps=caps)
        assert stream.run()["bars"] == 40
    found = in_order(stream)
    before = [row.verdict for row in found if row.decided_ms < last_ms]
    assert set(before) == {"APPROVED"}
    later = [row.controls for row in found if row.decided_ms >= last_ms]
    assert later and all("KS-03" in one for one in later)  # it was stopped before it asked for an order
    (stop,) = stops(stream)
    assert stop.target == "trend" and "the end of 30 days" in stop.reason and "TD-07" in stop.reason


def test_a_stop_that_trails_stays_at_the_venue_when_its_strategy_is_stopped(tmp_path: Path) -> None:
    """Moving it would withdraw it first, and nothing could take its place."""
    start_ms = time.time_ns() // 1_000_000 // MINUTE_MS * MINUTE_MS + MINUTE_MS
    chosen = [f"--param={name}={value}" for name, value in BREAKOUT.items()]
    bars = minute_bars("BTCUSDT", 60, history=20, seed=4, start_ms=start_ms)  # it breaks out within 8 minutes
    with Exchange([bars], start_ms=start_ms) as exchange:
        strategy = ("--strategy", "breakout", "--symbols", "BTCUSDT", *chosen)
        stream = live(tmp_path, exchange, strategy=strategy)
        breakout = candidate_on(stream, "BTCUSDT", "breakout", BREAKOUT)
        caps = CAPS.model_copy(update={"max_orders_per_day": 50})
        grant(stream, start_ms + 8 * MINUTE_MS - caps.max_days * DAY_MS, breakout, caps=caps)
        stream.run()
    with open_database(stream.database_url).read() as connection:
        found = connection.execute(select(orders).where(orders.c.purpose == "PROTECTION"))
        *moved, last = sorted(found, key=lambda row: int(row.created_ns))
    assert {row.status for row in moved} == {"CANCELED"} and last.status in ("NEW", "FILLED")
    assert f"{last.client_order_id} stays at the venue" in stream.log.read_text()
    (stop,) = stops(stream)
    assert stop.target == "breakout" and last.created_ns < stop.latched_ns


def test_more_instruments_than_the_cap_do_not_start(tmp_path: Path) -> None:
    bars = [minute_bars(symbol, 10, history=20) for symbol in ("BTCUSDT", "ETHUSDT")]
    with Exchange(bars) as exchange:
        stream = live(tmp_path, exchange, "--symbols", "BTCUSDT,ETHUSDT")
        both = (trend_on(stream, symbol) for symbol in ("BTCUSDT", "ETHUSDT"))
        grant(stream, time.time_ns() // 1_000_000, *both)
        done = subprocess.run(stream.command, env=stream.environment, capture_output=True, text=True)
        assert exchange.trades() == []
    assert done.returncode == 5 and "allows 1 instruments (TD-07), not 2" in done.stderr
    assert "Traceback" not in done.stderr

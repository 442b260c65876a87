"""`kill -9` at random instants: nothing is sent twice, nothing is lost, and the run ends as if never killed.

The exchange keeps the count. It accepts a repeated client order id once the first order is closed, exactly as
Binance does, so a duplicate would show as a second execution.
"""

import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from qtm.store.database import open_database
from qtm.store.schema import orders
from qtm.trading.orders import order_of_leg
from tests.parity.market import Exchange, Execution, Stream, minute_bars

BARS = 200
OPTIONS = ("--symbols", "BTCUSDT", "--lockstep", "--recv-window-ms", "1000", "--epoch-s", "0.3")
TREND = ("--strategy", "trend", "--param", "fast=2", "--param", "slow=5")
GUARDED = (
    "--strategy", str(Path(__file__).with_name("guarded.py")), "--param", "stop=0.001",
    "--param", "take_profit=0.002", "--param", "trail=0.003",
)  # fmt: skip
"""Between its entries a stop, or a stop and a take-profit, is nearly always resting."""


def undisturbed(folder: Path, strategy: tuple[str, ...]) -> tuple[list[Execution], dict[Any, Any], list[str]]:
    with Exchange([minute_bars("BTCUSDT", BARS, history=20)]) as exchange:
        stream = Stream(folder, exchange, *strategy, *OPTIONS)
        stream.run()
        return exchange.trades(), stream.signals(), exchange.open_orders()


def wait_for_progress(stream: Stream, child: subprocess.Popen[str], bars: int) -> None:
    """Until `bars` closed bars have been answered (or the process has ended by itself)."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and child.poll() is None:
        files = list((stream.home / "state" / "streams").glob("*/signals.jsonl"))
        if files and files[0].read_bytes().count(b"\n") >= bars:
            return
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("strategy", "seed"),
    [
        (GUARDED, 1),
        pytest.param(GUARDED, 2, marks=pytest.mark.slow),
        pytest.param(TREND, 1, marks=pytest.mark.slow),
        pytest.param(TREND, 2, marks=pytest.mark.slow),
    ],
)
def test_killed_again_and_again_it_trades_exactly_as_if_never_killed(
    tmp_path: Path, strategy: tuple[str, ...], seed: int
) -> None:
    expected_trades, expected_signals, expected_open = undisturbed(tmp_path / "calm", strategy)
    assert len(expected_trades) > 10

    chance = random.Random(seed)
    with Exchange([minute_bars("BTCUSDT", BARS, history=20)]) as exchange:
        stream = Stream(tmp_path / "killed", exchange, *strategy, *OPTIONS)
        stream.command[2:3] = ["qtm.cli.main", "stream", "--json"]  # what a person starts, and kills
        goals = sorted(chance.sample(range(10, BARS - 20), 3))
        for goal in goals:
            child = stream.start()
            wait_for_progress(stream, child, goal)
            time.sleep(chance.uniform(0, 0.05))
            child.send_signal(signal.SIGKILL)
            child.wait(60)
        summary = stream.run()
        trades, still_open = exchange.trades(), exchange.open_orders()

    assert "another process" not in stream.log.read_text(), "what was killed is gone, with all its processes"
    counts = Counter(trade.client_order_id for trade in trades)
    assert {client_order_id: count for client_order_id, count in counts.items() if count > 1} == {}
    assert trades == expected_trades
    assert still_open == expected_open, "no stop is lost and none is doubled"
    got = {key: row["target"] for key, row in stream.signals().items()}
    assert got == {key: row["target"] for key, row in expected_signals.items()}
    assert summary["resumed"]
    with open_database(stream.database_url).read() as connection:
        open_states = {"NEW_LOCAL", "INFLIGHT", "UNKNOWN", "NEW", "PARTIALLY_FILLED"}
        ours = connection.execute(
            select(orders.c.client_order_id).where(orders.c.status.in_(open_states))
        ).scalars()
        assert set(ours) == {order_of_leg(one) for one in still_open}

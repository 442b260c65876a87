"""What holds for every run: conservation, no look ahead, resuming, plain Python equal to compiled."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from qtm.backtest.conditions.tape import TapeConditions
from qtm.backtest.tape import flood
from qtm.backtest.tape.engine import run_orders_backtest
from qtm.backtest.tape.events import NO_DEPTH, SELL_TRADE, Tape, make_tape, tape_of_bars
from qtm.backtest.tape.result import OrdersResult
from qtm.backtest.tape.rules import PROPORTIONAL, Latency, Queue
from qtm.errors import DataError, StrategyError
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.risk.rules import GateLimits
from qtm.strategies.order_contract import OrderStrategy
from qtm.strategies.registry import load_strategy
from qtm.trading.costs import SPOT_COSTS
from qtm.trading.desk import WAKES
from tests.backtest.scripted import instrument
from tests.backtest.tape.random_tapes import random_tape, walking_bars
from tests.backtest.tape.scripted import START_NS, buy, ns, run

NAMES = ("market-making", "grid")
PARAMS = {
    "market-making": {"half_spread": 2.0, "value": 20.0, "longest": 100.0, "requote_ms": 300},
    "grid": {"levels": 6, "step": 4.0, "value": 10.0},
}
LATENCY = Latency((1_000_000, 30_000_000), (5_000_000, 250_000_000), seed=5)


def played(name: str, tape: Tape, **options) -> OrdersResult:  # type: ignore[no-untyped-def]
    strategy = load_strategy(name)
    assert isinstance(strategy, OrderStrategy)
    options.setdefault("latency", LATENCY)
    return run_orders_backtest(
        strategy, PARAMS[name], tape, instrument(Market.SPOT), cash=1_000.0, costs=SPOT_COSTS, **options
    )


def same(one: OrdersResult, other: OrdersResult) -> bool:
    return (
        np.array_equal(one.fill_rows, other.fill_rows)
        and np.array_equal(one.end_rows, other.end_rows)
        and one.books.tobytes() == other.books.tobytes()
    )


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_two_runs_are_one_and_the_step_in_plain_python_is_the_compiled_one(name: str, deep: bool) -> None:
    tape = random_tape(2_000, deep=deep, seed=4)
    first = played(name, tape)
    assert len(first.fill_rows) > 10
    assert same(first, played(name, tape))
    assert same(first, played(name, tape, compiled=False))


@pytest.mark.parametrize("queue", [Queue(), Queue(PROPORTIONAL, 2.0), Queue(assumed=0.01)])
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_cash_position_and_fees_conserve(name: str, deep: bool, queue: Queue) -> None:
    result = played(name, random_tape(2_000, deep=deep, seed=9), queue=queue)
    cash, base = 1_000 * 10**8, 0
    for row in result.fill_rows:
        value = int(row["lots"]) * int(row["ticks"]) * 1_000
        side, lots = int(row["side"]), int(row["lots"]) * 100_000
        fee = (lots if side > 0 else value) // 1_000
        cash -= side * value + (0 if side > 0 else fee)
        base += side * lots - (fee if side > 0 else 0)
        assert (row["cash_after"], row["base_after"]) == (cash, base)
        assert cash >= 0 and base >= 0
    last = int(result.tape.events["ticks"][result.tape.events["kind"] <= 1][-1])
    assert result.equity[-1] == pytest.approx((cash + base * last / 100) / 1e8, abs=1e-7)
    assert len(result.fill_rows) > 0


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_tape_in_two_pieces_gives_the_result_of_the_whole(name: str, deep: bool) -> None:
    tape = random_tape(3_000, deep=deep, seed=2)
    whole = played(name, tape)
    step = tape.interval.ms * 1_000_000
    for share in (0.2, 0.5, 0.8):
        cut = tape.start_ns + int((tape.end_ns - tape.start_ns) * share) // step * step
        before, after = tape.split(cut)
        first = played(name, before)
        second = played(name, after, resume=first.snapshot)
        assert np.array_equal(np.concatenate([first.fill_rows, second.fill_rows]), whole.fill_rows)
        assert np.array_equal(np.concatenate([first.end_rows, second.end_rows]), whole.end_rows)
        assert np.array_equal(np.concatenate([first.equity, second.equity]), whole.equity)
        assert second.books.tobytes() == whole.books.tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_bars_in_two_pieces_give_the_result_of_the_whole(name: str) -> None:
    series = walking_bars(600, seed=3)
    tape = tape_of_bars(series, instrument())
    whole = played(name, tape)
    assert len(whole.fill_rows) > 10
    before, after = tape.split(START_NS + 250 * 60_000_000_000)
    first = played(name, before)
    second = played(name, after, resume=first.snapshot)
    assert np.array_equal(np.concatenate([first.fill_rows, second.fill_rows]), whole.fill_rows)
    assert np.array_equal(np.concatenate([first.equity, second.equity]), whole.equity)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_before_a_moment_depends_on_what_comes_after_it(name: str, deep: bool) -> None:
    tape = random_tape(1_500, deep=deep, seed=6)
    whole = played(name, tape)
    for cut in range(100, len(tape), 173):
        poisoned = tape.events.copy()
        poisoned["ticks"][cut:] = np.where(poisoned["ticks"][cut:] > 0, 1 + poisoned["ticks"][cut:] // 2, 0)
        at = int(tape.events["ts_ns"][cut])
        other = played(name, dataclasses.replace(tape, events=poisoned))
        ours, theirs = (run.fill_rows[run.fill_rows["ts_ns"] < at] for run in (whole, other))
        assert np.array_equal(ours, theirs)


def test_statistics_and_bars_have_the_face_of_a_bar_backtest() -> None:
    result = played("grid", random_tape(3_000, deep=False, seed=1))
    figures = result.statistics
    assert figures.fills == len(result.fill_rows) and figures.trades == len(result.trades)
    assert figures.fees == pytest.approx(float(result.fills["fee"].sum()))
    assert len(result.bars) == len(result.equity) == result.lineage.bars
    trades = result.tape.events[result.tape.events["kind"] <= SELL_TRADE]
    assert result.bars.volume.sum() == pytest.approx(trades["lots"].sum() * 0.001)
    assert result.bars.high.max() == pytest.approx(trades["ticks"].max() * 0.01)


def test_a_tape_out_of_order_or_without_a_price_is_named() -> None:
    good = random_tape(100, deep=False, seed=1)
    swapped = good.events.copy()
    swapped["ts_ns"][50] -= 10**12
    priceless = good.events.copy()
    priceless["ticks"][50] = 0
    for events, message in (
        (swapped, "back in time"),
        (priceless, "no positive price"),
        (swapped[:0], "empty"),
    ):
        with pytest.raises(DataError, match=message):
            make_tape("BTCUSDT", events, depth=NO_DEPTH, interval=Interval.M1)


def test_a_snapshot_of_another_version_or_a_tape_already_seen_is_refused() -> None:
    tape = random_tape(2_000, deep=False, seed=1)
    result = played("grid", tape)
    with pytest.raises(DataError, match="begins before the snapshot ends"):
        played("grid", tape, resume=result.snapshot)
    with pytest.raises(StrategyError, match="the snapshot is of version"):
        played("market-making", tape, resume=result.snapshot)
    older = dataclasses.replace(
        result.snapshot, end_ns=tape.start_ns, desk=result.snapshot.desk[8:], layout="0" * 16
    )
    with pytest.raises(StrategyError, match="laid out differently"):
        played("grid", tape, resume=older)


def test_a_step_that_does_not_compile_is_explained_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text(
        '"""Broken."""\nfrom typing import NamedTuple\n\n'
        "from qtm.strategies.order_contract import order_strategy\n\n\n"
        "class Params(NamedTuple):\n    lots: int = 1\n\n\n"
        '@order_strategy(name="broken", summary="x", params=Params, bounds={}, state={"n": "i8"},\n'
        '                wakes=("trade",))\n'
        "def strategy(params, state, event, account, desk):\n    state.missing += 1\n"
    )
    broken = load_strategy(str(file))
    assert isinstance(broken, OrderStrategy)
    with pytest.raises(StrategyError, match="no field 'missing'") as caught:
        run_orders_backtest(
            broken, None, random_tape(100, deep=False, seed=1), instrument(), cash=100.0, costs=SPOT_COSTS
        )
    assert str(file) in str(caught.value) and ":14" in str(caught.value)


def test_a_timer_wakes_nobody_before_the_first_event_of_the_tape() -> None:
    # the tape begins on the grid at 0 s, its first event is at 3.5 s, the timer is of one second
    result = run([(3.5, "B", 10_000, 5), (9, "S", 9_000, 50)], [buy(0, 1, 1, 9_500)])
    assert result.end_rows["sent_ns"].tolist() == [ns(3.5)]  # with the first trade, not at 1 s without prices


def test_a_strategy_that_floods_the_ledger_is_stopped_and_told_what_refused_it_and_what_to_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flood, "MOST_ORDERS", 1_000)
    tape = tape_of_bars(walking_bars(3_000, 4), instrument(Market.SPOT))
    refusing = GateLimits(1e9, 1.0, 0.03, 0.25, 0.2, 1e9, 1e9, 1e9)
    said = r"made [\d,]+ orders by .*Z, [\d,]+ of them refused by the gate \(most by PT-07, worst-case pos"
    with pytest.raises(StrategyError, match=said) as told:
        played("market-making", tape, limits=refusing)
    assert "looks 200 times a bar" in str(told.value)
    assert "on bars of 1m set requote_ms=60000 or more" in str(told.value)
    monkeypatch.setitem(PARAMS, "market-making", {**PARAMS["market-making"], "requote_ms": 60_000})
    assert played("market-making", tape, limits=refusing).statistics.orders < 6_000, "it did as it was told"


@pytest.mark.parametrize(
    ("wakes", "tape", "remedy"),
    [
        (("quote", "fill"), tape_of_bars(walking_bars(30, 1), instrument()), "add bar to its `wakes`"),
        (("bar",), random_tape(30, deep=True, seed=1), "add trade or quote to its `wakes`"),
    ],
)
def test_a_strategy_that_nothing_would_wake_is_refused(
    wakes: tuple[str, ...], tape: Tape, remedy: str
) -> None:
    sleeper = dataclasses.replace(
        load_strategy("grid"), wakes=sum(WAKES[one] for one in wakes), period_ns=_never
    )
    conditions = TapeConditions(tape, instrument(), 1_000.0, SPOT_COSTS)
    with pytest.raises(StrategyError, match="nothing would ever wake 'grid'") as caught:
        conditions.run(sleeper, None)
    assert remedy in str(caught.value)


def _never(params: object) -> int:
    return 0

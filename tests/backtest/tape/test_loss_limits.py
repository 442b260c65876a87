"""Loss limits (PT-09) of a run over a tape: when one was passed, and what reduce and halt make of it."""

from __future__ import annotations

import numpy as np
import pytest

from qtm.backtest.engine import run_backtest
from qtm.backtest.session import LossLimit
from qtm.backtest.tape.events import tape_of_bars
from qtm.backtest.tape.rules import Latency
from qtm.market.intervals import Interval
from qtm.risk.rules import HALTED, REDUCING, GateLimits
from qtm.trading.book import SIZE_BY_UNITS, Sizing
from qtm.trading.desk import IOC, MARKET, REDUCE_ONLY, STOP
from tests.backtest.scripted import NO_CHANGE, bars, instrument, scripted
from tests.backtest.tape.scripted import FREE, START_NS, buy, ended, filled, run, sell, tape_of

START_MS = START_NS // 1_000_000
WIDE = GateLimits(1e9, 1e9, 0.5, 0.9, 0.9, 1e9, 1e9, 1e9)
TAKE = {"kind": MARKET, "time_in_force": IOC}
QUIET = [(0.5 + at, "B", 10_000, 500) for at in range(4)]
LOSING = [*QUIET, (4.5, "S", 8_900, 5), (5.5, "S", 8_900, 5), (6.5, "B", 9_900, 5), (7.5, "B", 9_900, 5)]
"""A unit bought at 100.00 loses 11.00 at 4.5 s, more than a tenth of 100.00, and 1.00 from 6.5 s on."""


def limits(word: int, **changes: float) -> GateLimits:
    return WIDE._replace(max_drawdown=0.1, at_loss_limit=float(word), **changes)


def play(script, word: int = HALTED, rows=LOSING, **options):  # type: ignore[no-untyped-def]
    tape = tape_of(rows, Interval.S1)
    return run(tape, script, cash=100.0, limits=limits(word), **options)


def test_a_halted_run_sends_nothing_any_more_and_says_since_when() -> None:
    result = play([buy(1, 1, 1_000, **TAKE), sell(5, 2, 10, 9_990), buy(7, 3, 5, 9_800)])
    assert ended(result) == [(1, "FILLED", ""), (2, "REFUSED", "risk gate"), (3, "REFUSED", "risk gate")]
    # within its limit again at 7 s, the halt stands
    assert result.orders.sort("order")["control"].to_list() == ["", "PT-09,KS-03", "KS-03"]
    assert result.loss_limit == LossLimit(START_MS + 5_000, True)
    assert result.limit_notes == ["halted since 2024-01-01T00:00:05Z by PT-09 (loss limit)"]


def test_a_halt_withdraws_what_could_enlarge_the_position_and_leaves_its_stop() -> None:
    protection = {"kind": STOP, "trigger_ticks": 8_800, "time_in_force": IOC}
    script = [
        buy(1, 1, 1_000, **TAKE), sell(2, 2, 400, 10_900, flags=REDUCE_ONLY), sell(3, 3, 1_000, **protection),
        buy(3, 4, 10, 8_000), sell(3, 5, 10, 11_000), sell(3, 6, 1_001, **protection),
    ]  # fmt: skip
    rows = [*LOSING, (8.5, "S", 8_800, 5_000), (9.5, "S", 8_800, 5_000)]
    result = play(script, rows=rows, latency=Latency.constant(order_ms=100))
    assert {row[:2] for row in ended(result)} == {
        (1, "FILLED"), (3, "FILLED"), (4, "CANCELED"), (5, "CANCELED"), (6, "CANCELED"),
    }  # fmt: skip
    assert result.working == 1
    asked = result.orders.filter(result.orders["status"] == "CANCELED")["end_ns"].to_list()
    assert asked == [START_NS + 5_099_999_999] * 3  # with the sample that showed the loss, and the way there


def test_a_reducing_run_keeps_its_orders_and_lets_the_position_go() -> None:
    script = [buy(1, 1, 1_000, **TAKE), buy(2, 2, 10, 8_000), buy(5, 3, 5, 8_000), sell(5, 4, 1_000, **TAKE)]
    result = play(script, REDUCING)
    assert ended(result) == [(1, "FILLED", ""), (3, "REFUSED", "risk gate"), (4, "FILLED", "")]
    assert result.working == 1
    assert result.limit_notes == [
        "loss limit (PT-09) passed at 2024-01-01T00:00:05Z: only shrinking orders while above it"
    ]


def test_an_order_shows_a_loss_before_the_next_sample_does() -> None:
    rows = [*LOSING[:5], (4.6, "B", 9_990, 5), (6.5, "B", 9_990, 5)]
    seen = play([buy(1, 1, 1_000, **TAKE), buy(4.5, 2, 5, 8_000)], rows=rows)
    assert seen.loss_limit.passed_ms == START_MS + 4_500
    # 0.1 s later the loss is gone: between two samples nobody looked
    assert play([buy(1, 1, 1_000, **TAKE), buy(4.6, 2, 5, 8_000)], rows=rows).loss_limit.passed_ms == 0


def test_without_a_gate_no_limit_is_passed() -> None:
    result = run(tape_of(LOSING, Interval.S1), [buy(1, 1, 1_000, **TAKE)], cash=100.0)
    assert result.loss_limit == LossLimit(0, False) and result.limit_notes == []


@pytest.mark.parametrize("word", [REDUCING, HALTED])
@pytest.mark.parametrize("second", [3, 5, 6])
def test_a_resumed_run_remembers_that_it_was_halted(word: int, second: int) -> None:
    script = [buy(1, 1, 1_000, **TAKE), buy(2, 2, 10, 8_000), buy(6.5, 3, 5, 9_800)]
    whole = play(script, word)
    before, after = tape_of(LOSING, Interval.S1).split(START_NS + second * 10**9)
    head = run(before, script, cash=100.0, limits=limits(word))
    tail = run(after, script, cash=100.0, limits=limits(word), resume=head.snapshot)
    assert tail.loss_limit == whole.loss_limit and tail.loss_limit.passed_ms == START_MS + 5_000
    assert np.array_equal(np.concatenate([head.end_rows, tail.end_rows]), whole.end_rows)
    assert tail.books.tobytes() == whole.books.tobytes()


@pytest.mark.parametrize("word", [REDUCING, HALTED])
def test_on_bars_it_is_the_close_at_which_the_step_engine_passes_its_limit(word: int) -> None:
    rows = [(100, 100, 5), (100, 90, NO_CHANGE), (90, 79, NO_CHANGE), (79, 95, 0)]
    step = run_backtest(
        scripted, {}, bars(rows), instrument(), cash=1_000.0, costs=FREE, sizing=Sizing(SIZE_BY_UNITS, 1.0),
        limits=limits(word),
    )  # fmt: skip
    script = [buy(0, 1, 5_000, **TAKE), buy(150, 2, 5, 7_000)]
    orders = run(tape_of_bars(bars(rows), instrument()), script, cash=1_000.0, limits=limits(word))
    assert filled(orders) == [(1, "BUY", 5_000, 10_000)]
    assert orders.loss_limit == step.loss_limit and step.loss_limit.passed_ms == START_MS + 3 * 60_000
    assert orders.equity[:3].tolist() == step.equity[:3].tolist()

"""Allocators and free Python strategies: what they see, what their answers do, whose fault an error is."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from qtm.backtest.account.engine import run_account
from qtm.backtest.account.panel import Listed, Panel
from qtm.backtest.account.proofs import check_account_strategy
from qtm.backtest.account.seats import Seat
from qtm.backtest.account.terms import Conditions
from qtm.errors import StrategyError
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.risk.rules import GateLimits
from qtm.strategies.allocator_contract import allocator, period_of
from qtm.strategies.registry import load_strategy
from tests.backtest.account.markets import FREE, KEEP, coin, panel, series, wandering
from tests.backtest.scripted import START_MS, Params

HEADER = """\
from typing import NamedTuple
import numpy as np
from qtm.strategies.python_contract import python_strategy

class Params(NamedTuple):
    length: int = 3

@python_strategy(name="mine", summary="Mine.", params=Params, bounds={"length": (1, 50)},
                 warmup=lambda params: params.length)
class Mine:
    def __init__(self, params):
        self.params = params
        self.fills = []
    def on_fill(self, context, fill):
        self.fills.append(fill)
"""


def mine(folder: Path, body: str):  # type: ignore[no-untyped-def]
    path = folder / "mine.py"
    path.write_text(HEADER + body)
    return load_strategy(str(path))


def answering(*answers: object, every: int = 1, drift: float = 0.0, window: int = 1):  # type: ignore[no-untyped-def]
    """An allocator that gives these answers in turn and keeps the windows it saw."""
    seen = []

    @allocator(name="told", summary="Told.", params=Params, bounds={}, window=lambda _: window, every=every,
               drift=drift)  # fmt: skip
    def told(params, window):  # type: ignore[no-untyped-def]
        seen.append(window)
        return answers[min(len(seen), len(answers)) - 1]

    return told, seen


def run(strategy, market, cash=1_000.0, **more):  # type: ignore[no-untyped-def]
    return run_account([Seat(strategy)], market, Conditions(cash, costs=FREE, **more))


def test_weights_become_whole_lots_at_the_next_open_and_are_traded_again_when_they_have_drifted() -> None:
    rows = {
        "AUSDT": [(100, 100, KEEP), (100, 100, KEEP), (100, 130, KEEP), (130, 130, KEEP), (130, 130, KEEP)],
        "BUSDT": [(70, 70, KEEP)] * 5,
    }
    strategy, seen = answering([0.5, 0.3], [0.5, 0.3])
    result = run(strategy, panel(rows), cash=1_000.0)
    lots = result.orders.select("symbol", "side", "lots").rows()
    # 500 / 100 = 5.000; 300 / 70 = 4.2857 -> 4.285. At 130 A is worth 650 of 1150 and gives 0.5769 -> 0.576.
    assert lots[:2] == [("AUSDT", "BUY", 5_000.0), ("BUSDT", "BUY", 4_285.0)]
    assert seen[1].weights == pytest.approx([0.65 / 1.15, 4.285 * 70 / 1_150.0], abs=1e-12)
    assert lots[2:] == [("AUSDT", "SELL", 576.0), ("BUSDT", "BUY", 643.0)]


def test_changes_within_the_drift_band_are_left_alone_but_leaving_never_is() -> None:
    rows = {"AUSDT": [(100, 100, KEEP)] * 5, "BUSDT": [(100, 100, KEEP)] * 5}
    strategy, _ = answering([0.5, 0.04], [0.54, 0.0], [0.56, 0.0], drift=0.05)
    result = run(strategy, panel(rows))
    # B's 0.04 from nothing and A's 0.54 are within the band; 0.56 is not
    assert result.orders.select("symbol", "lots").rows() == [("AUSDT", 5_000.0), ("AUSDT", 600.0)]
    gone, _ = answering([0.5, 0.06], [0.5, 0.0], drift=0.1)
    assert len(run(gone, panel(rows)).orders) == 1
    left, _ = answering([0.5, 0.2], [0.5, 0.0], drift=0.3)
    assert len(run(left, panel(rows)).orders) == 1  # 0.2 never was enough to enter


def test_a_holding_on_its_way_out_in_parts_stays_when_the_next_weights_want_it() -> None:
    rows = {
        "AUSDT": [(50, 50, KEEP), (50, 50, KEEP), (50, 100, KEEP), *[(100, 100, KEEP)] * 5],
        "BUSDT": [(100, 100, KEEP)] * 8,
    }
    limits = GateLimits(550.0, 1e9, 0.5, 0.9, 0.9, 100.0, 10_000.0, 5_000.0)
    strategy, _ = answering([0.5, 0.0], [0.0, 0.0], [0.3, 0.0], drift=0.1)
    result = run(strategy, panel(rows), limits=limits)
    # 10 are worth 1000; 550 / 99 lets 5.555 leave, the rest is 29.6 % of equity: near enough to 0.3 to stay.
    assert result.orders.select("side", "lots").rows() == [("BUY", 10_000.0), ("SELL", 5_555.0)]


def test_a_window_holds_closed_bars_only_and_nan_keeps_a_holding() -> None:
    rows = {"AUSDT": [(100, 100 + i, KEEP) for i in range(6)], "BUSDT": [None, None, *[(50, 50, KEEP)] * 4]}
    strategy, seen = answering([0.5, 0.0], [np.nan, np.nan], window=2, every=2)
    result = run(strategy, panel(rows))
    assert [window.time_ms for window in seen] == [START_MS + n * 3_600_000 for n in (4, 6)]
    np.testing.assert_array_equal(seen[0].closes[:, 0], [101.0, 102.0, 103.0])
    assert np.isnan(seen[0].closes[0, 1]) and seen[0].complete.tolist() == [True, False]
    assert (
        seen[0].returns.base is None or seen[0].returns.base.shape[0] <= 3
    )  # nothing of the future behind it
    assert len(result.orders) == 1


@pytest.mark.parametrize(
    ("schedule", "expected"), [("daily", [24, 48, 72]), ("weekly", [168, 336]), ("monthly", [744])]
)
def test_calendar_rebalances_fall_on_the_first_close_of_a_day_week_and_month(schedule, expected) -> None:  # type: ignore[no-untyped-def]
    # 2024-01-01 is a Monday; closes are counted in hours from its midnight
    closes = START_MS + np.arange(1, 24 * 33, dtype=np.int64) * 3_600_000
    due = np.flatnonzero(np.diff(period_of(schedule, closes))) + 2
    assert due.tolist()[: len(expected)] == expected


@pytest.mark.parametrize(
    ("answer", "message"),
    [([0.5], "shape"), ([np.inf, 0.0], "infinite"), ("text", "failed in the rebalance")],
)
def test_an_answer_that_is_no_vector_of_weights_is_refused(answer, message) -> None:  # type: ignore[no-untyped-def]
    strategy, _ = answering(answer)
    with pytest.raises(StrategyError, match=message):
        run(strategy, wandering(["AUSDT", "BUSDT"], 5, 1))


def test_a_python_strategy_trades_by_the_engines_rules_and_hears_of_its_fills(tmp_path: Path) -> None:
    strategy = mine(tmp_path, """
    def on_bar(self, context, bars):
        closes = context.history("AUSDT", self.params.length)
        if closes.size == self.params.length:
            context.target("AUSDT", 1.0 if bars["AUSDT"].close > closes.mean() else 0.0, stop=95.0)
""")  # fmt: skip
    rows = {"AUSDT": [(100, 100, KEEP), (100, 100, KEEP), (100, 103, KEEP), (103, 103, 90, 98, KEEP)]}
    result = run(strategy, panel(rows))
    filled = result.orders.select("cause", "bar", "fill_price").rows()
    assert filled == [("target", 2, 103.0), ("stop", 2, 95.0)]


def test_an_error_in_a_python_strategy_is_told_with_its_line_and_time(tmp_path: Path) -> None:
    strategy = mine(tmp_path, """
    def on_bar(self, context, bars):
        x = 1
        raise ValueError("no model today")
""")  # fmt: skip
    with pytest.raises(
        StrategyError, match="failed in on_bar at 2024-01-01T01:00:00Z: ValueError: no model"
    ) as caught:
        run(strategy, wandering(["AUSDT"], 5, 1))
    assert caught.value.where.endswith("mine.py:19")


def test_an_unknown_symbol_and_a_target_that_is_no_number_are_refused(tmp_path: Path) -> None:
    market = wandering(["AUSDT"], 5, 1)
    for call, message in (
        ('context.target("ZUSDT", 1.0)', "does not trade"),
        ('context.target("AUSDT", float("nan"))', "no number"),
    ):
        strategy = mine(tmp_path, f"\n    def on_bar(self, context, bars):\n        {call}\n")
        with pytest.raises(StrategyError, match=message):
            run(strategy, market)


def two_markets(spot: list[float], future: list[float]) -> Panel:
    rows = [(price, price, KEEP) for price in spot], [(price, price, KEEP) for price in future]
    return Panel.of(
        [
            Listed(coin("AUSDT", Market.SPOT), series("AUSDT", rows[0], Interval.H1)),
            Listed(coin("AUSDT", Market.UM), series("AUSDT", rows[1], Interval.H1)),
        ]
    )


def test_both_legs_of_a_basis_trade_stand_on_their_own_purse_and_cash_moves_between_them(
    tmp_path: Path,
) -> None:
    strategy = mine(tmp_path, """
    def on_bar(self, context, bars):
        if context.position("spot:AUSDT") == 0.0:
            context.transfer("spot", 100.0)
            context.target("spot:AUSDT", 0.5)
            context.target("um:AUSDT", -0.5)
""")  # fmt: skip
    result = run(strategy, two_markets([100, 100, 120], [100, 100, 120]))
    # 500 each to begin with; 100 moved; 5 bought for 500 and 5 sold short for 500
    assert result.purses.tolist() == [[100.0, 900.0]]
    assert result.legs["qty"].tolist() == [5.0, -5.0] and result.equity.tolist() == [1_000.0] * 3


def test_cash_that_carries_a_position_cannot_be_moved_away(tmp_path: Path) -> None:
    strategy = mine(tmp_path, """
    def on_bar(self, context, bars):
        if context.position("um:AUSDT") == 0.0:
            context.target("um:AUSDT", -2.0)
        else:
            context.transfer("spot", 200.0)
""")  # fmt: skip
    with pytest.raises(StrategyError, match=r"200.00 cannot be moved to spot: 100.00 is free"):
        run(strategy, two_markets([100] * 4, [100] * 4), leverage=5.0)


def test_the_proofs_pass_an_honest_allocator_and_catch_one_that_peeps() -> None:
    quick = {"lookback": 12, "skip": 1, "hold": 2, "every": 6}
    honest = check_account_strategy(load_strategy("cross-momentum"), quick)
    assert honest.passed, honest.findings

    @allocator(name="peeping", summary="Peeps.", params=Params, bounds={}, window=lambda _: 2, every=5)
    def peeping(params, window):  # type: ignore[no-untyped-def]
        # The engine's own tables, reached through the interpreter's stack: no contract can prevent it.
        frame = sys._getframe()
        while "self" not in frame.f_locals or not hasattr(frame.f_locals["self"], "panel"):
            frame = frame.f_back
        later = frame.f_locals["self"].panel.close[-1, :4]
        return np.where(later > window.closes[-1], 0.25, 0.0)

    caught = check_account_strategy(peeping)
    assert [finding.name for finding in caught.findings if not finding.passed] == [
        "blind to bars cut off",
        "blind to a poisoned future",
        "resumes from a snapshot",
    ]


@pytest.mark.parametrize("name", ["pairs", "basis-carry"])
def test_bundled_python_strategies_pass_every_proof(name: str) -> None:
    quick = {"pairs": {"window": 40, "entry": 1.2}, "basis-carry": {"window": 12}}
    proof = check_account_strategy(load_strategy(name), quick[name])
    assert proof.passed, [finding for finding in proof.findings if not finding.passed]

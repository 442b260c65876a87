"""Trials of every kind of strategy, in threads and in processes, are the runs made one by one."""

from __future__ import annotations

import dataclasses
import textwrap

import numpy as np
import pytest

from qtm.backtest import trial_runs
from qtm.backtest.account.terms import Conditions as AccountTerms
from qtm.backtest.conditions.account import AccountConditions
from qtm.backtest.conditions.bars import BarConditions
from qtm.backtest.conditions.tape import TapeConditions
from qtm.backtest.look_ahead import proof_market
from qtm.backtest.sweep import lane_of, sweep_table
from qtm.backtest.sweep_lane import FIGURES
from qtm.backtest.tape.events import tape_of_bars
from qtm.backtest.trial_runs import TrialRuns
from qtm.backtest.trial_worker import read_shared, reference_to, write_shared
from qtm.errors import ConfigError, StrategyError
from qtm.market.instruments import Market
from qtm.strategies.registry import load_strategy
from qtm.trading.costs import UM_COSTS
from tests.backtest.account.markets import wandering
from tests.backtest.scripted import instrument

VENUE = instrument(Market.UM)
MARKET = proof_market(600, seed=2)
ACCOUNT = AccountConditions(wandering(["AUSDT", "BUSDT"], 600, 3, Market.UM), AccountTerms(100_000.0))
CASES = {
    "trend": (
        BarConditions(MARKET, instrument(Market.UM), 1e5, UM_COSTS),
        {"fast": [3, 7], "slow": [30, 60]},
    ),
    "momentum": (ACCOUNT, {"lookback": [24, 48, 96]}),
    "cross-momentum": (ACCOUNT, {"lookback": [24, 48, 96], "skip": [2], "hold": [1], "every": [12]}),
    "pairs": (ACCOUNT, {"window": [40, 60, 80], "entry": [1.5, 2.0]}),
    "grid": (
        TapeConditions(tape_of_bars(MARKET, VENUE), VENUE, 1e5, UM_COSTS),
        {"levels": [3, 5], "step": [50.0, 100.0]},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_row_of_a_sweep_is_the_run_made_alone(name: str) -> None:
    conditions, grid = CASES[name]
    strategy = load_strategy(name)
    table = sweep_table(strategy, grid, conditions, threads=2)
    assert len(table) == np.prod([len(values) for values in grid.values()])
    assert table["final_equity"].n_unique() > 1
    for row in table.iter_rows(named=True):
        alone = conditions.run(strategy, strategy.params({name: row[name] for name in grid}))
        assert row["final_equity"] == alone.equity[-1]
        figures = alone.statistics.as_dict()
        assert row["orders"] == figures["orders"] and row["fills"] == figures["fills"]
        assert row["fees"] == pytest.approx(figures["fees"], rel=1e-12)


@pytest.mark.parametrize("name", ["cross-momentum", "pairs"])
def test_processes_find_what_one_process_finds(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    conditions = CASES[name][0]
    strategy = load_strategy(name)
    chosen = [strategy.params({"lookback" if name != "pairs" else "window": n}) for n in (40, 50, 60, 70)]
    with TrialRuns(strategy, conditions) as runs:
        here = dict(runs.run(chosen))
    monkeypatch.setattr(trial_runs, "_WORTH_PROCESSES_S", 0.0)
    with TrialRuns(strategy, conditions, workers=2) as runs:
        there = dict(runs.run(chosen))
        assert runs._processes is not None
        again = dict(runs.run(chosen))
    for at, outcome in here.items():
        np.testing.assert_array_equal(outcome.returns, there[at].returns)
        np.testing.assert_array_equal(outcome.returns, again[at].returns)
        assert there[at].trial.params == outcome.trial.params


def test_what_fails_in_a_process_is_told_as_here(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "fails.py"
    file.write_text(
        textwrap.dedent("""
        from typing import NamedTuple
        from qtm.strategies.allocator_contract import allocator

        class Params(NamedTuple):
            length: int = 5

        @allocator(name="fails", summary="Fails when asked to.", params=Params, bounds={},
                   window=lambda params: 5, every=10)
        def strategy(params, window):
            print("words that must not get between the answers")
            if params.length > 10:
                raise ZeroDivisionError("as asked")
            return window.weights
        """)
    )
    strategy = load_strategy(str(file))
    assert reference_to(strategy) == str(file.resolve())
    monkeypatch.setattr(trial_runs, "_WORTH_PROCESSES_S", 0.0)
    chosen = [strategy.params({"length": n}) for n in (1, 2, 3, 4, 11)]
    with (
        TrialRuns(strategy, ACCOUNT, workers=2) as runs,
        pytest.raises(StrategyError, match=r"as asked.*fails\.py"),
    ):
        list(runs.run(chosen))
    assert runs._processes is None


def test_a_strategy_of_a_notebook_runs_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    strategy = dataclasses.replace(load_strategy("cross-momentum"), digest="of a cell")
    assert reference_to(strategy) is None
    monkeypatch.setattr(trial_runs, "_WORTH_PROCESSES_S", 0.0)
    with TrialRuns(strategy, ACCOUNT, workers=2) as runs:
        assert len(list(runs.run([strategy.params({"lookback": n}) for n in (10, 20, 30, 40)]))) == 4
        assert runs._processes is None


def test_shared_columns_are_one_file_and_writing_stays_private(tmp_path) -> None:
    write_shared(tmp_path, ACCOUNT)
    first, second = read_shared(tmp_path), read_shared(tmp_path)
    np.testing.assert_array_equal(first.panel.close, ACCOUNT.panel.close)
    assert not first.panel.close.flags.owndata
    first.panel.close[0, 0] = -1.0
    assert second.panel.close[0, 0] == ACCOUNT.panel.close[0, 0]
    held = (tmp_path / "value.pickle").stat().st_size
    assert (tmp_path / "columns.bin").stat().st_size > ACCOUNT.nbytes > held


def test_the_budget_bounds_whole_runs_too() -> None:
    strategy = load_strategy("grid")
    conditions, _ = CASES["grid"]
    with lane_of(strategy, conditions, threads=8) as lane:
        footing = lane.footing(100)
    each = footing.shared + footing.results + footing.per_combination
    assert footing.workers == 8 and footing.shared == conditions.nbytes > 0
    with lane_of(strategy, conditions, threads=8, budget_bytes=each) as lane:
        assert lane.footing(100).workers == 1
    with (
        lane_of(strategy, conditions, budget_bytes=each - 1) as lane,
        pytest.raises(ConfigError, match="may use"),
    ):
        lane.footing(100)


def test_every_figure_of_a_sweep_is_a_statistic() -> None:
    conditions, _ = CASES["pairs"]
    strategy = load_strategy("pairs")
    assert set(FIGURES) <= set(conditions.run(strategy, strategy.params()).statistics.as_dict())

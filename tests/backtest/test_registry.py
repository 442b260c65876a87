"""The trial registry counts what was tried, once each, and never forgets."""

import dataclasses
import math

import numpy as np
import pytest
from sqlalchemy import update

from qtm.backtest.account.panel import Listed, Panel
from qtm.backtest.account.terms import Conditions as AccountTerms
from qtm.backtest.conditions.account import AccountConditions
from qtm.backtest.conditions.bars import BarConditions
from qtm.backtest.overfitting.sharpe import expected_maximum_sharpe
from qtm.backtest.registry import DAILY_SHARPE, Trial, TrialRegistry, daily_sharpe, trial_of, trials_of_sweep
from qtm.backtest.sweep import run_sweep
from qtm.backtest.trial_terms import digest_of_limits, terms_as_params
from qtm.clock import ManualClock
from qtm.errors import RiskError, StoreError
from qtm.market.instruments import Market
from qtm.risk.limits import load_limits
from qtm.risk.rules import GateLimits, in_floats
from qtm.settings import RiskSettings
from qtm.store.database import open_database
from qtm.store.schema import trials
from qtm.strategies.registry import load_strategy
from qtm.trading.book import Sizing
from qtm.trading.costs import UM_COSTS
from qtm.trading.margin import Margin, margin_of
from tests.backtest.overfitting.market import bars_from, conditions, instrument, trending_steps

DAY = 86_400_000
LIMITS = GateLimits(90_000.0, 2_000.0, 0.03, 0.25, 0.2, 60.0, 10_000.0, 5_000.0)


def trial(fast=5, sharpe=0.1, **changes):
    fields = {
        "strategy": "trend",
        "strategy_version": "abc",
        "params": {"fast": float(fast)},
        "symbol": "BTCUSDT",
        "interval": "1h",
        "start_ms": 0,
        "end_ms": 1000,
        "data_version": 3,
        "statistics": {DAILY_SHARPE: sharpe, "win_rate": math.nan},
    }
    return Trial(**(fields | changes))


@pytest.fixture
def registry(tmp_path):
    return TrialRegistry(open_database(f"sqlite:///{tmp_path / 'qtm.db'}"), ManualClock(42))


def test_count_and_variance_feed_the_deflated_sharpe_ratio(registry):
    registry.record([trial(fast, sharpe) for fast, sharpe in [(5, 0.1), (10, 0.3), (20, -0.1)]])
    count = registry.count("trend")
    assert (count.trials, count.sharpe_variance) == (3, pytest.approx(0.04))


def test_the_same_trial_again_is_not_another_trial(registry):
    registry.record([trial(5)])
    registry.record([trial(5), trial(10)])
    assert registry.count("trend").trials == 2
    assert registry.table("trend").height == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"strategy_version": "def"},
        {"symbol": "ETHUSDT"},
        {"interval": "4h"},
        {"start_ms": 1},
        {"end_ms": 2000},
        {"data_version": None},
        {"params": {"fast": 6.0}},
    ],
)
def test_any_other_ingredient_makes_another_trial(registry, changes):
    registry.record([trial(), trial(**changes)])
    assert registry.count("trend").trials == 2


def test_other_strategies_do_not_count(registry):
    registry.record([trial(), trial(strategy="other")])
    assert registry.count("trend").trials == 1
    assert registry.count("never run") == registry.count("never run")
    assert registry.count("never run").trials == 0 and registry.count("never run").sharpe_variance == 0.0
    assert registry.table().height == 2


def test_a_renamed_strategy_keeps_its_trials(registry):
    registry.record([trial(fast, fast / 100) for fast in (5, 10, 20)])
    registry.record([trial(5, 0.05, strategy="renamed", strategy_version="def")])
    registry.record([trial(7, 0.05, strategy="unlike"), trial(5, 0.051, strategy="unlike")])
    registry.record([trial(3, 0.0, strategy=name) for name in ("renamed", "never-traded")])
    found = registry.count("renamed")
    assert (found.trials, found.aliases) == (5, ("trend",))
    assert registry.count("trend").aliases == ("renamed",)
    assert registry.count("never-traded").trials == registry.count("never-traded").best_by_luck + 1 == 1


def test_padding_never_lowers_the_bar(registry):
    ratios = np.random.default_rng(1).normal(0.0, 0.05, 40)
    searched = [trial(at, float(ratio)) for at, ratio in enumerate(ratios)]
    registry.record(searched)
    bar = registry.count("trend").best_by_luck
    assert bar == expected_maximum_sharpe(40, float(np.var(ratios, ddof=1)))
    registry.record([trial(1_000 + at, 0.0) for at in range(400)])
    assert registry.count("trend").best_by_luck == bar
    registry.record([trial(2_000 + at, 0.02 + 1e-6 * at) for at in range(400)])
    for one in searched:  # run again one by one, each a run of its own
        registry.record([one])
    found = registry.count("trend")
    assert found.trials == 840 and found.best_by_luck == bar
    assert expected_maximum_sharpe(found.trials, found.sharpe_variance) < 0.8 * bar


def test_twins_beside_a_searched_value_in_one_run_do_not_lower_the_bar(registry):
    ratios = np.random.default_rng(1).normal(0.0, 0.05, 40)
    alone = [trial(params={"on": 1.0, "fast": float(at)}, sharpe=float(r)) for at, r in enumerate(ratios)]
    twins = [trial(params={"on": 0.0, "fast": float(at)}, sharpe=0.01 + 1e-6 * at) for at in range(400)]
    registry.record(alone + twins)
    assert registry.count("trend").best_by_luck >= expected_maximum_sharpe(40, float(np.var(ratios, ddof=1)))


def test_short_trials_weigh_as_the_same_luck_over_the_examined_length(registry):
    years, month, instant = 1_000, 40, 2
    ratios = np.random.default_rng(2).normal(0.0, 1.0, 60)
    registry.record([trial(at, float(r) / years**0.5, end_ms=years * DAY) for at, r in enumerate(ratios)])
    alone = registry.count("trend", (0, years * DAY)).best_by_luck
    assert alone == pytest.approx(expected_maximum_sharpe(60, float(np.var(ratios, ddof=1))) / years**0.5)
    registry.record([trial(at, float(r) / month**0.5, end_ms=month * DAY) for at, r in enumerate(ratios)])
    both = registry.count("trend", (0, years * DAY)).best_by_luck
    assert alone <= both < 1.2 * alone
    assert registry.count("trend", (0, month * DAY)).best_by_luck > 4 * alone
    registry.record([trial(at, 40.0 * float(r), end_ms=instant * DAY) for at, r in enumerate(ratios)])
    longer = registry.count("trend", (0, years * DAY))
    assert (longer.trials, longer.best_by_luck) == (180, both)
    assert registry.count("trend", (0, instant * DAY)).best_by_luck > 40.0


def test_trials_outlive_the_process(tmp_path):
    url = f"sqlite:///{tmp_path / 'qtm.db'}"
    run_id = TrialRegistry.open(url).record([trial()])
    row = TrialRegistry.open(url).table("trend").to_dicts()[0]
    assert (row["run_id"], row["params"], row["lake_version"]) == (run_id, '{"fast": 5.0}', 3)
    assert row[DAILY_SHARPE] == 0.1


def test_a_run_is_written_whole_or_not_at_all(registry):
    with pytest.raises(RiskError, match=DAILY_SHARPE):
        registry.record([trial(), trial(6, statistics={})])
    assert registry.table().is_empty()


def test_a_damaged_row_is_named(tmp_path):
    database = open_database(f"sqlite:///{tmp_path / 'qtm.db'}")
    registry = TrialRegistry(database)
    registry.record([trial()])
    with database.write() as connection:
        connection.execute(update(trials).values(daily_sharpe=None))
    for read in (registry.count, registry.table):
        with pytest.raises(StoreError, match="trial 1"):
            read("trend")


def test_a_backtest_becomes_a_trial_with_its_lineage(registry):
    trend = load_strategy("trend")
    result = conditions(bars_from(trending_steps(40, 1))).run(trend, trend.params({"fast": 3, "slow": 20}))
    made = trial_of(result)
    registry.record([made])
    assert made.strategy_version == trend.version
    assert [made.params[name] for name in ("fast", "slow", "below")] == [3, 20, 0]
    assert made.statistics["sharpe"] == pytest.approx(made.statistics[DAILY_SHARPE] * math.sqrt(365))
    assert registry.table("trend")["end_ms"][0] == result.bars.open_time_ms[-1]


def test_other_terms_make_another_trial(registry):
    trend = load_strategy("trend")
    market = conditions(bars_from(trending_steps(60, 1)))
    future = dataclasses.replace(market, instrument=instrument(market=Market.UM), costs=UM_COSTS)
    terms = (
        market,
        market,
        dataclasses.replace(market, cash=2 * market.cash),
        dataclasses.replace(market, costs=market.costs._replace(taker_rate=0.002)),
        dataclasses.replace(market, band=0.02),
        dataclasses.replace(future, margin=Margin(leverage=10.0)),
        dataclasses.replace(future, margin=Margin(leverage=3.0)),
    )
    for one in (*terms, dataclasses.replace(market, limits=LIMITS)):
        made = trial_of(one.run(trend, trend.params({"fast": 3, "slow": 20})))
        assert made.params == {"fast": 3, "slow": 20, "below": 0, **one.terms_as_params}
        registry.record([made])
    assert registry.count("trend").trials == 6
    at_usual = [dataclasses.replace(future, margin=margin) for margin in (None, Margin(leverage=5.0))]
    assert {tuple(one.terms_as_params) for one in at_usual} == {("account.cash",)}


def test_the_same_way_with_and_without_the_gate_is_one_trial(registry):
    gate = terms_as_params(cash=1.0, costs={}, limits=digest_of_limits([LIMITS]))
    bare = terms_as_params(cash=1.0, costs={}, limits=None)
    registry.record([trial(params={"fast": float(f), **gate}, sharpe=f / 90) for f in (5, 10, 20)])
    swept = registry.count("trend")
    registry.record([trial(params={"fast": float(f), **bare}, sharpe=f / 100) for f in (5, 10, 30)])
    both = registry.count("trend")
    assert (swept.trials, both.trials) == (3, 4)
    # Without a gate where it ran so: it is the signal that is judged.
    assert both.sharpe_variance == pytest.approx(np.var([0.05, 0.1, 20 / 90, 0.3], ddof=1))
    assert both.best_by_luck >= swept.best_by_luck


def test_limits_searched_like_a_parameter_are_trials(registry):
    found = [
        terms_as_params(cash=1.0, costs={}, limits=digest_of_limits([LIMITS._replace(max_drawdown=cap)]))
        for cap in (0.1, 0.2, 0.3)
    ]
    registry.record([trial(params={"fast": 5.0, **gate}, sharpe=0.1 * n) for n, gate in enumerate(found)])
    registry.record([trial(params={"fast": 5.0, "account.cash": 1.0}, sharpe=0.5)])
    assert registry.count("trend").trials == 3
    rounded = digest_of_limits([in_floats(LIMITS._replace(max_drawdown=0.1))])
    assert terms_as_params(cash=1.0, costs={}, limits=rounded) == found[0]


def test_runs_without_a_gate_never_lower_the_bar_that_runs_under_it_set(registry):
    ratios = np.random.default_rng(3).normal(0.0, 0.05, 40)
    gate = {"account.limits": 7.0}
    registry.record([trial(params={"fast": float(n), **gate}, sharpe=r) for n, r in enumerate(ratios)])
    bar = registry.count("trend").best_by_luck
    registry.record([trial(n, 0.01 + 1e-6 * n) for n in range(40)])
    assert (registry.count("trend").trials, registry.count("trend").best_by_luck) == (40, bar)


def test_a_debugged_run_under_the_gate_is_the_trial_of_the_fast_one():
    """Both engines name limits and leverage alike, for one symbol as for the only one of an account."""
    trend = load_strategy("trend")
    bars, future = bars_from(trending_steps(60, 1)), instrument(market=Market.UM)
    tree = load_limits(RiskSettings(), [future])
    alone = BarConditions(
        bars, future, 1e5, UM_COSTS, Sizing(), margin=margin_of(future, 10.0),
        limits=tree.effective("trend", "BTCUSDT").limits,
    )  # fmt: skip
    account = AccountConditions(
        Panel.of([Listed(future, bars)]),
        AccountTerms(1e5, limits=tree, margin={future.key: margin_of(future, 10.0)}),
    )
    assert alone.terms_as_params.items() <= trial_of(alone.run(trend, trend.params({}))).params.items()
    assert trial_of(account.run(trend, trend.params({}))).params == {
        **trend.params({})._asdict(), **account.terms_as_params
    }  # fmt: skip
    assert account.terms_as_params == {
        name: value for name, value in alone.terms_as_params.items() if not name.startswith("sizing")
    }
    assert account.terms_as_params["margin.leverage"] == 10.0


def test_the_newest_rows_are_read_without_the_rest(registry):
    registry.record([trial(fast) for fast in range(5)])
    registry.record([trial(9, strategy="other", interval="1d", data_version=8), trial(9, data_version=None)])
    assert registry.table("trend", newest=2)["params"].to_list() == ['{"fast": 9.0}', '{"fast": 4.0}']
    assert registry.table(newest=1).height == 1
    assert (registry.recorded_count(), registry.recorded_count("trend")) == (7, 6)
    assert registry.strategies() == ["other", "trend"]


def test_no_table_that_a_trial_was_made_from_is_forgotten(registry):
    registry.record([trial(5), trial(6, data_version=None), trial(7, interval="1d", data_version=8)])
    registry.record([trial(5, data_version=4, data_versions={"um_bars_1h": 4, "um_funding": 2})])
    registry.record([trial(5, data_version=None, data_versions={"um_bars_1h": 5, "spot_bars_1h": 6})])
    kept = {
        name: registry.lake_versions(name)
        for name in ("spot_bars_1h", "um_bars_1h", "um_bars_1d", "um_funding")
    }
    assert kept == {"spot_bars_1h": [3, 6], "um_bars_1h": [3, 4, 5], "um_bars_1d": [8], "um_funding": [2]}
    assert registry.count("trend").trials == 5


def test_a_sweep_and_single_runs_record_the_same_trials(registry):
    trend = load_strategy("trend")
    market = conditions(bars_from(trending_steps(60, 1)))
    table = run_sweep(
        trend, {"fast": [3, 5], "slow": [20, 400]}, market.bars, market.instrument,
        cash=market.cash, costs=market.costs, sizing=market.sizing,
    )  # fmt: skip
    registry.record(trials_of_sweep(trend, table, market))
    alone = [
        trial_of(market.run(trend, trend.params({"fast": f, "slow": s}))) for f in (3, 5) for s in (20, 400)
    ]
    registry.record(alone)
    assert registry.count("trend").trials == 4
    ratios = registry.table("trend")[DAILY_SHARPE].to_list()
    np.testing.assert_allclose(ratios[:4], ratios[4:], atol=1e-12)
    assert ratios[0] == 0.0


def test_a_flat_series_has_a_sharpe_ratio_of_zero():
    assert daily_sharpe(np.zeros(10)) == daily_sharpe(np.ones(1)) == 0.0

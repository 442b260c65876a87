"""From a lake to a daily book: the mandate holds, nothing of the future leaks, gaps are on record."""

import numpy as np
import pytest

from qtm.errors import ConfigError, DataError, RiskError
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import bars_dataset
from qtm.portfolio.allocation import Outcome
from qtm.portfolio.constraints import violated
from qtm.portfolio.daily import allocate_daily
from qtm.portfolio.history import daily_history
from qtm.portfolio.mandate import Mandate
from qtm.portfolio.problem import Objective
from qtm.portfolio.scenarios.recipe import ScenarioModel, ScenarioRecipe
from tests.portfolio.lake import DAY_MS, FIRST_MS, SYMBOLS, daily_lake

MANDATE = Mandate(window=365, cvar_cap=0.03, max_weight=0.4)


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return daily_lake(tmp_path_factory.mktemp("lake"), listed={"SOLUSDT": 700, "LTCUSDT": 850})


def test_the_mandate_holds_and_the_lake_version_is_kept(lake):
    answer = allocate_daily(daily_history(lake, SYMBOLS), MANDATE)
    assert answer.allocation.outcome is Outcome.OPTIMAL
    assert not violated(answer.allocation.problem, answer.allocation.weights)
    assert answer.allocation.cvar <= 0.03 + 1e-7
    assert answer.lake_version == lake.version(bars_dataset(Market.SPOT, Interval.D1))
    assert answer.as_of_ms == FIRST_MS + 899 * DAY_MS


def test_new_listings_are_filled_or_left_out_on_record(lake):
    scenarios = allocate_daily(daily_history(lake, SYMBOLS), MANDATE).scenarios
    assert [entry.symbol for entry in scenarios.backfilled] == ["SOLUSDT"]
    assert [entry.symbol for entry in scenarios.excluded] == ["LTCUSDT"]


def test_an_earlier_day_sees_only_its_past(lake):
    as_of_ms = FIRST_MS + 600 * DAY_MS
    early = allocate_daily(daily_history(lake, SYMBOLS, as_of_ms=as_of_ms), MANDATE)
    whole = daily_history(lake, SYMBOLS)
    cut = allocate_daily(whole.until(600), MANDATE)
    assert early.as_of_ms == cut.as_of_ms == as_of_ms
    weights = dict(zip(early.scenarios.symbols, early.allocation.weights, strict=True))
    assert {entry.symbol for entry in early.scenarios.excluded} == {"SOLUSDT", "LTCUSDT"}
    assert weights == pytest.approx(dict(zip(cut.scenarios.symbols, cut.allocation.weights, strict=True)))


def test_a_symbol_without_bars_is_left_out_and_named(lake):
    history = daily_history(lake, (*SYMBOLS, "NOPEUSDT"))
    assert [entry.symbol for entry in history.absent] == ["NOPEUSDT"]


def test_a_window_without_any_bar_is_an_error_that_says_so(lake):
    with pytest.raises(DataError, match="up to 2020"):
        daily_history(lake, SYMBOLS, as_of_ms=FIRST_MS - DAY_MS)


def test_turnover_and_costs_start_from_what_is_held(lake):
    history = daily_history(lake, SYMBOLS)
    held = {"BTCUSDT": 0.4, "PAXGUSDT": 0.4}
    capped = Mandate(window=365, cvar_cap=0.03, max_weight=0.4, turnover_cap=0.1, cost_rate=0.001)
    answer = allocate_daily(history, capped, held)
    moved = sum(
        abs(weight - held.get(symbol, 0.0))
        for symbol, weight in zip(answer.scenarios.symbols, answer.allocation.weights, strict=True)
    )
    assert moved <= 0.1 + 1e-7
    with pytest.raises(RiskError, match="LTCUSDT"):
        allocate_daily(history, MANDATE, {"LTCUSDT": 0.1})


def test_min_cvar_and_filtered_scenarios_are_other_books(lake):
    history = daily_history(lake, SYMBOLS)
    least = allocate_daily(history, Mandate(window=365, max_weight=0.4, objective=Objective.MIN_CVAR))
    assert least.allocation.weights.sum() == pytest.approx(1.0)
    filtered = allocate_daily(
        history,
        Mandate(window=365, cvar_cap=0.03, max_weight=0.4, scenarios=ScenarioRecipe(ScenarioModel.FILTERED)),
    )
    assert filtered.scenarios.model.startswith("filtered")
    assert not np.allclose(filtered.scenarios.returns, least.scenarios.returns)


@pytest.mark.parametrize(
    "bad", [{"alpha": 1.2}, {"cvar_cap": 0.0}, {"max_weight": 2.0}, {"window": 5}, {"turnover_cap": -1.0}]
)
def test_a_mandate_out_of_range_is_refused(bad):
    with pytest.raises(ConfigError, match="out of range"):
        Mandate(**bad)

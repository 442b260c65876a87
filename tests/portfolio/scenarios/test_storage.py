"""Scenario sets in the lake: what was stored comes back, day by day, version by version."""

from dataclasses import replace

import numpy as np
import pytest

from qtm.errors import DataError
from qtm.market.lake import Lake
from qtm.portfolio.scenarios.recipe import ScenarioModel, ScenarioRecipe, make_scenarios
from qtm.portfolio.scenarios.scenario_set import Backfill, Exclusion
from qtm.portfolio.scenarios.storage import load_scenarios, store_scenarios
from tests.portfolio.problems import heavy_tailed_returns
from tests.portfolio.scenarios.sets import DAY_MS, scenario_set


@pytest.fixture
def lake(tmp_path):
    return Lake(str(tmp_path / "lake"))


@pytest.mark.parametrize("model", list(ScenarioModel))
def test_every_model_comes_back_as_it_was_stored(lake, model):
    history = replace(
        scenario_set(heavy_tailed_returns(3, 300, 1)),
        excluded=(Exclusion("DEAD", "no price"),),
        backfilled=(Backfill("S1", 20, 5 * DAY_MS, 1.1),),
    )
    made = make_scenarios(history, ScenarioRecipe(model, draws=400, seed=3))
    version = store_scenarios(lake, made, 299 * DAY_MS)
    stored = load_scenarios(lake)
    assert stored.as_of_ms == 299 * DAY_MS and stored.version == version
    back = stored.scenarios
    assert (back.returns == made.returns).all() and (back.open_time_ms == made.open_time_ms).all()
    if made.probabilities is None:
        assert back.probabilities is None
    else:
        assert (back.probabilities == made.probabilities).all()
    for field in ("symbols", "model", "excluded", "backfilled", "provenance"):
        assert getattr(back, field) == getattr(made, field), field


def test_a_day_stored_again_is_replaced_and_its_old_version_stays(lake):
    one, two = (scenario_set(heavy_tailed_returns(2, 100, seed)) for seed in (2, 3))
    day = 99 * DAY_MS
    first = store_scenarios(lake, one, day)
    store_scenarios(lake, one, day - DAY_MS)
    store_scenarios(lake, two, day)
    assert (load_scenarios(lake, day).scenarios.returns == two.returns).all()
    assert (load_scenarios(lake, day - DAY_MS).scenarios.returns == one.returns).all()
    assert (load_scenarios(lake, day, version=first).scenarios.returns == one.returns).all()
    assert load_scenarios(lake).as_of_ms == day


def test_a_day_without_scenarios_is_an_error_that_names_it(lake):
    with pytest.raises(DataError, match="no scenarios"):
        load_scenarios(lake)
    store_scenarios(lake, scenario_set(heavy_tailed_returns(2, 100, 4)), 0)
    with pytest.raises(DataError, match="1970-01-06"):
        load_scenarios(lake, 5 * DAY_MS)


def test_a_write_that_fails_leaves_the_day_as_it_was(lake, monkeypatch):
    made = scenario_set(heavy_tailed_returns(2, 100, 5))
    store_scenarios(lake, made, 0)
    monkeypatch.setattr("deltalake.write_deltalake", _full_disk)
    with pytest.raises(Exception, match="disk"):
        store_scenarios(lake, scenario_set(heavy_tailed_returns(2, 100, 6)), 0)
    assert (load_scenarios(lake, 0).scenarios.returns == made.returns).all()


def _full_disk(*_, **__):
    raise OSError("no space left on the disk")


def test_a_weighted_set_measures_the_same_after_the_round_trip(lake):
    made = make_scenarios(
        scenario_set(heavy_tailed_returns(3, 200, 7)), ScenarioRecipe(ScenarioModel.WEIGHTED, half_life=40)
    )
    store_scenarios(lake, made, 0)
    weights = np.array([0.5, 0.3, 0.2])
    assert load_scenarios(lake, 0).scenarios.cvar(weights, 0.95) == made.cvar(weights, 0.95)

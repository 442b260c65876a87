"""Mandates with scenario models, rivals, further caps and perpetuals: what is asked is what is solved."""

import json
from dataclasses import asdict, replace

import numpy as np
import polars as pl
import pytest

from qtm.errors import ConfigError, DataError
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake
from qtm.market.schemas import BAR_SCHEMA, FUNDING_SCHEMA
from qtm.portfolio.covariance import CovarianceModel
from qtm.portfolio.daily import allocate_daily, daily_mean, daily_scenarios
from qtm.portfolio.history import daily_history
from qtm.portfolio.mandate import Mandate, MeanModel
from qtm.portfolio.means import after_funding, funding_carry
from qtm.portfolio.problem import GroundNorm, Objective, TailCap
from qtm.portfolio.scenarios.recipe import ScenarioModel, ScenarioRecipe
from qtm.portfolio.scenarios.storage import load_scenarios, store_scenarios
from qtm.portfolio.views import View
from qtm.portfolio.walk_forward import walk_forward
from tests.portfolio.lake import DAY_MS, FIRST_MS, SYMBOLS, daily_lake

MANDATE = Mandate(window=365, cvar_cap=0.03, max_weight=0.4)


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return daily_lake(tmp_path_factory.mktemp("lake"))


@pytest.fixture(scope="module")
def history(lake):
    return daily_history(lake, SYMBOLS)


@pytest.mark.parametrize("model", list(ScenarioModel))
def test_the_cap_holds_under_the_chosen_model(history, model):
    mandate = replace(MANDATE, scenarios=ScenarioRecipe(model, draws=1000, stressed_rows=30))
    answer = allocate_daily(history, mandate)
    assert answer.scenarios.cvar(answer.allocation.weights, 0.95) <= 0.03 + 1e-7
    assert answer.scenarios.provenance.lake == history.lake
    assert answer.scenarios.provenance.lake_version == history.version
    assert "worst 30 days" in answer.scenarios.model


def test_the_mean_comes_from_days_and_not_from_draws(history):
    drawn = replace(MANDATE, scenarios=ScenarioRecipe(ScenarioModel.T_COPULA, draws=2000))
    assert (daily_mean(history, drawn) == daily_mean(history, MANDATE)).all()


def test_further_caps_rivals_and_radius_bind_too(history):
    plain = allocate_daily(history, MANDATE).allocation
    strict = replace(
        MANDATE,
        further_caps=(TailCap(0.99, 0.04),),
        rivals=(ScenarioRecipe(ScenarioModel.FILTERED),),
        radius=0.0003,
    )
    answer = allocate_daily(history, strict).allocation
    assert [cap.alpha for cap in answer.problem.tail_caps] == [0.95, 0.99]
    assert answer.problem.tail_risk(answer.weights, 0.99) <= 0.04 + 1e-7
    assert answer.problem.tail_risk(answer.weights, 0.95) <= 0.03 + 1e-7
    assert answer.expected_return < plain.expected_return


def test_stored_scenarios_give_the_same_book(lake, history):
    mandate = replace(MANDATE, scenarios=ScenarioRecipe(ScenarioModel.BOOTSTRAP, draws=1500, seed=4))
    store_scenarios(lake, daily_scenarios(history, mandate), history.as_of_ms)
    stored = load_scenarios(lake, history.as_of_ms).scenarios
    made, read = allocate_daily(history, mandate), allocate_daily(history, mandate, scenarios=stored)
    assert (made.allocation.weights == read.allocation.weights).all()


def test_a_mandate_survives_its_record():
    mandate = Mandate(
        objective=Objective.MAX_UTILITY,
        mean=MeanModel.ZERO,
        scenarios=ScenarioRecipe(ScenarioModel.WEIGHTED, half_life=77.0),
        further_caps=(TailCap(0.99, 0.08),),
        rivals=(ScenarioRecipe(ScenarioModel.GARCH), ScenarioRecipe(stressed_rows=20)),
        radius=0.001,
        ground=GroundNorm.LARGEST,
        turnover_cap=0.3,
        views=(View("S0", 0.001, "S1", 0.7),),
        covariance=CovarianceModel.OAS,
    )
    assert Mandate.from_record(json.loads(json.dumps(asdict(mandate)))) == mandate
    with pytest.raises(DataError, match="mandate"):
        Mandate.from_record({"alpha": 0.95})


@pytest.mark.parametrize("model", list(MeanModel))
def test_every_mean_has_a_book_and_views_move_it(history, model):
    plain = daily_mean(history, replace(MANDATE, mean=model))
    scenarios = daily_scenarios(history, MANDATE)
    first, second = scenarios.symbols[:2]
    view = View(first, 0.02, second, confidence=1.0)
    moved = daily_mean(history, replace(MANDATE, mean=model, views=(view,)))
    assert np.isfinite(plain).all() and plain.shape == moved.shape == (len(scenarios.symbols),)
    assert moved[0] - moved[1] == pytest.approx(0.02)
    answer = allocate_daily(history, replace(MANDATE, mean=model, views=(view,)))
    assert answer.scenarios.cvar(answer.allocation.weights, 0.95) <= 0.03 + 1e-7


@pytest.mark.parametrize(
    "wrong", [{"radius": -1.0}, {"further_caps": (TailCap(0.3, 0.1),)}, {"window": 3}, {"cvar_cap": 0.0}]
)
def test_a_mandate_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ConfigError):
        replace(MANDATE, **wrong)
    with pytest.raises(ConfigError):
        ScenarioRecipe(draws=1)


def test_a_robust_book_walks_through_history_below_the_plain_one(history):
    plain = walk_forward(history, MANDATE).summary()
    robust = walk_forward(history, replace(MANDATE, radius=0.0008)).summary()
    assert robust["promised_cvar"] < plain["promised_cvar"]
    assert robust["cvar"] < plain["cvar"]


def perpetuals(folder, rate: float) -> Lake:
    """Two futures with the same prices; the second pays `rate` three times a day from the long side."""
    days = 400
    closes = 100 * np.cumprod(1 + 0.02 * np.random.default_rng(5).standard_normal(days))
    times = FIRST_MS + DAY_MS * np.arange(days)
    frames = []
    for symbol in ("AAAUSDT", "BBBUSDT"):
        columns = dict.fromkeys(("open", "high", "low", "close"), closes)
        rest = {name: np.ones(days) for name in ("volume", "quote_volume", "taker_base", "taker_quote")}
        frames.append(
            pl.DataFrame(
                {"symbol": [symbol] * days, "open_time_ms": times, "trades": [1] * days, **columns, **rest}
            ).select(pl.col(name).cast(kind) for name, kind in BAR_SCHEMA.items())
        )
    funding_times = (times[:, None] + np.array([0, 8, 16]) * 3_600_000).ravel()
    paid = pl.DataFrame(
        {"symbol": "BBBUSDT", "funding_time_ms": funding_times, "rate": rate, "interval_hours": 8}
    ).select(pl.col(name).cast(kind) for name, kind in FUNDING_SCHEMA.items())
    lake = Lake(str(folder))
    end_ms = FIRST_MS + days * DAY_MS
    lake.write_bars(Market.UM, Interval.D1, pl.concat(frames), start_ms=FIRST_MS, end_ms=end_ms)
    lake.write_funding(Market.UM, paid, start_ms=FIRST_MS, end_ms=end_ms)
    return lake


def test_funding_is_carry_in_the_mean_and_a_cost_in_every_scenario(tmp_path):
    history = daily_history(perpetuals(tmp_path, 0.0004), ("AAAUSDT", "BBBUSDT"), market=Market.UM)
    mandate = Mandate(window=365, cvar_cap=0.5, max_weight=0.6, mean=MeanModel.ZERO)
    assert daily_mean(history, mandate) == pytest.approx([0.0, -0.0012])
    free, paying = daily_scenarios(history, mandate).returns.T
    assert free - paying == pytest.approx(np.full(free.shape, 0.0012), abs=1e-12)
    book = walk_forward(history, replace(mandate, window=200))
    assert book.rebalances[0].weights.get("BBBUSDT", 0.0) <= book.rebalances[0].weights.get("AAAUSDT", 0.0)


def test_recent_funding_counts_more_and_a_rate_paid_to_longs_is_a_gain():
    funding = np.vstack((np.full((300, 1), 0.001), np.full((60, 1), -0.002)))
    carry = float(funding_carry(funding, half_life=30.0)[0])
    assert 0.0012 < carry < 0.002
    assert funding_carry(np.full((10, 2), 0.0005)) == pytest.approx([-0.0005, -0.0005])


def test_funding_of_days_without_a_price_is_paid_with_the_next():
    closes = np.array([[100.0], [np.nan], [110.0]])
    adjusted = after_funding(closes, np.array([[0.5], [0.01], [0.02]]))
    assert adjusted[2, 0] / adjusted[0, 0] == pytest.approx(1.10 - 0.03)
    assert np.isnan(adjusted[1, 0])

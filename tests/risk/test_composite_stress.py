"""Composite scenarios part by part, user scenarios from TOML, and the smallest move that breaches a limit."""

import math
from pathlib import Path

import numpy as np
import pytest

from qtm.errors import ConfigError, RiskError
from qtm.risk.composite_stress import (
    COMPOSITES,
    Holding,
    Scenario,
    StressBook,
    apply_all,
    apply_scenario,
    read_scenarios,
)
from qtm.risk.reverse_stress import deviations_to_lose, smallest_breaches

HEDGED = StressBook(
    (
        Holding("BTCUSDT", 600.0, exit_cost=0.001),
        Holding("SOLUSDT", 400.0, exit_cost=0.002),
        Holding("BTCUSDT", -500.0, perpetual=True, exit_cost=0.001),
    ),
    cash=200.0,
    hourly_deviation=5.0,
)


def test_prices_move_by_name_and_otherwise():
    loss = apply_scenario(Scenario(name="x", moves={"BTCUSDT": -0.2}, otherwise=-0.5), HEDGED)
    assert loss.price == pytest.approx(0.2 * 100 + 0.5 * 400)
    assert loss.total == loss.price


def test_without_the_hedge_the_long_leg_loses_alone():
    loss = apply_scenario(Scenario(name="x", otherwise=-0.2, hedges_removed=True), HEDGED)
    assert loss.price == pytest.approx(0.2 * 1000)
    assert loss.removed == ("BTCUSDT",)


def test_a_losing_perpetual_stays():
    loss = apply_scenario(Scenario(name="x", otherwise=0.2, hedges_removed=True), HEDGED)
    assert loss.removed == ()
    assert loss.price == pytest.approx(-0.2 * 500)


def test_every_part_by_hand():
    scenario = Scenario(
        name="all", funding_8h=0.0075, basis=0.1, depth_left=0.1, stable_fall=0.1, unreachable_hours=4.0
    )
    loss = apply_scenario(scenario, HEDGED)
    assert loss.funding == pytest.approx(500 * 0.0075 * 3)
    assert loss.basis == pytest.approx(50.0)
    assert loss.exit_cost == pytest.approx((0.6 + 0.8 + 0.5) * 10)
    assert loss.stablecoin == pytest.approx(20.0)
    assert loss.outage == pytest.approx(3 * 5 * 2)
    assert loss.total == pytest.approx(11.25 + 50 + 19 + 20 + 30)


def test_a_failed_venue_takes_cash_and_spot_once():
    loss = apply_scenario(Scenario(name="x", venue_lost=1.0, otherwise=-0.1), HEDGED)
    assert loss.venue == pytest.approx(1200.0)
    assert loss.total == pytest.approx(1200.0)


def test_every_book_meets_every_composite_worst_first():
    losses = apply_all(HEDGED)
    assert {loss.name for loss in losses} == {scenario.name for scenario in COMPOSITES}
    totals = [loss.total for loss in losses]
    assert totals == sorted(totals, reverse=True)


def test_user_scenarios_are_read_from_toml(tmp_path):
    file = tmp_path / "stress.toml"
    file.write_text(
        '[[scenario]]\nname = "mine"\notherwise = -0.5\nmoves = { BTCUSDT = -0.2 }\nhedges_removed = true\n'
    )
    (scenario,) = read_scenarios(file)
    assert scenario == Scenario(name="mine", otherwise=-0.5, moves={"BTCUSDT": -0.2}, hedges_removed=True)


def test_the_documented_example_is_a_scenario_file(tmp_path):
    page = Path(__file__).parents[2] / "docs" / "reference" / "stress-scenarios.md"
    file = tmp_path / "stress.toml"
    file.write_text(page.read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0])
    (scenario,) = read_scenarios(file)
    assert scenario.moves == {"BTCUSDT": -0.2, "ETHUSDT": -0.3}
    assert all(f"| `{key}` |" in page.read_text(encoding="utf-8") for key in Scenario.__struct_fields__)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[scenario]]\nname = "a"\notherwise = -1.5\n', "otherwise"),
        ('[[scenario]]\nname = "a"\nmovse = {}\n', "movse"),
        ("[[scenario]]\notherwise = -0.5\n", "name"),
        ('[[scenario]]\nname = "a"\ndepth_left = 0.0\n', "depth_left"),
        ('[[scenario]]\nname = "a"\n[[scenario]]\nname = "a"\n', "two scenarios"),
        ("not toml", "cannot be read"),
    ],
)
def test_a_broken_scenario_file_is_refused_and_says_why(tmp_path, text, message):
    file = tmp_path / "stress.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_scenarios(file)


def test_a_missing_scenario_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_scenarios(tmp_path / "none.toml")


def test_reverse_stress_finds_the_nearest_limit_and_loses_exactly_its_headroom():
    nearest, farther = smallest_breaches(HEDGED, {"drawdown": 250.0, "day loss": 100.0})
    assert (nearest.limit, nearest.move) == ("day loss", pytest.approx(-0.2))
    assert farther.move == pytest.approx(-0.5)
    assert nearest.move_without_hedges == pytest.approx(-0.1)
    loss = apply_scenario(Scenario(name="x", otherwise=nearest.move), HEDGED)
    assert loss.total == pytest.approx(100.0)


def test_betas_weigh_the_market_move():
    (breach,) = smallest_breaches(HEDGED, {"day loss": 100.0}, {"BTCUSDT": 1.0, "SOLUSDT": 2.0})
    assert breach.move == pytest.approx(-100 / (100 + 800))


def test_a_market_neutral_book_breaks_only_without_its_hedge():
    neutral = StressBook((Holding("A", 100.0), Holding("A", -100.0, perpetual=True)))
    (breach,) = smallest_breaches(neutral, {"day loss": 20.0})
    assert breach.move is None
    assert breach.move_without_hedges == pytest.approx(-0.2)


def test_a_short_book_breaks_upwards():
    (breach,) = smallest_breaches(StressBook((Holding("A", -100.0, perpetual=True),)), {"day loss": 20.0})
    assert breach.move == pytest.approx(0.2)
    assert breach.move_without_hedges == pytest.approx(0.2)


def test_a_breached_limit_needs_no_move_and_a_small_book_cannot_breach():
    breached, safe = smallest_breaches(HEDGED, {"breached": -1.0, "far": 1e6})
    assert breached.move == 0.0
    assert safe.move is None


def test_unknown_values_are_refused():
    with pytest.raises(RiskError, match="unknown value"):
        StressBook((Holding("A", math.nan),))
    with pytest.raises(RiskError, match="no beta"):
        smallest_breaches(HEDGED, {"x": 1.0}, {"BTCUSDT": 1.0})
    with pytest.raises(RiskError, match="headroom"):
        smallest_breaches(HEDGED, {"x": math.nan})


def test_the_least_unlikely_way_to_a_loss_loses_exactly_that():
    weights, covariance = np.array([0.5, 0.3]), np.diag([0.0009, 0.0016])
    deviations = deviations_to_lose(0.1, weights, covariance)
    direction = -covariance @ weights / np.sqrt(weights @ covariance @ weights) * deviations
    assert -weights @ direction == pytest.approx(0.1)
    assert math.isnan(deviations_to_lose(0.1, np.zeros(2), covariance))


def test_a_gain_is_shown_as_a_gain():
    (loss,) = apply_all(
        StressBook((Holding("BTCUSDT", 0.5),), cash=0.5), [Scenario(name="up", otherwise=0.2)]
    )
    assert loss.total == pytest.approx(-0.1)

"""How much capital a strategy bears follows from its own runs under impact and participation."""

from dataclasses import replace
from decimal import Decimal

import pytest

from qtm.backtest.account.panel import Listed, Panel
from qtm.backtest.account.terms import Conditions
from qtm.backtest.capacity import KEPT, capacity_of
from qtm.backtest.conditions.account import AccountConditions
from qtm.errors import ConfigError
from qtm.strategies.registry import load_strategy
from tests.backtest.overfitting.market import bars_from, conditions, instrument, noise_steps, trending_steps

TREND = load_strategy("trend")
PARAMS = TREND.params({"fast": 4, "slow": 16})


def market(volume=1_000.0):
    bars = bars_from(trending_steps(300, 3))
    return conditions(replace(bars, volume=bars.volume * volume), cash=1_000.0)


@pytest.fixture(scope="module")
def found():
    return capacity_of(TREND, PARAMS, market(), most=1e8)


def test_every_step_is_the_run_with_that_capital_and_those_costs(found):
    step = found.steps[3]
    costs = market().costs._replace(impact=1.0, participation=0.1)
    alone = replace(market(), cash=step.cash, costs=costs).run(TREND, PARAMS)
    assert (step.sharpe, step.annual_return) == (alone.statistics.sharpe, alone.statistics.annual_return)
    years = (299 * 24 + 20) / 24 / 365
    assert step.earned_a_year == pytest.approx((alone.equity[-1] - step.cash) / years)


def test_without_its_own_impact_capital_changes_nothing_but_rounding(found):
    free = market().run(TREND, PARAMS)
    assert found.free.sharpe == free.statistics.sharpe and found.free.filled == 1.0
    assert found.steps[0].sharpe < found.free.sharpe


def test_it_bears_what_it_bears_and_no_twentieth_more(found):
    assert found.is_bounded and found.bears in found.steps
    more = capacity_of(TREND, PARAMS, replace(market(), cash=1.05 * found.bears.cash), most=1e8).steps[0]
    kept = [step.sharpe >= KEPT * found.free.sharpe and step.filled >= KEPT for step in (found.bears, more)]
    assert kept == [True, False]
    assert f"It bears {found.bears.cash:,.0f}; with more, " in found.in_words()


def test_four_times_the_volume_bears_four_times_the_capital(found):
    deeper = capacity_of(TREND, PARAMS, market(4_000.0), most=1e8)
    assert deeper.bears.cash == pytest.approx(4 * found.bears.cash, rel=0.04)


def test_what_is_too_much_is_the_impact_or_too_little_to_be_had(found):
    assert found.in_words().endswith("its orders get less than 50% of what they ask for.")
    wide = replace(market(), band=0.5)  # so that what costs too much is still bought
    dearer = capacity_of(TREND, PARAMS, wide, most=1e8, impact=30.0, participation=1.0)
    assert dearer.bears.filled == 1.0
    assert dearer.in_words().endswith("less than 50% of its Sharpe ratio is left.")


def test_an_account_of_one_symbol_bears_the_same(found):
    at = market()
    panel = Panel.of([Listed(instrument("BTCUSDT"), at.bars)])
    account = AccountConditions(panel, Conditions(at.cash, costs=at.costs))
    assert capacity_of(TREND, PARAMS, account, most=1e8).bears == found.bears


def test_what_is_filled_is_weighed_by_value_and_not_by_lots():
    """Of two coins one has a dry market: it weighs the same however small its lots are."""
    at = market()
    dry = replace(at.bars, symbol="ETHUSDT", volume=at.bars.volume * 1e-3)

    def filled(lot):
        coin = replace(instrument("ETHUSDT"), step_size=Decimal(lot))
        panel = Panel.of([Listed(instrument("BTCUSDT"), at.bars), Listed(coin, dry)])
        return capacity_of(TREND, PARAMS, AccountConditions(panel, Conditions(1e5)), most=2e5).steps[0].filled

    assert filled("0.00001") == pytest.approx(filled("0.00000001"), rel=0.02)
    assert filled("0.00001") < 0.9


def test_without_the_money_for_one_order_it_says_so():
    found = capacity_of(TREND, PARAMS, replace(market(), cash=0.01), most=1.0)
    assert found.bears is None and found.in_words() == "It makes no order with 0: begin with more."


def test_what_earns_nothing_has_no_capacity():
    noise = conditions(bars_from(noise_steps(300, 8, drift=-0.004)), cash=1_000.0)
    found = capacity_of(TREND, PARAMS, noise, most=1e6)
    assert found.free.sharpe < 0.0 and found.bears is None and len(found.steps) == 1
    assert "there is nothing to enlarge" in found.in_words()


def test_a_mean_above_zero_that_shrinks_what_it_began_with_is_nothing_earned():
    wild = conditions(bars_from(noise_steps(300, 21, scale=0.03)), cash=1_000.0)
    found = capacity_of(TREND, PARAMS, wild, most=1e6)
    assert found.free.sharpe > 0.4 and found.free.annual_return < 0.0
    assert found.bears is None and "there is nothing to enlarge" in found.in_words()


def test_all_that_was_tried_is_said_to_be_no_bound():
    found = capacity_of(TREND, PARAMS, market(), most=5_000.0)
    assert not found.is_bounded and found.in_words() == "It bears 5,000, the most that was tried."


@pytest.mark.parametrize(
    ("strategy", "most", "said"),
    [("trend", 1_000.0, "above that of the run"), ("grid", 1e6, "sizes its own orders")],
)
def test_what_cannot_be_asked_is_refused(strategy, most, said):
    chosen = load_strategy(strategy)
    with pytest.raises(ConfigError, match=said):
        capacity_of(chosen, chosen.params({}), market(), most=most)

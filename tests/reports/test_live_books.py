"""The running account by desk, strategy and asset: parts sum to the CVaR, and the day's P&L is explained."""

import numpy as np
import pytest

from qtm.execution.day_record import DayRecord, Execution
from qtm.portfolio.history import DailyHistory
from qtm.portfolio.scenarios.scenario_set import ScenarioSet
from qtm.reports.live_books import live_books
from qtm.risk.measures import historical_cvar, historical_var

DAY = 86_400_000
TODAY = 100 * DAY
RETURNS = np.random.default_rng(4).standard_t(4, size=(400, 2)) * [0.02, 0.03]
SCENARIOS = ScenarioSet(("BTCUSDT", "ETHUSDT"), np.arange(400, dtype=np.int64) * DAY, RETURNS)
CLOSES = np.array([[100.0, 50.0], [110.0, 45.0]])
HISTORY = DailyHistory(
    SCENARIOS.symbols, np.array([TODAY - DAY, TODAY]), CLOSES, CLOSES, CLOSES, CLOSES, "lake", 1
)


def executed(strategy, symbol, qty, price, day, fee=0.0):
    return Execution("paper", strategy, symbol, qty, price, fee, "", day + 1000)


EXECUTIONS = (
    executed("trend", "BTCUSDT", 10.0, 99.0, TODAY - DAY),
    executed("trend", "BTCUSDT", -4.0, 105.0, TODAY, fee=0.5),
    executed("dip", "ETHUSDT", 20.0, 46.0, TODAY, fee=0.9),
    executed("dip", "BTCUSDT", 1.0, 104.0, TODAY),
)


def books(executions=EXECUTIONS, desks=None):
    return live_books(DayRecord(executions), HISTORY, SCENARIOS, 0.95, desks or {"trend": "D1"})


def test_parts_sum_to_the_cvar_of_the_account_whichever_way_it_is_cut():
    found = books()
    account = historical_cvar(RETURNS @ np.array([7 * 110.0, 20 * 45.0]), 0.95)
    assert found.cvar == pytest.approx(account)
    for lines in (found.desks, found.strategies, found.assets):
        assert sum(line.component for line in lines) == pytest.approx(account)
    assert [line.name for line in found.desks] != [] and {line.name for line in found.desks} == {
        "D1",
        "no desk",
    }
    (trend,) = (line for line in found.strategies if line.name == "trend")
    assert trend.alone == pytest.approx(historical_cvar(RETURNS[:, 0] * 6 * 110.0, 0.95))
    assert trend.var == pytest.approx(historical_var(RETURNS[:, 0] * 6 * 110.0, 0.95))


def test_two_strategies_against_each_other_carry_no_risk_together():
    found = books(
        (
            executed("long", "BTCUSDT", 3.0, 100.0, TODAY),
            executed("short", "BTCUSDT", -3.0, 100.0, TODAY),
        )
    )
    assert found.cvar == pytest.approx(0.0, abs=1e-12)
    assert sum(line.component for line in found.strategies) == pytest.approx(0.0, abs=1e-9)
    assert min(line.alone for line in found.strategies) > 0


def test_the_profit_of_the_day_is_what_was_held_plus_what_was_traded_less_fees():
    trend, dip = sorted(books().strategies, key=lambda line: line.name, reverse=True)
    assert (trend.held, trend.traded, trend.fees) == (pytest.approx(100.0), pytest.approx(-20.0), 0.5)
    assert (dip.held, dip.traded, dip.fees) == (0.0, pytest.approx(20 * -1.0 + 6.0), 0.9)
    cash = 4 * 105.0 - 0.5 - 20 * 46.0 - 0.9 - 104.0
    worth = 7 * 110.0 + 20 * 45.0 - 10 * 100.0
    assert trend.pnl + dip.pnl == pytest.approx(worth + cash)


def test_a_symbol_nobody_can_measure_is_named_and_an_idle_account_has_no_books():
    found = books((*EXECUTIONS, executed("dip", "NEWUSDT", 1.0, 5.0, TODAY)))
    assert found.unmeasured == ("NEWUSDT",)
    assert books(()) is None

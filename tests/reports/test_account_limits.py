"""Running accounts against their limits: equity by day from the record, every bound beside its use."""

from decimal import Decimal

import numpy as np
import pytest

from qtm.execution.day_record import DayRecord, Execution
from qtm.portfolio.history import DailyHistory
from qtm.portfolio.scenarios.scenario_set import ScenarioSet
from qtm.reports.account_limits import standings
from qtm.risk.limits import load_limits
from qtm.risk.measures import historical_cvar
from qtm.settings import RiskSettings

DAY = 86_400_000
DAYS = np.arange(97, 101, dtype=np.int64) * DAY
TODAY = int(DAYS[-1])
RETURNS = np.random.default_rng(4).standard_t(4, size=(400, 2)) * [0.02, 0.03]
SCENARIOS = ScenarioSet(("BTCUSDT", "ETHUSDT"), np.arange(400, dtype=np.int64) * DAY, RETURNS)
CLOSES = np.array([[100.0, 50.0], [110.0, np.nan], [120.0, 52.0], [108.0, 45.0]])
HISTORY = DailyHistory(SCENARIOS.symbols, DAYS, CLOSES, CLOSES, CLOSES, CLOSES, "lake", 1)
OPENING = {"paper": {"USDT": 10_000.0, "BTC": 0.0}}
LIMITS = """
[firm]
daily_loss = 0.02
[desk.D1]
traders = ["ines"]
[trader.ines]
strategies = ["trend"]
max_position_value = 4000
[tail]
cvar_budget = 0.03
"""


def executed(day, symbol, qty, price, *, fee=0.0, account="paper", strategy="trend"):
    return Execution(account, strategy, symbol, qty, price, fee, "", day + 1000)


RECORD = DayRecord(
    (
        executed(int(DAYS[1]), "BTCUSDT", 40.0, 105.0, fee=4.0),
        executed(int(DAYS[1]), "ETHUSDT", 20.0, 51.0, fee=1.0),
        executed(TODAY, "ETHUSDT", -20.0, 46.0, fee=1.0),
    ),
    openings=OPENING,
)


@pytest.fixture
def tree(tmp_path):
    file = tmp_path / "limits.toml"
    file.write_text(LIMITS)
    return load_limits(RiskSettings(), path=file)


def test_equity_is_the_opening_cash_and_what_every_execution_made_of_it(tree):
    (one,) = standings(RECORD, HISTORY, SCENARIOS, tree)
    cash = 10_000.0 - 40 * 105.0 - 4.0 - 20 * 51.0 - 1.0
    assert one.day_start == pytest.approx(cash + 40 * 120.0 + 20 * 52.0)
    assert one.equity == pytest.approx(cash + 20 * 46.0 - 1.0 + 40 * 108.0)
    assert one.peak == pytest.approx(one.day_start)
    assert one.day_loss == pytest.approx(1 - one.equity / one.day_start)
    assert one.positions == {("trend", "BTCUSDT"): pytest.approx(40 * 108.0)}


def test_a_coin_without_a_bar_keeps_the_price_before_it(tree):
    through = DailyHistory(
        HISTORY.symbols, DAYS[:2], CLOSES[:2], CLOSES[:2], CLOSES[:2], CLOSES[:2], "lake", 1
    )
    (one,) = standings(DayRecord(RECORD.executions[:2], openings=OPENING), through, SCENARIOS, tree)
    assert one.equity == pytest.approx(10_000.0 - 4200.0 - 4.0 - 1020.0 - 1.0 + 4400.0 + 20 * 50.0)


def test_every_bound_of_the_gate_stands_beside_its_use_and_who_set_it(tree):
    (one,) = standings(RECORD, HISTORY, SCENARIOS, tree)
    uses = {use.name: use for use in one.uses}
    day = uses["paper: loss of the day"]
    assert (day.limit, day.set_by, day.breached) == (0.02, "firm", True)
    assert uses["paper: below its peak"].limit == 0.25
    held = uses["paper: trend in BTCUSDT"]
    assert (held.limit, held.set_by, held.breached) == (4000.0, "trader ines", True)
    tail = uses["paper: CVaR 97.5 % of its positions"]
    assert tail.value == pytest.approx(historical_cvar(RETURNS[:, 0] * 4320.0, 0.975) / one.equity)
    assert tail.limit == 0.03


def test_a_position_that_cannot_be_measured_breaches_rather_than_passes(tree):
    alone = ScenarioSet(("ETHUSDT",), SCENARIOS.open_time_ms, RETURNS[:, 1:])
    (one,) = standings(RECORD, HISTORY, alone, tree)
    tail = next(use for use in one.uses if "CVaR" in use.name)
    assert tail.breached and not np.isfinite(tail.use)


def test_what_is_over_is_not_listed(tree):
    closed = (executed(int(DAYS[1]), "BTCUSDT", 1.0, 105.0), executed(int(DAYS[2]), "BTCUSDT", -1.0, 110.0))
    assert standings(DayRecord(closed, openings=OPENING), HISTORY, SCENARIOS, tree) == ()
    assert standings(DayRecord(RECORD.executions), HISTORY, SCENARIOS, tree) == ()


def test_a_drawdown_limit_is_that_of_the_settings_unless_the_file_is_tighter():
    tree = load_limits(RiskSettings(max_drawdown=Decimal("0.1")))
    (one,) = standings(RECORD, HISTORY, SCENARIOS, tree)
    uses = {use.name: use for use in one.uses}
    assert uses["paper: below its peak"].limit == 0.1
    assert not any("CVaR" in name for name in uses)

"""The gate keeps to the newest scenarios and lights of the lake, and closes when there are none."""

from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from qtm.errors import ConfigError
from qtm.execution.model_watch import LIGHTS, ModelWatch
from qtm.market.instruments import Instrument, Market
from qtm.market.lake import Lake
from qtm.portfolio.scenarios.scenario_set import ScenarioSet
from qtm.portfolio.scenarios.storage import store_scenarios
from qtm.risk.exposure import Exposure
from qtm.risk.gate import Gate
from qtm.risk.limits import load_limits
from qtm.risk.measures import historical_cvar
from qtm.risk.rules import ACTIVE, REDUCING
from qtm.settings import RiskSettings
from qtm.trading.orders import OrderIntent, OrderType, Side, TimeInForce

D = Decimal
DAY = 86_400_000
MONDAY = 1_735_516_800_000  # 2024-12-30
NOON = MONDAY + DAY + DAY // 2
"""Tuesday noon: Monday's close is twelve hours old."""
BTC = Instrument(
    Market.SPOT, "BTCUSDT", "BTC", "USDT", D("0.01"), D("0.00001"), D("0.00001"), D("9000"), D("5")
)
RETURNS = np.random.default_rng(3).standard_t(4, size=(500, 1)) * 0.02


@pytest.fixture
def lake(tmp_path):
    return Lake(str(tmp_path / "lake"))


def keep(lake, day_ms, scale=1.0):
    days = day_ms - DAY * np.arange(RETURNS.shape[0])[::-1]
    store_scenarios(lake, ScenarioSet(("BTCUSDT",), days.astype(np.int64), RETURNS * scale), day_ms)


def judge(lake, day_ms, *lights):
    rows = [(day_ms, "Historical", 0.99, light, "2024-12") for light in lights]
    names = ("open_time_ms", "model", "alpha", "light", "month")
    frame = pl.DataFrame(rows, schema=names, orient="row")
    lake.tables.overwrite(LIGHTS, frame, predicate=f"open_time_ms = {day_ms}", partition_by=["month"])


def watched(lake, tmp_path, now_ms=NOON, budget="0.03"):
    file = tmp_path / "limits.toml"
    file.write_text(f"[tail]\ncvar_budget = {budget}\n")
    tree = load_limits(RiskSettings(), [BTC], path=file)
    watch = ModelWatch(lake, tree, tree.file.tail)
    exposure = Exposure("USDT", {"BTCUSDT": "BTC"}, D("100000"), {})
    gate = Gate(tree, [BTC], exposure, watch.tail_limit(now_ms))
    gate.on_price("BTCUSDT", D("100"), now_ms)
    gate.arm(now_ms, "test")
    return watch, gate


def order(number, qty, now_ms=NOON, side=Side.BUY):
    return OrderIntent(
        f"s-{number}", "s", "BTCUSDT", side, OrderType.LIMIT, D(qty), D("100"), TimeInForce.IOC, now_ms
    )


def test_a_budget_without_scenarios_stops_the_run_before_its_first_order(lake, tmp_path):
    with pytest.raises(ConfigError, match="no scenarios were known"):
        watched(lake, tmp_path)
    keep(lake, MONDAY + 2 * DAY)  # Wednesday's are not known on Tuesday
    with pytest.raises(ConfigError, match="no scenarios were known"):
        watched(lake, tmp_path)


def test_the_budget_is_held_on_the_stored_scenarios_to_the_last_lot(lake, tmp_path):
    keep(lake, MONDAY)
    _, gate = watched(lake, tmp_path)
    unit = historical_cvar(RETURNS[:, 0], 0.975)
    most = D(str(np.floor(0.03 * 100_000 / unit / 100 * 1e5) / 1e5))
    refused = gate.check(order(1, most + D("0.00001")), NOON).decision
    assert refused.breached == ("PT-09",) and "CVaR 97.5 % budget of 0.03" in refused.reason
    assert gate.check(order(2, most), NOON).decision.approved


def test_scenarios_older_than_allowed_refuse_what_adds_risk(lake, tmp_path):
    keep(lake, MONDAY)
    _, gate = watched(lake, tmp_path)
    late = MONDAY + DAY + 36 * 3_600_000
    gate.on_price("BTCUSDT", D("100"), late)
    assert gate.check(order(1, "1", late), late).decision.approved
    gate.on_price("BTCUSDT", D("100"), late + 1)
    assert gate.check(order(2, "1", late), late + 1).decision.breached == ("PT-09",)


def test_a_new_day_brings_new_scenarios_to_a_running_gate(lake, tmp_path):
    keep(lake, MONDAY)
    judge(lake, MONDAY, "green")
    watch, gate = watched(lake, tmp_path)
    gate.exposure.positions["BTCUSDT"] = D("10")
    watch.keep_up(gate, NOON)
    before = gate.check(order(1, "1"), NOON).decision.findings[-1].measured
    keep(lake, MONDAY + DAY, scale=2.0)
    tomorrow = NOON + DAY
    gate.on_terminal("s-1")
    watch.keep_up(gate, tomorrow)
    gate.on_price("BTCUSDT", D("100"), tomorrow)
    after = gate.check(order(2, "1", tomorrow), tomorrow).decision.findings[-1].measured
    assert float(after) == pytest.approx(2 * float(before), rel=1e-4)


def test_yellow_tightens_red_reduces_and_green_does_not_open_again(lake, tmp_path):
    keep(lake, MONDAY)
    judge(lake, MONDAY, "green", "yellow")
    watch, gate = watched(lake, tmp_path)
    watch.keep_up(gate, NOON)
    assert gate.state == ACTIVE and gate.tree.file.firm.max_order_value == D("150000") * D("0.85")
    judge(lake, MONDAY, "red", "green")
    change = watch.keep_up(gate, NOON + 60_000)
    assert change is not None and change.after == REDUCING and "risk models are red" in change.reason
    refused = gate.check(order(1, "1"), NOON).decision
    assert "PT-20" in refused.breached
    judge(lake, MONDAY, "green")
    watch.keep_up(gate, NOON + 120_000)
    assert gate.state == REDUCING and gate.tree.file.firm.max_order_value == D("150000")


def test_models_nobody_judged_or_judged_too_long_ago_count_as_red(lake, tmp_path):
    keep(lake, MONDAY)
    watch, gate = watched(lake, tmp_path)
    assert watch.lights(NOON) == ()
    watch.keep_up(gate, NOON)
    assert gate.state == REDUCING
    judge(lake, MONDAY - 3 * DAY, "green")
    assert watch.lights(NOON) == ()


def test_the_lake_is_asked_once_a_minute_at_most(lake, tmp_path):
    keep(lake, MONDAY)
    judge(lake, MONDAY, "green")
    watch, gate = watched(lake, tmp_path)
    watch.keep_up(gate, NOON)
    judge(lake, MONDAY, "red")
    watch.keep_up(gate, NOON + 59_999)
    assert gate.state == ACTIVE

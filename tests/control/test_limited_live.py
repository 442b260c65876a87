"""Which caps a live run trades under: the tightest of its grants and the settings, or it does not start."""

import pytest
from pydantic import ValidationError

from qtm.control.limited_live import limited_live, promoted_run
from qtm.control.promotion import Standing
from qtm.control.requirements import Rung
from qtm.errors import RiskError
from qtm.execution.door import PromotedRun
from qtm.risk.limited import DAY_MS
from qtm.settings import LimitedSettings

SINCE_MS = 1_700_000_000_000
GRANTED = LimitedSettings(max_instruments=2, max_order_value=50, max_orders_per_day=5, max_days=30)
TODAY = LimitedSettings(max_instruments=3, max_order_value=80, max_orders_per_day=4, max_days=30)


def limited(since_ms=SINCE_MS, days=30, caps=GRANTED):
    return Standing(Rung.LIVE_LIMITED, since_ms, since_ms + days * DAY_MS, caps=caps)


LIVE = Standing(Rung.LIVE, SINCE_MS, SINCE_MS + 90 * DAY_MS)


def test_the_tighter_of_grant_and_settings_holds_cap_by_cap():
    found = limited_live("trend", {"BTCUSDT": limited()}, TODAY)
    assert (found.caps.max_order_value, found.caps.max_orders_per_day, found.caps.max_instruments) == (
        50,
        4,
        2,
    )
    assert (found.strategy, found.since_ms, found.until_ms) == ("trend", SINCE_MS, SINCE_MS + 30 * DAY_MS)


def test_at_live_there_is_no_cap_and_one_symbol_below_caps_the_whole_run():
    assert limited_live("trend", {"BTCUSDT": LIVE}, TODAY) is None
    found = limited_live("trend", {"BTCUSDT": LIVE, "ETHUSDT": limited()}, TODAY)
    assert found is not None and found.caps.max_order_value == 50


def test_the_days_end_with_the_first_grant_or_sooner_where_the_settings_say_so():
    standings = {"BTCUSDT": limited(), "ETHUSDT": limited(SINCE_MS - 10 * DAY_MS)}
    assert limited_live("trend", standings, TODAY).until_ms == SINCE_MS + 20 * DAY_MS
    shorter = TODAY.model_copy(update={"max_days": 7})
    assert limited_live("trend", {"BTCUSDT": limited()}, shorter).until_ms == SINCE_MS + 7 * DAY_MS


def test_a_run_may_trade_until_the_first_of_its_promotions_ends():
    standings = {"BTCUSDT": LIVE, "ETHUSDT": limited()}
    assert promoted_run("trend", standings) == PromotedRun("trend", SINCE_MS + 30 * DAY_MS)
    assert promoted_run("trend", {}) is None


def test_more_symbols_than_the_cap_allows_do_not_start():
    three = dict.fromkeys(("BTCUSDT", "ETHUSDT", "BNBUSDT"), limited())
    with pytest.raises(RiskError, match=r"allows 2 instruments \(TD-07\), not 3"):
        limited_live("trend", three, TODAY)


def test_a_grant_that_names_no_caps_does_not_start():
    with pytest.raises(RiskError, match="names no caps"):
        limited_live("trend", {"BTCUSDT": limited(caps=None)}, TODAY)


@pytest.mark.parametrize("name", list(LimitedSettings.model_fields))
@pytest.mark.parametrize("value", [0, -1, "nan", "Infinity"])
def test_a_cap_is_a_positive_number(name, value):
    with pytest.raises(ValidationError, match=name):
        LimitedSettings(**{name: value})

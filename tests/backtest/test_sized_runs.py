"""Sizing rules inside the engines: sizes by hand, no look ahead, split runs, limits, one asset and many."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest

from qtm.backtest.account.engine import run_account
from qtm.backtest.account.panel import Listed, Panel
from qtm.backtest.account.seats import Seat
from qtm.backtest.account.terms import Conditions
from qtm.backtest.conditions.bars import BarConditions
from qtm.backtest.engine import run_backtest
from qtm.backtest.look_ahead import proof_market
from qtm.backtest.registry import trial_of, trials_of_sweep
from qtm.backtest.sinks import ORDER_ROW
from qtm.backtest.sweep import run_sweep, sweep_table
from qtm.market.instruments import Market
from qtm.risk.measures import historical_cvar
from qtm.risk.rules import GateLimits
from qtm.risk.sizing_rules import (
    Cppi,
    CvarBudget,
    FixedFractional,
    FractionalKelly,
    GrossmanZhou,
    RangeRisk,
    VolatilityTarget,
    sizer_of,
)
from qtm.risk.volatility import ewma_volatility
from qtm.strategies.registry import load_strategy
from qtm.trading.book import Sizing
from qtm.trading.costs import FEE_IN_QUOTE, SPOT_COSTS, CostModel
from qtm.trading.margin import MarginMode
from tests.backtest.account.markets import coin
from tests.backtest.scripted import NO_CHANGE, guarded, instrument, ranges, scripted

CASH = 10_000.0
FREE = CostModel(0.0, 0.0, 0.0, FEE_IN_QUOTE)
MARKET = proof_market(500, 3)
TREND = {"fast": 3, "slow": 8}
RULES = [
    RangeRisk(0.004, 2.0, window=60),
    VolatilityTarget(0.002, window=60),
    CvarBudget(0.003, window=60),
    FractionalKelly(0.008, window=60),
    Cppi(floor=9_000.0, multiplier=3.0),
    GrossmanZhou(kept=0.9, mean=0.002, deviation=0.03),
]
BY_NAME = pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)


def run(rule, bars=MARKET, params=TREND, **more):  # type: ignore[no-untyped-def]
    return run_backtest(
        load_strategy("trend"), params, bars, coin("PROOF"),
        **{"cash": CASH, "costs": SPOT_COSTS, "sizing": rule, **more},
    )  # fmt: skip


def weight_by_hand(rule, i: int) -> float:  # type: ignore[no-untyped-def]
    """The textbook weight at the close of bar `i`, for a book that never traded."""
    seen = slice(max(0, i - 59), i + 1)
    high, low, close = MARKET.high[seen], MARKET.low[seen], MARKET.close[seen]
    returns = close[1:] / close[:-1] - 1.0
    match rule:
        case RangeRisk():
            spans = np.maximum(high[1:], close[:-1]) - np.minimum(low[1:], close[:-1])
            found = rule.risk * close[-1] / (rule.multiple * spans[-14:].mean())
        case VolatilityTarget():
            found = rule.target / float(ewma_volatility(returns[:, None], 0.94)[1][0])
        case CvarBudget():
            found = rule.budget / historical_cvar(returns, 0.975)
        case FractionalKelly():
            mean, variance = returns.mean(), returns.var(ddof=1)
            found = rule.share * abs(mean) / variance * mean**2 / (mean**2 + variance / returns.size)
        case Cppi():
            found = 3.0 * (CASH - 9_000.0) / CASH
        case _:
            found = 0.002 / 0.03**2 / (0.1 * 1.0 + 0.9) * (CASH - 0.9 * CASH) / CASH
    return float(min(found, rule.cap))


@BY_NAME
def test_the_first_order_has_the_size_of_the_rule_by_hand(rule) -> None:  # type: ignore[no-untyped-def]
    first = run(rule).order_rows[0]
    i = int(first["bar"])
    wanted = weight_by_hand(rule, i) * CASH / MARKET.close[i]
    affordable = CASH / (MARKET.close[i] * 1.01)
    assert first["lots"] == pytest.approx(math.floor(min(wanted, affordable) / 0.001), abs=1)
    assert i >= 30 or isinstance(rule, Cppi | GrossmanZhou)  # before that nothing is measured


def test_a_stop_of_the_strategy_is_what_fixed_fractional_sizes_by() -> None:
    rows = [(100, 100, 100, 100, 1), (100, 101, 99, 100, NO_CHANGE), (100, 100, 94, 95, NO_CHANGE)]
    rows += [(95, 95, 95, 95, NO_CHANGE)] * 2
    result = run_backtest(
        guarded, {"stop": 4.0}, ranges(rows), instrument(), cash=1_000.0, costs=FREE,
        sizing=FixedFractional(0.02),
    )  # fmt: skip
    # 2 % of 1000 over a distance of 4 is 5 units; the stop at 96 loses 20, and the position stays closed.
    assert result.orders.select("side", "lots", "cause").rows() == [
        ("BUY", 5_000, "target"),
        ("SELL", 5_000, "stop"),
    ]
    assert result.equity[-1] == 980.0


def test_a_stop_closes_a_resized_position_for_good() -> None:
    rows = [(100, 100, 100, 100, 1), (100, 101, 99, 100, NO_CHANGE), (100, 100, 94, 95, NO_CHANGE)]
    rows += [(95, 99, 95, 99, NO_CHANGE)] * 3
    rule = Cppi(floor=500.0, multiplier=1.0, drift=0.01)
    result = run_backtest(
        guarded, {"stop": 4.0}, ranges(rows), instrument(), cash=1_000.0, costs=FREE, sizing=rule
    )
    assert result.orders["cause"].to_list() == ["target", "stop"]


def test_a_cushion_is_followed_down_and_its_floor_holds() -> None:
    closes = [100.0, *(100.0 * 0.97**n for n in range(60))]
    rows = [(a, max(a, b), min(a, b), b, 1.0) for a, b in itertools.pairwise(closes)]
    held = [
        run_backtest(
            scripted, {}, ranges(rows), instrument(Market.UM), cash=1_000.0, costs=FREE,
            sizing=Cppi(floor=800.0, multiplier=4.0, drift=drift),
        )
        for drift in (0.0, 0.05)
    ]  # fmt: skip
    # The market loses 84 %. An entry that is never resized loses 80 % of that; four times the cushion keeps
    # the floor, up to what the venue's smallest order of 5 leaves standing.
    assert held[0].equity[-1] < 400.0 and len(held[0].orders) == 1
    assert held[1].equity.min() > 799.0 and len(held[1].orders) > 5


def test_a_position_within_its_drift_is_left_alone_and_a_refused_enlargement_is_not_repeated() -> None:
    rows = [(100, 100, 100, 100, 1)] + [(100, 100, 100, 100 + n, NO_CHANGE) for n in range(1, 40)]
    quiet = run_backtest(
        scripted, {}, ranges(rows), instrument(), cash=1_000.0, costs=FREE,
        sizing=Cppi(floor=900.0, multiplier=2.0, drift=0.5),
    )  # fmt: skip
    assert len(quiet.orders) == 1
    limits = GateLimits(150.0, 1e9, 0.5, 0.9, 0.9, 100.0, 10_000.0, 5_000.0)
    rule = Cppi(floor=900.0, multiplier=1.0, drift=0.2)
    refused = run_backtest(
        scripted, {}, ranges([*rows[:2], *[(200, 200, 200, 200, NO_CHANGE)] * 6]), instrument(), cash=1_000.0,
        costs=FREE, sizing=rule, limits=limits._replace(max_position_value=150.0, max_order_value=102.0),
    )  # fmt: skip
    assert refused.orders.select("side", "status").rows()[0] == ("BUY", "FILLED")
    assert refused.orders.filter(refused.orders["status"] == "REFUSED").height <= 1


@BY_NAME
def test_bars_that_come_later_change_no_size(rule) -> None:  # type: ignore[no-untyped-def]
    cut = 300
    poisoned = dataclasses.replace(
        MARKET,
        **{
            name: np.concatenate((getattr(MARKET, name)[:cut], getattr(MARKET, name)[cut:] * 7.0))
            for name in ("open", "high", "low", "close")
        },
    )
    honest, tested = run(rule), run(rule, poisoned)
    np.testing.assert_array_equal(honest.equity[:cut], tested.equity[:cut])
    mine = [row["lots"] for row in honest.order_rows if row["bar"] < cut - 1]
    assert len(mine) > 3 and mine == [row["lots"] for row in tested.order_rows if row["bar"] < cut - 1]


@BY_NAME
@pytest.mark.parametrize("cut", [20, 210])
def test_a_run_split_anywhere_goes_on_with_the_bars_it_had_seen(rule, cut: int) -> None:  # type: ignore[no-untyped-def]
    whole = run(rule)
    head = run(rule, MARKET.slice(0, cut))
    tail = run(rule, MARKET.slice(cut, len(MARKET)), resume=head.snapshot)
    assert np.concatenate((head.equity, tail.equity)).tobytes() == whole.equity.tobytes()
    assert (tail.snapshot.book, tail.snapshot.seen) == (whole.snapshot.book, whole.snapshot.seen)


@BY_NAME
def test_an_account_with_one_asset_sizes_as_the_engine_and_goes_on_from_a_snapshot(rule) -> None:  # type: ignore[no-untyped-def]
    limits = GateLimits(9_000.0, 6_000.0, 0.05, 0.5, 0.5, 50.0, 10_000.0, 5_000.0)
    alone = run(rule, limits=limits)
    seats = [Seat(load_strategy("trend"), TREND, sizing=rule)]
    panel = Panel.of([Listed(coin("PROOF"), MARKET, None)])
    terms = Conditions(CASH, costs=SPOT_COSTS, limits=limits)
    shared = run_account(seats, panel, terms)
    np.testing.assert_array_equal(shared.equity, alone.equity)
    for field in ORDER_ROW.names:
        np.testing.assert_array_equal(shared.order_rows[field], alone.order_rows[field], err_msg=field)
    head = run_account(seats, panel.slice(0, 210), terms)
    tail = run_account(seats, panel.slice(210, len(panel)), terms, resume=head.snapshot)
    assert np.concatenate((head.equity, tail.equity)).tobytes() == shared.equity.tobytes()


@BY_NAME
def test_a_rule_never_holds_more_than_the_position_limit_or_than_no_rule(rule) -> None:  # type: ignore[no-untyped-def]
    limits = GateLimits(1e9, 3_000.0, 0.05, 0.9, 0.9, 50.0, 10_000.0, 5_000.0)
    bold = dataclasses.replace(rule, cap=1.0, **({"target": 0.5} if hasattr(rule, "target") else {}))
    result = run(bold, limits=limits)
    entered = result.orders.filter(result.orders["side"] == "BUY")
    assert "PT-07" not in entered["control"].to_list()
    assert len(entered) > 0 and (entered["qty"] * entered["limit_price"]).max() <= 3_000.0
    plain = run(Sizing()).orders
    assert entered["qty"].max() <= plain.filter(plain["side"] == "BUY")["qty"].max() * 1.5


def test_each_asset_of_an_account_is_sized_by_its_own_volatility() -> None:
    calm = MARKET
    wild_close = 100.0 * np.cumprod(1.0 + 3.0 * np.diff(calm.close, prepend=calm.close[0]) / calm.close)
    wild = dataclasses.replace(
        calm, symbol="WILD", open=wild_close, high=wild_close, low=wild_close, close=wild_close
    )
    panel = Panel.of([Listed(coin("PROOF"), calm, None), Listed(coin("WILD"), wild, None)])
    rule = VolatilityTarget(0.002, window=60)
    result = run_account(
        [Seat(load_strategy("trend"), TREND, sizing=rule)], panel, Conditions(CASH, costs=SPOT_COSTS)
    )
    orders = result.orders.filter(result.orders["side"] == "BUY")
    firsts = orders.group_by("symbol", maintain_order=True).first()
    worth = dict(zip(firsts["symbol"], firsts["qty"] * firsts["limit_price"], strict=True))
    assert 2.0 < worth["PROOF"] / worth["WILD"] < 6.0
    assert worth["PROOF"] < CASH / 2  # half the account is an asset's part before the rule


def test_lineage_trial_and_sweep_name_the_rule() -> None:
    rule = sizer_of("volatility:target=0.004,window=60")
    result = run(rule)
    assert result.lineage.sizing == {
        "rule": "volatility", "target": 0.004, "cap": 1.0, "drift": 0.1, "window": 60.0,
    }  # fmt: skip
    assert trial_of(result).params["sizing.volatility.target"] == 0.004
    assert not any("sizing" in name for name in trial_of(run(Sizing())).params)
    strategy = load_strategy("trend")
    market = BarConditions(MARKET, coin("PROOF"), CASH, SPOT_COSTS, rule)
    table = sweep_table(strategy, {"fast": [3], "slow": [8]}, market)
    assert table["final_equity"][0] == pytest.approx(result.equity[-1], rel=1e-12)
    (swept,) = trials_of_sweep(strategy, table, market)
    assert swept.params == trial_of(result).params
    plain = run_sweep(
        strategy, {"fast": [3], "slow": [8]}, MARKET, coin("PROOF"), cash=CASH, costs=SPOT_COSTS
    )
    assert plain["final_equity"][0] != table["final_equity"][0]


def _two_sized_sleeves(rule, market: Market, **terms):  # type: ignore[no-untyped-def]
    """Two strategies with rules of their own on one account, and each alone with its part of the cash."""
    other = dataclasses.replace(proof_market(500, 4), symbol="OTHER")
    listed = [Listed(coin("PROOF", market), MARKET, None), Listed(coin("OTHER", market), other, None)]
    slower, steadier = {"fast": 5, "slow": 20}, VolatilityTarget(0.004, window=90)
    seats = [
        Seat(load_strategy("trend"), TREND, 0.5, ("PROOF",), rule),
        Seat(load_strategy("trend"), slower, 0.5, ("OTHER",), steadier),
    ]
    together = run_account(seats, Panel.of(listed), Conditions(2 * CASH, **terms))
    alone = [
        run_account([dataclasses.replace(seat, share=1.0)], Panel.of([one]), Conditions(CASH, **terms))
        for seat, one in zip(seats, listed, strict=True)
    ]
    return seats, Panel.of(listed), together, alone


@BY_NAME
@pytest.mark.parametrize("market", [Market.SPOT, Market.UM])
def test_sleeves_that_share_an_account_are_sized_as_if_alone_on_their_part_of_it(rule, market) -> None:  # type: ignore[no-untyped-def]
    seats, panel, together, alone = _two_sized_sleeves(rule, market)
    np.testing.assert_allclose(together.equity, alone[0].equity + alone[1].equity, rtol=1e-12)
    for k, own in enumerate(alone):
        rows = together.order_rows[together.order_rows["leg"] == k]
        assert len(rows) == len(own.order_rows) > 3
        for field in ("bar", "lots", "limit_ticks", "fill_price"):
            np.testing.assert_array_equal(rows[field], own.order_rows[field], err_msg=field)
    terms = Conditions(2 * CASH)
    head = run_account(seats, panel.slice(0, 130), terms)
    tail = run_account(seats, panel.slice(130, len(panel)), terms, resume=head.snapshot)
    assert np.concatenate((head.equity, tail.equity)).tobytes() == together.equity.tobytes()


@BY_NAME
def test_a_rule_on_wallets_of_their_own_sizes_as_on_one_margin_account(rule) -> None:  # type: ignore[no-untyped-def]
    cross, isolated = (
        _two_sized_sleeves(rule, Market.UM, margin_mode=mode, leverage=3.0)[2] for mode in MarginMode
    )
    assert len(cross.order_rows) > 6
    np.testing.assert_allclose(isolated.equity, cross.equity, rtol=1e-12)
    np.testing.assert_array_equal(isolated.order_rows["lots"], cross.order_rows["lots"])

"""What holds for every account run: money is conserved, the future does not matter, names do not matter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtm.backtest.account.engine import run_account
from qtm.backtest.account.panel import Listed, Panel
from qtm.backtest.account.result import AccountResult
from qtm.backtest.account.seats import Seat
from qtm.backtest.account.terms import Conditions
from qtm.backtest.funding import FundingRates
from qtm.errors import DataError, StrategyError
from qtm.market.instruments import Market
from qtm.risk.rules import GateLimits
from qtm.strategies.registry import load_strategy
from qtm.trading.book import Sizing
from qtm.trading.costs import FEE_IN_QUOTE, CostModel
from qtm.trading.margin import Margin, MarginMode
from tests.backtest.account.markets import coin, wandering

GATE = GateLimits(40_000.0, 60_000.0, 0.05, 0.4, 0.3, 50.0, 10_000.0, 5_000.0)
TREND, BREAKOUT, MOMENTUM = (load_strategy(name) for name in ("trend", "breakout", "cross-momentum"))
SEATS = (
    Seat(TREND, {"fast": 3, "slow": 9, "below": -1.0}, share=0.5),
    Seat(BREAKOUT, {"channel": 12, "ranges": 6, "width": 1.5, "short": -1.0}, share=0.2),
    Seat(MOMENTUM, {"lookback": 20, "skip": 2, "hold": 2, "every": 12}, share=0.3),
)
COSTS = CostModel(0.0002, 0.0005, 2.0, FEE_IN_QUOTE, impact=0.3, participation=0.2)


def market(seed: int, bars: int = 260, *, holes: bool = True) -> Panel:
    """Two spot and two funded futures markets, with a late listing and bars that are missing."""
    random = np.random.default_rng(seed)
    listed = []
    for number, (symbol, where) in enumerate(
        (("AUSDT", Market.SPOT), ("BUSDT", Market.SPOT), ("CUSDT", Market.UM), ("DUSDT", Market.UM))
    ):
        series = wandering([symbol], bars, seed * 10 + number).series(0)
        if holes and number == 1:
            series = series.slice(40, bars)
        if holes and number == 3:
            kept = np.sort(random.choice(bars, bars - 25, replace=False))
            series = type(series)(
                series.symbol, series.interval, *(getattr(series, name)[kept] for name in COLUMNS)
            )
        funding = None
        if where is Market.UM:
            times = np.arange(series.open_time_ms[0], series.open_time_ms[-1] + 1, 8 * 3_600_000)
            funding = FundingRates(times, random.normal(0.0, 0.002, times.size), np.full(times.size, 8))
        listed.append(Listed(coin(symbol, where), series, funding))
    return Panel.of(listed)


COLUMNS = ("open_time_ms", "open", "high", "low", "close", "volume")


def run(
    panel: Panel, seats: tuple[Seat, ...] = SEATS, mode: MarginMode = MarginMode.CROSS, **more: object
) -> AccountResult:
    conditions = Conditions(50_000.0, costs=COSTS, limits=GATE, leverage=3.0, margin_mode=mode)
    return run_account(seats, panel, conditions, keep_signals=True, **more)  # type: ignore[arg-type]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_cash_positions_fees_and_funding_are_conserved(seed: int) -> None:
    panel = market(seed)
    result = run(panel)
    closes = np.array([panel.series(n).close[-1] for n in range(4)])
    legs, rows = result.legs, result.order_rows
    value = float((legs["qty"] * closes[legs["instrument"]]).sum())
    assert result.equity[-1] == pytest.approx(float(result.purses.sum()) + value, rel=1e-12)
    # what the legs moved is what the purses lost or won
    assert float(result.purses.sum()) == pytest.approx(
        50_000.0 + float(legs["flow"].sum()) + result.insured, rel=1e-12
    )
    # every unit of cash went into a trade, a fee or funding
    step = result.sizes[legs["instrument"][rows["leg"]]]
    done = rows["filled_lots"] != 0.0
    traded = float(np.sum(rows["filled_lots"][done] * step[done] * rows["fill_price"][done]))
    assert -traded - float(rows["fee"].sum()) - result.funding_paid == pytest.approx(
        float(legs["flow"].sum()), abs=1e-6
    )
    # crossed lots were taken from nobody but each other, and sleeves make up the account
    crossed = rows["crossed_lots"] * np.sign(rows["filled_lots"]) * step
    assert float(np.abs(crossed.sum())) < 1e-6
    np.testing.assert_allclose(result.sleeves.sum(axis=1), result.equity, rtol=1e-12)
    assert result.purses[:, 0].min() >= -1e-6  # spot cash is never borrowed


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_isolated_positions_on_high_leverage_die_alone_and_conserve_what_is_left(seed: int) -> None:
    panel = wandering(["AUSDT", "BUSDT", "CUSDT"], 200, seed, Market.UM)
    seats = (
        Seat(TREND, {"fast": 3, "slow": 9, "below": -1.0}, share=0.5, sizing=Sizing(amount=8.0)),
        *SEATS[1:],
    )
    terms = dict.fromkeys(panel.keys, Margin(50.0, 0.01, 0.005))
    result = run_account(
        seats, panel, Conditions(50_000.0, costs=COSTS, margin=terms, margin_mode=MarginMode.ISOLATED)
    )
    legs, rows = result.legs, result.order_rows
    assert "liquidation" in result.orders["cause"].to_list()
    assert float(result.purses.sum()) == pytest.approx(
        50_000.0 + float(legs["flow"].sum()) + result.insured, rel=1e-12
    )
    done = rows["filled_lots"] != 0.0
    traded = float(np.sum(rows["filled_lots"][done] * 0.001 * rows["fill_price"][done]))
    assert -traded - float(rows["fee"].sum()) == pytest.approx(float(legs["flow"].sum()), abs=1e-6)
    assert result.equity.min() > 0.0  # wallets die, what is beside them does not


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10_000))
def test_all_orders_of_a_bar_together_take_no_more_than_their_share_of_its_volume(seed: int) -> None:
    panel = market(seed)
    tight = COSTS._replace(participation=0.02)
    result = run_account(SEATS, panel, Conditions(50_000.0, costs=tight, leverage=3.0))
    sent = result.order_rows[
        np.isin(result.orders["cause"], ("target", "stop", "take-profit", "trailing stop"))
    ]
    instrument, bar = result.legs["instrument"][sent["leg"]], sent["bar"] + 1
    for n in range(4):
        lots = np.bincount(
            bar[instrument == n],
            ((np.abs(sent["filled_lots"]) - sent["crossed_lots"]) * result.sizes[n])[instrument == n],
            len(panel) + 1,
        )
        most = np.append(np.nan_to_num(panel.volume[:, n]) * 0.02, 0.0)
        assert (lots <= most + 1e-6).all()


@pytest.mark.parametrize("seed", [1, 2])
def test_equity_and_targets_never_depend_on_bars_that_come_later(seed: int) -> None:
    panel = market(seed)
    whole = run(panel)
    for stop in range(5, len(panel), 17):
        part = run(panel.slice(0, stop))
        np.testing.assert_array_equal(part.equity, whole.equity[:stop])
        np.testing.assert_array_equal(part.signals, whole.signals[:stop])


@pytest.mark.parametrize(("seed", "mode"), [(3, MarginMode.CROSS), (4, MarginMode.ISOLATED)])
def test_splitting_and_going_on_from_the_snapshot_is_the_same_run(seed: int, mode: MarginMode) -> None:
    panel = market(seed)
    whole = run(panel, mode=mode)
    for cut in (1, 41, 100, 199, 259):
        head = run(panel.slice(0, cut), mode=mode)
        tail = run(panel.slice(cut, len(panel)), mode=mode, resume=head.snapshot)
        np.testing.assert_array_equal(np.concatenate((head.equity, tail.equity)), whole.equity)
        together = np.concatenate((head.order_rows, tail.order_rows))
        for field in ("decided_ms", "lots", "filled_lots", "fill_price", "fee", "qty_after", "leg"):
            np.testing.assert_array_equal(together[field], whole.order_rows[field], err_msg=field)
        assert tail.snapshot == whole.snapshot


def test_the_order_in_which_symbols_are_given_does_not_matter() -> None:
    panel = market(5)
    again = Panel.of(
        [
            Listed(panel.instruments[n], panel.series(n), _funding(panel, n))
            for n in (2, 0, 3, 1)
        ]
    )  # fmt: skip
    there = Panel.of([Listed(panel.instruments[n], panel.series(n), _funding(panel, n)) for n in range(4)])
    np.testing.assert_array_equal(run(again).equity, run(there).equity)
    assert again.keys == panel.keys


def _funding(panel: Panel, n: int) -> FundingRates | None:
    if panel.instruments[n].market is Market.SPOT:
        return None
    times = panel.open_time_ms[::8].copy()
    return FundingRates(times, np.full(times.size, 0.001), np.full(times.size, 8))


def test_a_symbol_nobody_trades_changes_nothing() -> None:
    both = wandering(["AUSDT", "BUSDT"], 300, 6)
    alone = Panel.of([Listed(both.instruments[0], both.series(0))])
    seat = Seat(TREND, {"fast": 3, "slow": 9}, symbols=("AUSDT",))
    np.testing.assert_array_equal(run(both, (seat,)).equity, run(alone, (seat,)).equity)


def test_debugging_gives_the_results_of_the_machine_code() -> None:
    panel, seats = market(7), SEATS[:2]
    fast, slow = run(panel, seats), run(panel, seats, debug=True)
    np.testing.assert_array_equal(slow.equity, fast.equity)
    np.testing.assert_array_equal(slow.signals, fast.signals)
    assert slow.order_rows.tobytes() == fast.order_rows.tobytes()


def test_a_snapshot_of_other_strategies_or_of_later_bars_is_refused() -> None:
    panel = wandering(["AUSDT"], 60, 8)
    head = run(panel.slice(0, 30), SEATS[:1])
    with pytest.raises(StrategyError, match="other strategies"):
        run(panel.slice(30, 60), SEATS[1:2], resume=head.snapshot)
    with pytest.raises(DataError, match="begin before"):
        run(panel.slice(29, 60), SEATS[:1], resume=head.snapshot)
    older = replace(head.snapshot, memory=head.snapshot.memory[8:], layout="0" * 16)
    with pytest.raises(StrategyError, match="laid out differently"):
        run(panel.slice(30, 60), SEATS[:1], resume=older)


def test_a_panel_holds_no_price_that_cannot_be() -> None:
    panel = wandering(["AUSDT"], 20, 9)
    close = panel.close.copy()
    close[7, 0] = -1.0
    with pytest.raises(DataError, match=r"close price is -1\.0"):
        type(panel)(panel.instruments, panel.interval, panel.open_time_ms, panel.open, panel.high, panel.low,
                    close, panel.volume, panel.rates)  # fmt: skip

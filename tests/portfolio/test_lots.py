"""Whole lots: exact quantities, least notionals, and a cap that still holds."""

from decimal import Decimal

import numpy as np
import pytest

from qtm.errors import RiskError
from qtm.market.instruments import Instrument, Market
from qtm.portfolio.constraints import FEASIBILITY
from qtm.portfolio.lots import to_lots
from qtm.portfolio.optimise import optimise
from qtm.portfolio.problem import TailCap
from qtm.risk.measures import historical_cvar
from tests.portfolio.problems import heavy_tailed_returns, problem

PRICES = {
    f"S{i:02d}": Decimal(price) for i, price in enumerate(["61234.5", "2500.25", "140.1", "0.61", "3.3"])
}


def instrument(symbol: str, step: str = "0.001", least: str = "5") -> Instrument:
    return Instrument(
        market=Market.SPOT, symbol=symbol, base=symbol, quote="USDT", tick_size=Decimal("0.01"),
        step_size=Decimal(step), min_qty=Decimal(step), max_qty=Decimal(10**9), min_notional=Decimal(least),
    )  # fmt: skip


INSTRUMENTS = {symbol: instrument(symbol) for symbol in PRICES}


@pytest.fixture(scope="module")
def answer():
    returns = heavy_tailed_returns(5, 400, 41)
    cap = historical_cvar(returns.mean(axis=1), 0.95)
    return optimise(problem(returns, upper=0.5, tail_caps=(TailCap(0.95, cap),), invested=(0.0, 1.0)))


def test_positions_are_whole_lots_and_money_adds_up(answer):
    book = to_lots(answer, Decimal(100_000), PRICES, INSTRUMENTS)
    for position in book.positions:
        assert position.quantity == position.lots * Decimal("0.001")
        assert position.value == position.quantity * PRICES[position.symbol]
    assert sum(position.value for position in book.positions) + book.cash == Decimal(100_000)
    assert book.cash >= 0
    assert book.weights == pytest.approx(answer.weights, abs=1e-3)


@pytest.mark.parametrize("capital", [500, 2_000, 50_000])
def test_the_cap_holds_after_rounding_however_coarse(answer, capital):
    coarse = {symbol: instrument(symbol, "0.1") for symbol in PRICES}
    book = to_lots(answer, Decimal(capital), PRICES, coarse)
    cap = answer.problem.tail_caps[0].cap
    assert historical_cvar(answer.problem.scenarios @ book.weights, 0.95) <= cap + FEASIBILITY


def test_a_lost_hedge_costs_lots_until_the_cap_holds():
    """Rounding away the short leg of a pair would leave the long one too risky."""
    draws = np.random.default_rng(3).normal(0, 0.03, 500)
    returns = np.column_stack([draws, draws * 0.999])
    risk = historical_cvar(draws, 0.95)
    posed = problem(
        returns,
        lower=-1.0,
        invested=(-2.0, 2.0),
        tail_caps=(TailCap(0.95, 0.3 * risk),),
        mean=np.array([0.002, 0.0001]),
    )
    solved = optimise(posed)
    assert solved.weights[1] < -0.3
    big_lots = {"S00": instrument("S00", "0.01", "0"), "S01": instrument("S01", "100", "0")}
    book = to_lots(solved, Decimal(1_000), {"S00": Decimal(1), "S01": Decimal(100)}, big_lots)
    assert book.removed > 0 and [position.symbol for position in book.positions] == ["S00"]
    assert historical_cvar(returns @ book.weights, 0.95) <= 0.3 * risk + FEASIBILITY


def test_dust_the_venue_would_refuse_is_cash(answer):
    picky = {symbol: instrument(symbol, least="100000") for symbol in PRICES}
    book = to_lots(answer, Decimal(100_000), PRICES, picky)
    assert book.positions == () and book.cash == Decimal(100_000)


def test_missing_instrument_price_or_capital_is_an_error(answer):
    with pytest.raises(RiskError, match="lot size or price"):
        to_lots(answer, Decimal(1000), PRICES, {})
    with pytest.raises(RiskError, match="capital"):
        to_lots(answer, Decimal(0), PRICES, INSTRUMENTS)

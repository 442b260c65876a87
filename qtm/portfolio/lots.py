"""From weights to whole lots the venue accepts, with every constraint checked again afterwards.

Quantities are rounded towards zero, positions below the venue's least notional are dropped, and if the book
then breaks a cap, lots are taken off where they add the most CVaR until it holds. Rounding may leave a fully
invested mandate a few lots short of one; that is cash, not a breach.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from qtm.errors import RiskError
from qtm.market.instruments import Instrument
from qtm.portfolio.allocation import Allocation
from qtm.portfolio.constraints import FEASIBILITY, Row, portfolio_rows
from qtm.portfolio.problem import PortfolioProblem
from qtm.risk.decomposition import marginal_cvar
from qtm.risk.measures import Floats

MOST_REMOVALS = 10_000


@dataclass(frozen=True, slots=True)
class LotPosition:
    """A holding in whole lots; `quantity` in base units and `value` in quote currency are exact."""

    symbol: str
    lots: int
    quantity: Decimal
    value: Decimal


@dataclass(frozen=True, slots=True)
class LotBook:
    """The rounded book: positions, cash left over, its weights (N,), and lots taken off to hold a cap."""

    positions: tuple[LotPosition, ...]
    cash: Decimal
    weights: Floats
    removed: int


def to_lots(
    allocation: Allocation,
    capital: Decimal,
    prices: Mapping[str, Decimal],
    instruments: Mapping[str, Instrument],
) -> LotBook:
    """Round `allocation` to the venue's lots.

    Parameters
    ----------
    allocation
        Weights and the problem they solve.
    capital
        Capital the weights are fractions of, in quote currency.
    prices
        Price per base unit of every held symbol.
    instruments
        Lot sizes and least notionals of every held symbol.

    Raises
    ------
    RiskError
        If a held symbol has no instrument or price, the capital is not positive, or no rounding holds the
        caps.
    """
    if capital <= 0:
        raise RiskError("the capital must be positive", where=str(capital))
    problem = allocation.problem
    values = np.zeros(len(problem.symbols))
    lots = [0] * len(problem.symbols)
    for index, symbol in enumerate(problem.symbols):
        if allocation.weights[index] == 0.0:
            continue
        instrument, price = instruments.get(symbol), prices.get(symbol)
        if instrument is None or price is None or price <= 0:
            raise RiskError("a held symbol has no exact lot size or price", where=symbol, remedy="ingest it")
        wanted = Decimal(repr(float(allocation.weights[index]))) * capital
        lots[index] = _tradable(instrument, instrument.lots(wanted / price), price)
        values[index] = float(instrument.qty(1) * price / capital)
    removed = _hold_caps(problem, allocation, lots, values)
    positions = tuple(
        LotPosition(
            symbol,
            lots[i],
            instruments[symbol].qty(lots[i]),
            instruments[symbol].qty(lots[i]) * prices[symbol],
        )
        for i, symbol in enumerate(problem.symbols)
        if lots[i]
    )
    cash = capital - sum((position.value for position in positions), Decimal(0))
    return LotBook(positions, cash, np.array(lots) * values, removed)


def _tradable(instrument: Instrument, lots: int, price: Decimal) -> int:
    """`lots`, or none where the venue would refuse so small an order."""
    quantity = abs(instrument.qty(lots))
    too_small = quantity < instrument.min_qty or quantity * price < instrument.min_notional
    return 0 if too_small else lots


def _hold_caps(problem: PortfolioProblem, allocation: Allocation, lots: list[int], values: Floats) -> int:
    """Take lots off where they add the most CVaR, a hundredth at a time, until the caps hold again."""
    tolerated = {row.name for row in portfolio_rows(problem, allocation.weights) if row.excess > FEASIBILITY}
    taken = 0
    for _ in range(MOST_REMOVALS):
        weights = np.array(lots) * values
        if not any(row.name not in tolerated for row in _broken_caps(problem, weights)):
            return taken
        slope = marginal_cvar(problem.scenarios, weights, problem.alpha, problem.probabilities)
        burden = slope * np.sign(lots)
        worst = int(np.argmax(np.where(np.array(lots) != 0, burden, -np.inf)))
        if lots[worst] == 0:
            break
        chunk = max(abs(lots[worst]) // 100, 1)
        lots[worst] -= chunk * int(np.sign(lots[worst]))
        taken += chunk
    raise RiskError(
        "no rounding to lots holds the caps", where=problem.objective.value, remedy="raise the capital"
    )


def _broken_caps(problem: PortfolioProblem, weights: Floats) -> list[Row]:
    rows = portfolio_rows(problem, weights)
    return [row for row in rows if row.at_most and not row.exactly and row.excess > FEASIBILITY]

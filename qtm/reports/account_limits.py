"""Where each running account stands: its equity by day, and how much of its limits is used.

Equity is what the gate measures it as: the quote balance and the traded coins, marked here at daily closes.
Limits are those of the limit tree for the strategies and symbols the account traded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from qtm.execution.day_record import DayRecord, Execution
from qtm.portfolio.history import DailyHistory
from qtm.portfolio.scenarios.scenario_set import ScenarioSet
from qtm.reports.limit_use import LimitUse
from qtm.risk.limits import EffectiveLimits, LimitTree
from qtm.risk.measures import Floats, historical_cvar
from qtm.risk.stress import DailyPrices, StressLoss, replay_all

DAY_MS = 86_400_000
QUOTE = "USDT"
DUST = 1e-5
"""Positions below this share of an account's equity are what lot rounding left; they are not listed."""


@dataclass(frozen=True, slots=True)
class Standing:
    """An account at the close, in quote currency.

    Attributes
    ----------
    equity, day_start, peak
        Now, at the close before, and the highest daily close since the first order.
    positions
        Value of every (strategy, symbol) at the close, dust left out.
    uses
        The account's measures against the limits of its gate.
    worst_event
        The dated event that would cost these positions most; None without positions or prices of then.
    """

    account: str
    equity: float
    day_start: float
    peak: float
    positions: dict[tuple[str, str], float]
    uses: tuple[LimitUse, ...]
    worst_event: StressLoss | None

    @property
    def day_loss(self) -> float:
        """Loss of the day as a fraction of the equity it began with; zero on a day of profit."""
        return max(0.0, 1.0 - self.equity / self.day_start)

    @property
    def drawdown(self) -> float:
        """Fall below the peak, as a fraction of it."""
        return max(0.0, 1.0 - self.equity / self.peak)


def standings(
    record: DayRecord, history: DailyHistory, scenarios: ScenarioSet, tree: LimitTree
) -> tuple[Standing, ...]:
    """Every account that traded on the last day of `history` or holds a position at its close.

    Accounts whose opening balance is not on record have no equity and are left out.
    """
    found = []
    for account in sorted({one.account for one in record.executions}):
        mine = [one for one in record.executions if one.account == account and one.symbol in history.symbols]
        opening = record.openings.get(account)
        if not mine or opening is None or QUOTE not in opening:
            continue
        path = _equity(mine, dict(opening), history)
        positions = _positions(mine, history, path[-1])
        if positions or mine[-1].ts_ms >= history.as_of_ms:
            standing = Standing(
                account=account,
                equity=float(path[-1]),
                day_start=float(path[-2]),
                peak=float(path.max()),
                positions=positions,
                uses=(),
                worst_event=_worst_event(positions, float(path[-1]), history),
            )
            found.append(replace(standing, uses=_uses(standing, mine, scenarios, tree)))
    return tuple(found)


def _equity(mine: Sequence[Execution], opening: dict[str, float], history: DailyHistory) -> Floats:
    """Equity at the close before the first execution and at every close since, shape (at least 2,)."""
    symbols = sorted({one.symbol for one in mine})
    first = max(1, int(np.searchsorted(history.open_time_ms, mine[0].ts_ms, side="right")) - 1)
    days = history.open_time_ms[first - 1 :]
    closes = history.closes[first - 1 :, [history.symbols.index(symbol) for symbol in symbols]]
    marks = _filled_forward(closes)
    at_open = np.array([opening.get(symbol.removesuffix(QUOTE), 0.0) for symbol in symbols])
    quantity = np.tile(at_open, (days.shape[0], 1))
    cash = np.full(days.shape[0], opening[QUOTE])
    for one in mine:
        since = int(np.searchsorted(days, one.ts_ms, side="right")) - 1
        quantity[since:, symbols.index(one.symbol)] += one.qty
        cash[since:] -= one.qty * one.price + one.fee
    held: Floats = np.where(quantity == 0.0, 0.0, quantity * marks).sum(axis=1) + cash
    return held


def _filled_forward(closes: Floats) -> Floats:
    """Each gap at the price before it: what a position is worth while its market has no bars."""
    return pl.from_numpy(closes).select(pl.all().fill_nan(None).forward_fill()).to_numpy()


def _positions(
    mine: Sequence[Execution], history: DailyHistory, equity: float
) -> dict[tuple[str, str], float]:
    quantity: dict[tuple[str, str], float] = {}
    for one in mine:
        key = (one.strategy, one.symbol)
        quantity[key] = quantity.get(key, 0.0) + one.qty
    last = dict(zip(history.symbols, history.closes[-1], strict=True))
    values = {key: float(qty * last[key[1]]) for key, qty in quantity.items()}
    return {key: value for key, value in values.items() if abs(value) > DUST * abs(equity)}


def _worst_event(
    positions: dict[tuple[str, str], float], equity: float, history: DailyHistory
) -> StressLoss | None:
    """Dated events replayed on the positions as fractions of equity; every position at its own worst."""
    weights = np.zeros(len(history.symbols))
    for (_, symbol), value in positions.items():
        weights[history.symbols.index(symbol)] += value / equity
    held = np.flatnonzero(weights)
    prices = DailyPrices(
        history.open_time_ms, history.closes[:, held], history.lows[:, held], history.highs[:, held]
    )
    names = [history.symbols[column] for column in held]
    return next(iter(replay_all(names, weights[held], prices)), None) if names else None


def _uses(
    standing: Standing, mine: Sequence[Execution], scenarios: ScenarioSet, tree: LimitTree
) -> tuple[LimitUse, ...]:
    account, positions = standing.account, standing.positions
    bounds = {pair: tree.effective(*pair) for pair in sorted({(one.strategy, one.symbol) for one in mine})}
    daily, deepest = _tightest(bounds, "daily_loss"), _tightest(bounds, "max_drawdown")
    uses = [
        LimitUse(f"{account}: loss of the day", standing.day_loss, daily[0], set_by=daily[1]),
        LimitUse(f"{account}: below its peak", standing.drawdown, deepest[0], set_by=deepest[1]),
    ]
    tail = tree.file.tail
    if tail is not None:
        at_risk = _cvar(positions, scenarios, tail.alpha) / standing.equity
        name = f"{account}: CVaR {tail.alpha * 100:g} % of its positions"
        uses.append(LimitUse(name, at_risk, float(tail.cvar_budget), set_by="[tail]"))
    for (strategy, symbol), value in sorted(positions.items(), key=lambda item: -abs(item[1])):
        effective = bounds[strategy, symbol]
        uses.append(
            LimitUse(
                f"{account}: {strategy} in {symbol}",
                abs(value),
                float(effective.limits.max_position_value),
                money=True,
                set_by=effective.set_by["max_position_value"],
            )
        )
    return tuple(uses)


def _tightest(bounds: dict[tuple[str, str], EffectiveLimits], name: str) -> tuple[float, str]:
    """The smallest limit of `name` over everything the account trades, and the scope that set it."""
    return min((float(getattr(one.limits, name)), one.set_by[name]) for one in bounds.values())


def _cvar(positions: dict[tuple[str, str], float], scenarios: ScenarioSet, alpha: float) -> float:
    """CVaR of the positions in quote currency; NaN where a held symbol has no scenarios."""
    values = np.zeros(len(scenarios.symbols))
    for (_, symbol), value in positions.items():
        if symbol not in scenarios.symbols:
            return float("nan")
        values[scenarios.symbols.index(symbol)] += value
    return historical_cvar(scenarios.returns @ values, alpha, scenarios.probabilities)

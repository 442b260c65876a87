"""The running account in the risk report: positions, CVaR and the day's P&L by desk, strategy and asset."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from qtm.execution.day_record import DayRecord, Execution
from qtm.portfolio.history import DailyHistory
from qtm.portfolio.scenarios.scenario_set import ScenarioSet
from qtm.risk.decomposition import marginal_cvar
from qtm.risk.measures import Floats, historical_cvar, historical_var

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Line:
    """A desk, strategy or asset of the accounts; money in quote currency, VaR and CVaR of one day.

    `held` is what yesterday's positions made between the two closes, `traded` what the day's executions made
    from their prices to the close, before `fees`; their sum less fees is the day's P&L. `var` and
    `alone` are VaR and CVaR of this line by itself, `component` is its part of the CVaR of all.
    """

    name: str
    net: float
    gross: float
    var: float
    alone: float
    component: float
    held: float
    traded: float
    fees: float

    @property
    def pnl(self) -> float:
        """P&L of the day, after fees."""
        return self.held + self.traded - self.fees


@dataclass(frozen=True, slots=True)
class LiveBooks:
    """All accounts together, three ways; `unmeasured` symbols are held and have no scenarios or no price."""

    desks: tuple[Line, ...]
    strategies: tuple[Line, ...]
    assets: tuple[Line, ...]
    var: float
    cvar: float
    unmeasured: tuple[str, ...]
    other_fees: tuple[str, ...]


def live_books(
    record: DayRecord,
    history: DailyHistory,
    scenarios: ScenarioSet,
    alpha: float,
    desk_of: Mapping[str, str],
) -> LiveBooks | None:
    """Measure the account at the last close of `history`; None when it never traded.

    Parameters
    ----------
    desk_of
        Desk of each strategy; strategies without one stand under "no desk".
    """
    if not record.executions:
        return None
    symbols = sorted({one.symbol for one in record.executions})
    priced = [s for s in symbols if s in scenarios.symbols and s in history.symbols]
    if not priced:
        return LiveBooks((), (), (), 0.0, 0.0, tuple(symbols), ())
    columns = [history.symbols.index(symbol) for symbol in priced]
    close = history.closes[-1, columns]
    before = history.closes[-2, columns] if history.closes.shape[0] > 1 else close
    known = np.isfinite(close) & np.isfinite(before)
    priced = [symbol for symbol, good in zip(priced, known, strict=True) if good]
    close, before = close[known], before[known]
    returns = scenarios.returns[:, [scenarios.symbols.index(symbol) for symbol in priced]]
    account = _Account(tuple(priced), close, before, returns, alpha, scenarios)
    mine = [one for one in record.executions if one.symbol in priced]
    start_ms = history.as_of_ms
    total = account.values(mine)
    marginal = marginal_cvar(returns, total, alpha, scenarios.probabilities)

    def lines(key: Callable[[Execution], str]) -> tuple[Line, ...]:
        names = sorted({key(one) for one in mine})
        found = [
            account.line(name, [one for one in mine if key(one) == name], marginal, start_ms)
            for name in names
        ]
        return tuple(sorted(found, key=lambda line: -line.component))

    return LiveBooks(
        desks=lines(lambda one: desk_of.get(one.strategy, "no desk")),
        strategies=lines(lambda one: one.strategy),
        assets=lines(lambda one: one.symbol),
        var=account.var(total),
        cvar=account.cvar(total),
        unmeasured=tuple(symbol for symbol in symbols if symbol not in priced),
        other_fees=tuple(one.other_fee for one in mine if one.other_fee and one.ts_ms >= start_ms),
    )


@dataclass(frozen=True, slots=True)
class _Account:
    """Prices and scenarios of the account's symbols, side by side."""

    symbols: tuple[str, ...]
    close: Floats
    before: Floats
    returns: Floats
    alpha: float
    scenarios: ScenarioSet

    def quantities(self, executions: list[Execution]) -> Floats:
        """Base quantity held of each symbol after `executions`."""
        held = np.zeros(len(self.symbols))
        for one in executions:
            held[self.symbols.index(one.symbol)] += one.qty
        return held

    def values(self, executions: list[Execution]) -> Floats:
        """Value of each symbol at the close."""
        return self.quantities(executions) * self.close

    def cvar(self, values: Floats) -> float:
        """CVaR of positions worth `values`."""
        return historical_cvar(self.returns @ values, self.alpha, self.scenarios.probabilities)

    def var(self, values: Floats) -> float:
        """VaR of positions worth `values`."""
        return historical_var(self.returns @ values, self.alpha, self.scenarios.probabilities)

    def line(self, name: str, mine: list[Execution], marginal: Floats, start_ms: int) -> Line:
        """One desk, strategy or asset; `marginal` is the account's CVaR per unit of each symbol."""
        values = self.values(mine)
        old = [one for one in mine if one.ts_ms < start_ms]
        new = [one for one in mine if one.ts_ms >= start_ms]
        closes = dict(zip(self.symbols, self.close, strict=True))
        return Line(
            name=name,
            net=float(values.sum()),
            gross=float(np.abs(values).sum()),
            var=self.var(values),
            alone=self.cvar(values),
            component=float(marginal @ values),
            held=float(self.quantities(old) @ (self.close - self.before)),
            traded=float(sum(one.qty * (closes[one.symbol] - one.price) for one in new)),
            fees=float(sum(one.fee for one in new)),
        )

"""Live marginal CVaR: what one more order adds to the book's historical CVaR, working orders included.

The book's P&L under every scenario is kept up to date, so judging an order is one scaled addition of a column
and one partial selection. The selection first guesses a threshold from every sixteenth scenario, keeps the
few scenarios below it, and selects among those; should the guess be too low, all scenarios are selected from.
The answer is `measures.historical_cvar` of the changed book either way.

Working orders may or may not fill. The book is therefore kept in up to four cases (none of them filled, all
buys, all sells, all) and the worst case counts, before and after the order.

Everything unknown answers NaN, which the gate refuses: stale scenarios, a symbol without scenarios, a
position nobody can value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np

from qtm.compiled import compiled
from qtm.errors import RiskError
from qtm.risk.measures import Floats, tail_count

_STRIDE: Final = 16
"""Every how many scenarios the threshold's sample takes one."""

_REBUILD_AFTER: Final = 1024
"""Incremental updates before the P&L vectors are summed afresh, so that rounding cannot pile up."""

_NONE, _BUYS, _SELLS, _ALL = range(4)


class OrderRisk(NamedTuple):
    """CVaR of the book in quote currency, without and with the order, in the worst fill case of each.

    NaN throughout when it cannot be known; every comparison with a limit must then refuse.
    """

    before: float
    after: float

    @property
    def adds(self) -> float:
        """What the order adds; negative when it takes risk off."""
        return self.after - self.before


UNKNOWN: Final = OrderRisk(math.nan, math.nan)


class BookCvar:
    """The book's CVaR, kept current, for one confidence level.

    Parameters
    ----------
    symbols
        N symbols, in the order of the scenario columns.
    scenarios
        Returns of shape (S, N) over the horizon of the limit, as fractions; finite.
    alpha
        Confidence level in (0, 1).
    as_of_ms, max_age_ms
        When the scenarios were made, and how long they may be used.

    Raises
    ------
    RiskError
        If shapes disagree, a scenario is missing, or a symbol occurs twice.
    """

    def __init__(
        self, symbols: Sequence[str], scenarios: Floats, alpha: float, *, as_of_ms: int, max_age_ms: int
    ) -> None:
        tail_count(1, alpha)
        if len(set(symbols)) != len(symbols):
            raise RiskError("a symbol occurs twice among the scenarios", where=", ".join(symbols))
        if max_age_ms <= 0:
            raise RiskError("scenarios need a positive lifetime", where=f"max_age_ms={max_age_ms}")
        self.symbols = tuple(symbols)
        self.alpha = alpha
        self.max_age_ms = max_age_ms
        self._columns = {symbol: column for column, symbol in enumerate(symbols)}
        self._positions = np.zeros(len(symbols))
        self._buys = np.zeros(len(symbols))
        self._sells = np.zeros(len(symbols))
        self._working_sides = 0
        self._unknown: set[tuple[str, str]] = set()
        self.replace_scenarios(scenarios, as_of_ms=as_of_ms)

    def replace_scenarios(self, scenarios: Floats, *, as_of_ms: int) -> None:
        """Take a new set of scenarios, shape (S, N), and value the whole book under it."""
        if scenarios.ndim != 2 or scenarios.shape[0] == 0 or scenarios.shape[1] != len(self.symbols):
            raise RiskError(
                "scenarios need one column for each symbol",
                where=f"shape {scenarios.shape} for {len(self.symbols)} symbols",
            )
        if not np.isfinite(scenarios).all():
            column = int(np.argwhere(~np.isfinite(scenarios))[0][1])
            raise RiskError(
                "a scenario is missing",
                where=self.symbols[column],
                remedy="repair or drop the scenario; risk never guesses it",
            )
        self.as_of_ms = as_of_ms
        self._returns = np.ascontiguousarray(scenarios.T)
        self._pnl = np.zeros((4, scenarios.shape[0]))
        self._scratch = np.empty(scenarios.shape[0] + 1)
        self._tail = tail_count(scenarios.shape[0], self.alpha)
        self._rebuild()

    def set_position(self, symbol: str, value: float) -> None:
        """The position in `symbol` is now worth `value` quote currency (negative when short)."""
        column = self._known("position", symbol, value)
        if column is not None:
            self._add(range(4), column, value - self._positions[column])
            self._positions[column] = value

    def set_working(self, symbol: str, *, buys: float, sells: float) -> None:
        """Working orders in `symbol` now stand at these values, both positive, in quote currency.

        Raises
        ------
        RiskError
            If either is negative.
        """
        if buys < 0.0 or sells < 0.0:
            raise RiskError("working values are positive on both sides", where=f"{symbol}: {buys}, {sells}")
        column = self._known("working", symbol, buys + sells)
        if column is not None:
            self._add((_BUYS, _ALL), column, buys - self._buys[column])
            self._add((_SELLS, _ALL), column, self._sells[column] - sells)
            self._buys[column] = buys
            self._sells[column] = sells
            self._working_sides = int(self._buys.any()) + 2 * int(self._sells.any())

    def cvar(self, now_ms: int) -> float:
        """CVaR of the book in its worst fill case, in quote currency; NaN when unknown."""
        return self._before if self._is_known_at(now_ms) else math.nan

    def order(self, symbol: str, value: float, now_ms: int) -> OrderRisk:
        """Judge an order of signed `value` quote currency, before it is sent.

        Returns
        -------
        OrderRisk
            `UNKNOWN` (NaN) when the scenarios are stale or from the future, the symbol has none, the value
            is not a number, or any position is unknown.
        """
        after = self.after(symbol, value, now_ms)
        return UNKNOWN if math.isnan(after) else OrderRisk(self._before, after)

    def after(self, symbol: str, value: float, now_ms: int) -> float:
        """CVaR with the order alone: half the work of `order`, and enough while the book is within budget."""
        column = self._columns.get(symbol)
        if column is None or not math.isfinite(value) or not self._is_known_at(now_ms):
            return math.nan
        whole, share = self._tail
        return float(
            _worst_case(
                self._pnl, self._returns[column], value, self._working_sides, whole, share, self._scratch
            )
        )

    def _is_known_at(self, now_ms: int) -> bool:
        return not self._unknown and 0 <= now_ms - self.as_of_ms <= self.max_age_ms

    def _known(self, part: str, symbol: str, value: float) -> int | None:
        """Column of a symbol whose value can be used; remembers that the book is unknown otherwise."""
        column = self._columns.get(symbol)
        if math.isfinite(value) and (column is not None or value == 0.0):
            self._unknown.discard((part, symbol))
            return column
        self._unknown.add((part, symbol))
        return None

    def _add(self, cases: Iterable[int], column: int, value: float) -> None:
        if value == 0.0:
            return
        self._updates += 1
        for case in cases:
            _add_column(self._pnl[case], self._returns[column], value)
        self._stale_total = True

    @property
    def _before(self) -> float:
        if self._stale_total:
            if self._updates > _REBUILD_AFTER:
                self._rebuild()
            whole, share = self._tail
            self._total = float(
                _worst_case(
                    self._pnl, self._returns[0], 0.0, self._working_sides, whole, share, self._scratch
                )
            )
            self._stale_total = False
        return self._total

    def _rebuild(self) -> None:
        cases = (np.zeros_like(self._buys), self._buys, -self._sells, self._buys - self._sells)
        for case, working in enumerate(cases):
            np.matmul(self._positions + working, self._returns, out=self._pnl[case])
        self._updates = 0
        self._stale_total = True


@compiled
def _add_column(pnl: Floats, column: Floats, value: float) -> None:
    for i in range(pnl.shape[0]):
        pnl[i] += value * column[i]


@compiled
def _worst_case(
    pnl: Floats, column: Floats, value: float, sides: int, whole: int, share: float, scratch: Floats
) -> float:
    """Largest CVaR over the fill cases that differ; `sides` is 1 for working buys + 2 for working sells."""
    worst = _cvar_with(pnl[0], column, value, whole, share, scratch)
    for case in range(1, 4):
        if case & sides == case:
            worst = max(worst, _cvar_with(pnl[case], column, value, whole, share, scratch))
    return worst


@compiled
def _cvar_with(pnl: Floats, column: Floats, value: float, whole: int, share: float, scratch: Floats) -> float:
    """Historical CVaR of `pnl + value * column` with the fractional tail (whole, share)."""
    count = whole + 1 if share > 0.0 else whole
    threshold = _guess(pnl, column, value, count, scratch)
    kept = 0
    for i in range(pnl.shape[0]):
        changed = pnl[i] + value * column[i]
        scratch[kept] = changed
        kept += changed < threshold
    if kept < count:
        kept = pnl.shape[0]
        for i in range(kept):
            scratch[i] = pnl[i] + value * column[i]
    _select(scratch, kept, count)
    total = 0.0
    boundary = scratch[0]
    for i in range(count):
        total += scratch[i]
        boundary = max(boundary, scratch[i])
    if share > 0.0:
        total -= (1.0 - share) * boundary
    return -total / (whole + share)


@compiled
def _guess(pnl: Floats, column: Floats, value: float, count: int, scratch: Floats) -> float:
    """A value that very likely has at least `count` scenarios below it: four deviations of its rank above."""
    sampled = 0
    for i in range(0, pnl.shape[0], _STRIDE):
        scratch[sampled] = pnl[i] + value * column[i]
        sampled += 1
    expected = count / _STRIDE
    rank = int(expected + 4.0 * np.sqrt(expected)) + 3
    if rank >= sampled:
        return np.inf
    _select(scratch, sampled, rank)
    largest = scratch[0]
    for i in range(rank):
        largest = max(largest, scratch[i])
    return float(largest)


@compiled
def _select(values: Floats, length: int, count: int) -> None:
    """Move the `count` smallest of `values[:length]` to the front.

    Quickselect whose inner loops swap always and advance by the comparison, so that they hold no branch to
    mispredict (three times faster than Hoare's on random data). Values equal to the pivot are set aside in a
    second pass, so that a book without positions, all scenarios equal, ends at once.
    """
    low, high = 0, length
    while high - low > 1:
        first, middle, last = values[low], values[(low + high) // 2], values[high - 1]
        pivot = max(min(first, middle), min(max(first, middle), last))
        below = low
        for i in range(low, high):
            value = values[i]
            values[i] = values[below]
            values[below] = value
            below += value < pivot
        if count <= below:
            high = below
            continue
        equal = below
        for i in range(below, high):
            value = values[i]
            values[i] = values[equal]
            values[equal] = value
            equal += value <= pivot
        if count <= equal:
            return
        low = equal

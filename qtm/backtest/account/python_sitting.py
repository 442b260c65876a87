"""Free Python strategies on an account, and what the account shows and does for them."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import numpy.typing as npt

from qtm.backtest.account.ledger import AccountLedger
from qtm.backtest.account.memory import ACCOUNT_CAUSES, MARGIN, SPOT, Memory
from qtm.backtest.account.panel import PRICES, Panel
from qtm.backtest.account.sitting_in_python import SittingInPython, margin_terms
from qtm.backtest.account.wallets import free_cash_of
from qtm.clock import iso_utc
from qtm.errors import StrategyError
from qtm.market.instruments import Market
from qtm.strategies.blame import blamed_on
from qtm.strategies.python_contract import FillNote, PythonStrategy
from qtm.trading.margin import leverage_at
from qtm.trading.plan import Plan

Floats = npt.NDArray[np.float64]


class PythonSitting(SittingInPython):
    """A free Python strategy; it is its own context (see `qtm.strategies.python_contract.Context`)."""

    def __init__(self, strategy: PythonStrategy, values: Any, k: int, panel: Panel, memory: Memory) -> None:
        super().__init__(k, panel, memory)
        self.strategy, self.values = strategy, values
        if strategy.symbols is not None and strategy.symbols != len(self.names):
            raise StrategyError(
                f"{strategy.name!r} trades {strategy.symbols} symbols, not {len(self.names)}",
                where=", ".join(self.names),
                remedy=f"name {strategy.symbols} symbols",
            )
        self.at = 0
        self.begun = False
        self.past = {name: np.empty((0, self.columns.size)) for name in (*PRICES, "volume")}
        with blamed_on(strategy.name, strategy.source, "its start"):
            self.behaviour = strategy.behaviour(values)

    def start(self) -> None:
        """Let it prepare, once."""
        if not self.begun and hasattr(self.behaviour, "on_start"):
            with blamed_on(self.strategy.name, self.strategy.source, "on_start"):
                self.behaviour.on_start(self)
        self.begun = True

    def hear(self, rows: npt.NDArray[np.void], i: int) -> None:
        """Tell it of its fills in the bar just closed."""
        self.at = i
        if not hasattr(self.behaviour, "on_fill"):
            return
        for row in rows[
            (rows["leg"] >= self.first) & (rows["leg"] < self.last) & (rows["filled_lots"] != 0.0)
        ]:
            own = int(row["leg"]) - self.first
            step = float(self.memory.quotes["step_size"][self.columns[own]])
            note = FillNote(
                self.names[own],
                float(row["filled_lots"]) * step,
                float(row["fill_price"]),
                float(row["fee"]),
                ACCOUNT_CAUSES[int(row["cause"])],
                int(row["decided_ms"]),
            )
            with blamed_on(self.strategy.name, self.strategy.source, f"on_fill of {note.symbol}"):
                self.behaviour.on_fill(self, note)

    def decide(self, i: int, ledger: AccountLedger) -> None:
        """Show it the closed bars."""
        self.at = i
        self.forget_relisted()
        before = self.legs["desired"].copy() if len(ledger.signals) else None
        bars = {}
        for name, n in zip(self.names, self.columns, strict=True):
            if np.isfinite(self.panel.close[i, n]):
                bars[name] = self._bar(i, n)
        with blamed_on(self.strategy.name, self.strategy.source, f"on_bar at {iso_utc(self.time_ms)}"):
            self.behaviour.on_bar(self, bars)
        if before is not None:
            changed = self.legs["desired"] != before
            ledger.signals[i, self.first : self.last] = np.where(changed, self.legs["desired"], np.nan)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The names it trades."""
        return self.names

    @property
    def time_ms(self) -> int:
        """When the present bar closed."""
        return self.closed_ms(self.at)

    def cash(self, market: str) -> float:
        """Cash on `spot`, or the margin account's equity on `um`."""
        if Market(market) is Market.SPOT:
            return float(self.memory.sleeves["cash"][self.k, SPOT])
        return _margin_equity(self.memory, self.k)

    def position(self, symbol: str) -> float:
        """Signed base units held."""
        return float(self.legs["qty"][self._leg(symbol)])

    def weight(self, symbol: str) -> float:
        """The position's value as a share of equity."""
        leg = self._leg(symbol)
        return float(self.legs["qty"][leg] * self.memory.marks[self.columns[leg]] / self.equity)

    def history(self, symbol: str, bars: int, column: str = "close") -> Floats:
        """The last values of a column up to the present bar, oldest first, without gaps; at most `bars`."""
        leg = self._leg(symbol)
        n, past = self.columns[leg], self.past
        reach = bars
        while True:
            rows = slice(max(0, self.at + 1 - reach), self.at + 1)
            exists = np.isfinite(self.panel.close[rows, n])
            if exists.sum() >= bars or rows.start == 0:
                break
            reach *= 2
        found = np.array(getattr(self.panel, column)[rows, n][exists][-bars:])
        if found.size < bars and len(past[column]):
            before = past[column][np.isfinite(past["close"][:, leg]), leg]
            found = np.concatenate((before, found))[-bars:]
        return found

    def target(
        self, symbol: str, weight: float, *, stop: float = 0.0, take_profit: float = 0.0, trail: float = 0.0
    ) -> None:
        """Want a position worth `weight` x equity, with exits if any; a changed weight is traded."""
        leg = self._leg(symbol)
        if not np.isfinite(weight):
            raise StrategyError(f"a target of {weight} for {symbol} is no number", where=self.strategy.name)
        if not self.may_trade(self.at):
            return
        row = self.legs[leg]
        row["desired"] = weight
        plan = Plan(float(weight), float(stop), float(take_profit), float(trail))
        if stop or take_profit or trail or row["armed"]:
            self._protect(row, plan)

    def rebalance(self, symbol: str, weight: float) -> None:
        """Want a position worth `weight` x equity, traded even if the weight is the one wanted before."""
        self.target(symbol, weight)
        if self.may_trade(self.at):
            self.legs["achieved"][self._leg(symbol)] = np.nan

    def transfer(self, to: str, amount: float) -> None:
        """Move cash at once from the other market to `spot` or `um`."""
        target, purses = Market(to), self.memory.sleeves["cash"][self.k]
        source = MARGIN if target is Market.SPOT else SPOT
        free = float(purses[SPOT])
        if source == MARGIN:
            free = _margin_free(self.memory, self.k)
        if not 0.0 <= amount <= free + 1e-9:
            raise StrategyError(
                f"{amount:,.2f} cannot be moved to {to}: {free:,.2f} is free", where=self.strategy.name
            )
        purses[source] -= amount
        purses[1 - source] += amount

    def _leg(self, symbol: str) -> int:
        try:
            return self.names.index(symbol)
        except ValueError:
            raise StrategyError(
                f"{self.strategy.name!r} does not trade {symbol!r}",
                remedy=f"it trades {', '.join(self.names)}",
            ) from None

    def remember(self) -> bytes:
        """The object's attributes and the bars of its warm-up, or why they cannot be kept."""
        kept = max(1, self.strategy.warmup(self.values))
        tail = {
            name: np.concatenate((held, getattr(self.panel, name)[-kept:][:, self.columns]))[-kept:]
            for name, held in self.past.items()
        }
        try:
            return pickle.dumps((vars(self.behaviour), tail))
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            return f"!{error}".encode()

    def recall(self, held: bytes) -> None:
        """Take them over."""
        if held.startswith(b"!"):
            raise StrategyError(
                f"the memory of {self.strategy.name!r} cannot be kept: {held[1:].decode()}",
                remedy="keep what pickle can keep, or run without a break",
            )
        remembered, self.past = pickle.loads(held)
        vars(self.behaviour).update(remembered)
        self.begun = True


def _margin_equity(memory: Memory, k: int) -> float:
    """A sleeve's equity on the margin account."""
    legs, quotes = memory.legs, memory.quotes
    mine = (legs["strategy"] == k) & ~quotes["spot"][legs["instrument"]]
    value = legs["qty"][mine] * memory.marks[legs["instrument"][mine]]
    return float(memory.sleeves["cash"][k, MARGIN] + value.sum())


def _margin_free(memory: Memory, k: int) -> float:
    """What a sleeve's futures positions do not tie up."""
    if memory.account["isolated"][0]:
        sleeves, quotes, legs = (
            part.view(np.recarray) for part in (memory.sleeves, memory.quotes, memory.legs)
        )
        return float(free_cash_of(sleeves, quotes, legs, k))
    return _margin_equity(memory, k) - _margin_used(memory, k)


def _margin_used(memory: Memory, k: int) -> float:
    """Initial margin of a sleeve's futures positions."""
    used = 0.0
    for leg in memory.legs[memory.legs["strategy"] == k]:
        n = int(leg["instrument"])
        if leg["qty"] != 0.0 and not memory.quotes["spot"][n]:
            notional = abs(float(leg["qty"])) * float(memory.marks[n])
            used += notional / leverage_at(notional, margin_terms(memory, n))
    return used

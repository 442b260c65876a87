"""Strategies that decide in Python: allocators, free Python strategies, steps under a debugger."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import numpy.typing as npt

from qtm.backtest.account.ledger import AccountLedger
from qtm.backtest.account.memory import ACCOUNT_CAUSES, MARGIN, SPOT, Memory, margin_of_quote
from qtm.backtest.account.panel import PRICES, Panel
from qtm.backtest.account.wallets import free_cash_of
from qtm.backtest.intrabar import arm
from qtm.clock import iso_utc
from qtm.errors import StrategyError
from qtm.market.bars import Bar
from qtm.market.instruments import Market
from qtm.strategies.allocator_contract import AllocatorStrategy, Weights, Window, period_of
from qtm.strategies.blame import blamed_on
from qtm.strategies.contract import StepStrategy
from qtm.strategies.python_contract import FillNote, PythonStrategy
from qtm.trading.book import Account
from qtm.trading.margin import leverage_at
from qtm.trading.plan import Plan, plan_of

Floats = npt.NDArray[np.float64]


class _InPython:
    """What they share: their legs, their names, and the account as they may see it."""

    compiled: StepStrategy | None = None
    ahead = False
    arguments: tuple[Any, ...] = ()

    def __init__(self, k: int, panel: Panel, memory: Memory) -> None:
        self.k, self.panel, self.memory = k, panel, memory
        self.first, self.last = int(memory.sleeves["first"][k]), int(memory.sleeves["last"][k])
        self.legs = memory.legs[self.first : self.last]
        self.columns = self.legs["instrument"].copy()
        self.names = tuple(panel.names[n] for n in self.columns)
        self.wake = np.ones(len(panel), dtype=bool)
        self.notes: list[tuple[int, str, str]] = []

    def start(self) -> None:
        """Nothing to prepare."""

    def hear(self, rows: npt.NDArray[np.void], i: int) -> None:
        """Nothing to hear."""

    @property
    def equity(self) -> float:
        """The sleeve's equity at the last close."""
        return float(self.memory.sessions["last_equity"][self.k])

    def closed_ms(self, i: int) -> int:
        """When bar `i` closed."""
        return int(self.panel.open_time_ms[i]) + self.panel.interval.ms

    def may_trade(self, i: int) -> bool:
        """False while bars only warm the strategies up."""
        return int(self.panel.open_time_ms[i]) >= int(self.memory.account["trade_from_ms"][0])

    def forget_relisted(self) -> None:
        """A symbol that came back is another coin; there is nothing of the old one to keep."""
        self.legs["relisted"] = False


class AllocatorSitting(_InPython):
    """An allocator: wakes at its rebalances only."""

    def __init__(
        self, strategy: AllocatorStrategy, values: Any, k: int, panel: Panel, memory: Memory
    ) -> None:
        super().__init__(k, panel, memory)
        self.strategy, self.values = strategy, values
        self.window, self.every = strategy.window(values), strategy.every(values)
        self.drift = float(strategy.drift(values))
        self.past = np.empty((0, self.columns.size))
        self.bars, self.period = 0, -1
        if self.window < 1:
            raise StrategyError(f"a window of {self.window} returns is none", where=strategy.name)

    def start(self) -> None:
        """Work out at which closes a rebalance is due; that depends on nothing but the clock."""
        count = self.bars + np.arange(1, len(self.panel) + 1)
        closed = self.panel.open_time_ms + self.panel.interval.ms
        if isinstance(self.every, str):
            periods = period_of(self.every, closed)
            due = np.diff(periods, prepend=self.period) != 0
            if self.period < 0:
                due[0] = False  # the first close begins no period
            self.period = int(periods[-1])
        else:
            due = count % self.every == 0
        self.wake = due & (count > self.window) & (self.panel.open_time_ms >= self._from_ms)
        self.bars = int(count[-1])

    @property
    def _from_ms(self) -> int:
        return int(self.memory.account["trade_from_ms"][0])

    def decide(self, i: int, ledger: AccountLedger) -> None:
        """Ask for weights and want those that differ enough from what is held."""
        if not self.wake[i] or self.equity <= 0.0:
            return  # not due, or nothing left to allocate
        self.forget_relisted()
        closes = self._closes(i)
        with np.errstate(invalid="ignore", divide="ignore"):
            returns = closes[1:] / closes[:-1] - 1.0
        held = self.legs["qty"] * self.memory.marks[self.columns] / self.equity
        window = Window(self.names, self.closed_ms(i), returns, closes, held)
        during = f"the rebalance at {iso_utc(window.time_ms)}"
        with blamed_on(self.strategy.name, self.strategy.source, during):
            given = self.strategy.allocate(self.values, window)
            noted = given if isinstance(given, Weights) else Weights(given)
            answer = np.asarray(noted.values, dtype=np.float64)
        if answer.shape != held.shape or np.isinf(answer).any():
            raise StrategyError(
                f"{self.strategy.name!r} answered weights of shape {answer.shape} for {held.size} symbols"
                if answer.shape != held.shape
                else f"{self.strategy.name!r} answered an infinite weight",
                where=f"{self.strategy.source}, {during}",
                remedy="answer one finite weight per symbol; NaN keeps a holding",
            )
        if noted.note:
            self.notes.append((window.time_ms, self.strategy.name, noted.note))
        if len(ledger.signals):
            ledger.signals[i, self.first : self.last] = answer
        leave = (answer == 0.0) & (held != 0.0)
        traded = np.isfinite(answer) & ((np.abs(answer - held) > self.drift) | leave)
        self.legs["desired"][traded] = answer[traded]
        self.legs["achieved"][traded] = np.nan  # the same weight as last time is traded again
        near = np.isfinite(answer) & ~traded  # an order that led towards an earlier weight goes no further
        self.legs["desired"][near] = self.legs["achieved"][near] = answer[near]

    def _closes(self, i: int) -> Floats:
        """The closes of the last window, with those from before these bars when a snapshot brought them."""
        first = max(0, i - self.window)
        rows = np.array(self.panel.close[first : i + 1][:, self.columns])
        missing = self.window + 1 - len(rows)
        return np.concatenate((self.past[len(self.past) - missing :], rows)) if missing > 0 else rows

    def remember(self) -> bytes:
        """Bars and period counted, and the closes the next window may need."""
        kept = np.concatenate((self.past, self.panel.close[-(self.window + 1) :][:, self.columns]))
        return pickle.dumps((self.bars, self.period, kept[-(self.window + 1) :]))

    def recall(self, held: bytes) -> None:
        """Take them over."""
        self.bars, self.period, self.past = pickle.loads(held)


class PythonSitting(_InPython):
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
                panel = self.panel
                bars[name] = Bar(
                    int(panel.open_time_ms[i]),
                    float(panel.open[i, n]),
                    float(panel.high[i, n]),
                    float(panel.low[i, n]),
                    float(panel.close[i, n]),
                    float(panel.volume[i, n]),
                    float(self.memory.ticks[n]),
                )
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
            arm(row, row, plan, _margin_terms(self.memory, int(self.columns[leg])))
            self.memory.account["watched"] |= bool(row["armed"])

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


class DebuggedSitting(_InPython):
    """A compiled strategy's step run as plain Python, bar by bar, where breakpoints work."""

    def __init__(self, strategy: StepStrategy, values: Any, k: int, panel: Panel, memory: Memory) -> None:
        super().__init__(k, panel, memory)
        self.strategy, self.values = strategy, values
        self.states = np.zeros(self.columns.size, strategy.state_dtype)

    def decide(self, i: int, ledger: AccountLedger) -> None:
        """As `qtm.backtest.account.stepping.run_step`."""
        records = self.states.view(np.recarray)
        for own, n in enumerate(self.columns):
            close, leg = float(self.panel.close[i, n]), self.legs[own]
            if np.isnan(close):
                continue
            if leg["relisted"]:
                self.states[own] = np.zeros(1, self.states.dtype)[0]
                leg["relisted"] = False
            panel = self.panel
            bar = Bar(
                int(panel.open_time_ms[i]),
                float(panel.open[i, n]),
                float(panel.high[i, n]),
                float(panel.low[i, n]),
                close,
                float(panel.volume[i, n]),
                float(self.memory.ticks[n]),
            )
            account = Account(float(leg["qty"]), float(leg["entry_price"]), self.equity)
            with blamed_on(
                self.strategy.name, self.strategy.source, f"its step at {iso_utc(bar.open_time_ms)}"
            ):
                plan = plan_of(self.strategy.step(self.values, records[own], bar, account))
            if not self.may_trade(i):
                continue
            if len(ledger.signals):
                ledger.signals[i, self.first + own] = plan.target
            if not np.isnan(plan.target):
                leg["desired"] = plan.target
            if not (np.isnan(plan.stop) and np.isnan(plan.take_profit) and np.isnan(plan.trail)):
                exits = Plan(*(float(value) for value in plan))
                arm(leg, leg, exits, _margin_terms(self.memory, int(n)))
                self.memory.account["watched"] |= bool(leg["armed"])

    def remember(self) -> bytes:
        """The states' bytes."""
        return self.states.tobytes()

    def recall(self, held: bytes) -> None:
        """Take over the states."""
        self.states[...] = np.frombuffer(held, self.states.dtype)


def _margin_terms(memory: Memory, n: int) -> Any:
    """Leverage and brackets of an instrument."""
    return margin_of_quote(memory.quotes.view(np.recarray)[n])


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
            used += notional / leverage_at(notional, _margin_terms(memory, n))
    return used

"""Backtest strategies on one account that holds many assets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import numpy as np
import numpy.typing as npt

from qtm.backtest.account.answers import Answers, StepsAhead
from qtm.backtest.account.calling import call_kernel
from qtm.backtest.account.kernels import account_kernel, phase
from qtm.backtest.account.ledger import AccountLedger, new_account_ledger
from qtm.backtest.account.loop_source import AWAKE, DYING, FULL, WATCHED
from qtm.backtest.account.memory import Memory
from qtm.backtest.account.panel import Panel
from qtm.backtest.account.result import AccountLineage, AccountResult, AccountSnapshot, StrategyLine, words_of
from qtm.backtest.account.seats import Seat, Sitting, sit_down
from qtm.backtest.account.terms import Conditions, new_memory
from qtm.backtest.layout import check_layout, layout_of
from qtm.backtest.session import LossLimit
from qtm.clock import iso_utc
from qtm.errors import ConfigError, DataError, StrategyError
from qtm.risk.rules import HALTED, GateLimits
from qtm.risk.sized_targets import SizingBars, bars_to_measure, last_seen
from qtm.risk.sizing import SizingRule
from qtm.trading.margin import MarginMode


def run_account(
    seats: Sequence[Seat],
    panel: Panel,
    conditions: Conditions,
    *,
    resume: AccountSnapshot | None = None,
    keep_signals: bool = False,
    debug: bool = False,
    data_version: int | None = None,
    waivers: tuple[str, ...] = (),
    data_versions: Mapping[str, int] | None = None,
) -> AccountResult:
    """Run one or several strategies over a panel, on one account.

    Parameters
    ----------
    seats
        The strategies with their parameters, their shares of the cash, and the instruments they trade.
    panel
        Bars of all instruments.
    conditions
        Cash, costs, limits, margin and the rules of the account.
    resume
        Snapshot of a run that ended just before this panel.
    keep_signals
        Keep the target of every leg at every bar, shape (T, S); else only orders tell what was wanted.
    debug
        Run compiled steps as plain Python, where breakpoints work; the results are the same.
    data_version, waivers, data_versions
        Recorded in the lineage.

    Raises
    ------
    DataError
        For a panel without bars, or one that begins before the snapshot ends.
    StrategyError
        For parameters out of range, or a strategy that does not compile or fails.
    ConfigError
        For shares that are not positive or exceed one, or a seat that trades nothing.
    """
    if len(panel) == 0:
        raise DataError("there are no bars to run on", remedy="widen the dates or ingest them")
    check_seats(seats)
    memory = new_memory(seats, panel, conditions)
    sitting = [sit_down(seat, k, panel, memory, debug=debug) for k, seat in enumerate(seats)]
    if resume is not None:
        take_over(resume, seats, panel, memory, sitting)
    start = memory.legs.copy()
    ledger = new_account_ledger(len(panel), len(seats), memory.legs.size, keep_signals=keep_signals)
    rule = _widest_rule(seats, panel)
    tables = (panel.high, panel.low, panel.close)
    seen = bars_to_measure(rule, tables, b"" if resume is None else resume.seen)
    ledger = _run(sitting, panel, memory, seen, ledger)
    return AccountResult(
        panel=panel,
        cash=conditions.cash,
        equity=ledger.equity,
        gross=ledger.gross,
        sleeves=ledger.sleeves,
        signals=ledger.signals,
        order_rows=ledger.orders[: memory.account["written"][0]],
        legs=memory.legs,
        purses=memory.sleeves["cash"].copy(),
        start_qty=start["qty"],
        start_flow=start["flow"],
        bars_invested=int(memory.sessions["bars_invested"][-1]),
        insured=float(memory.account["insured"][0]),
        loss_limits=_loss_limits(seats, memory),
        sizes=memory.quotes["step_size"].copy(),
        notes=tuple(sorted(note for one in sitting for note in one.notes)),
        lineage=_lineage(seats, panel, conditions, memory, data_version, waivers, data_versions),
        snapshot=AccountSnapshot(
            tuple(seat.strategy.version for seat in seats),
            panel.keys,
            int(panel.open_time_ms[-1]),
            memory.to_bytes(),
            tuple(one.remember() for one in sitting),
            layout_of(memory.fields_that_change()),
            last_seen(rule, seen),
        ),
    )


def _loss_limits(seats: Sequence[Seat], memory: Memory) -> tuple[tuple[str, LossLimit], ...]:
    """What became of the loss limits of each strategy."""
    halting = memory.sleeves["limits"][:, GateLimits._fields.index("at_loss_limit")] == HALTED
    passed = memory.sessions["loss_limit_ms"]
    return tuple(
        (seat.strategy.name, LossLimit(int(passed[k]), bool(halting[k]))) for k, seat in enumerate(seats)
    )


def check_seats(seats: Sequence[Seat]) -> None:
    """Raise ConfigError for an account without strategies, or for shares that cannot be."""
    if not seats:
        raise ConfigError("an account needs at least one strategy")
    total = sum(seat.share for seat in seats)
    if any(seat.share <= 0.0 for seat in seats) or total > 1.0 + 1e-9:
        raise ConfigError(
            "the strategies' shares of the account must be positive and sum to at most 1",
            where=", ".join(f"{seat.strategy.name} {seat.share:g}" for seat in seats),
        )


def columns_of(panel: Panel) -> tuple[npt.NDArray[Any], ...]:
    """The panel as the machine code takes it: times, open, high, low, close, volume, funding rates."""
    tables = (panel.open, panel.high, panel.low, panel.close, panel.volume, panel.rates)
    return (
        np.ascontiguousarray(panel.open_time_ms, dtype=np.int64),
        *(np.asarray(np.ascontiguousarray(table, dtype=np.float64)) for table in tables),
    )


def take_over(
    resume: AccountSnapshot,
    seats: Sequence[Seat],
    panel: Panel,
    memory: Memory,
    sitting: Sequence[Sitting],
) -> None:
    """Go on from a snapshot; raises when it is another account's or the bars begin too early."""
    if resume.versions != tuple(seat.strategy.version for seat in seats) or resume.keys != panel.keys:
        raise StrategyError(
            "the snapshot is of other strategies or instruments",
            where=", ".join(resume.keys),
            remedy="start afresh, or run what made the snapshot",
        )
    if int(panel.open_time_ms[0]) <= resume.last_open_time_ms:
        raise DataError(
            "the bars begin before the snapshot ends",
            where=iso_utc(int(panel.open_time_ms[0])),
            remedy=f"give bars opening after {iso_utc(resume.last_open_time_ms)}",
        )
    check_layout(resume.layout, memory.fields_that_change(), ", ".join(seat.strategy.name for seat in seats))
    memory.restore(resume.memory)
    for one, held in zip(sitting, resume.strategies, strict=True):
        one.recall(held)


def _widest_rule(seats: Sequence[Seat], panel: Panel) -> SizingRule:
    """The sizing rule among the strategies' that looks back furthest."""
    return max((seat.sizing_on(panel)[1] for seat in seats), key=lambda rule: rule.window)


def _run(
    sitting: Sequence[Sitting], panel: Panel, memory: Memory, seen: SizingBars, ledger: AccountLedger
) -> AccountLedger:
    """Run the loop window by window, its steps a window ahead; returns the ledger, which may have grown."""
    for k, one in enumerate(sitting):
        mine = memory.lines[memory.sleeves["first"][k] : memory.sleeves["last"][k]]
        mine["compiled"] = one.compiled is not None
        mine["stepped_ms"] = memory.seen[mine["instrument"]]
        one.start()
    loop, mapped = _Loop(sitting, panel, memory, seen), panel.mapped()
    steps = StepsAhead(sitting, panel, memory, loop.columns, ledger.signals)
    with closing(steps.windows()) as windows:
        for first, last, answers in windows:
            ledger = loop.run(ledger, answers, first, last)
            for table in mapped.values():
                table.forget(first, last)
    return ledger


class _Loop:
    """The compiled loop and the strategies that sit around it."""

    def __init__(self, sitting: Sequence[Sitting], panel: Panel, memory: Memory, seen: SizingBars) -> None:
        self.sitting, self.memory, self.columns, self.seen = sitting, memory, columns_of(panel), seen
        isolated = bool(memory.account["isolated"][0])
        self.margin = (MarginMode.ISOLATED if isolated else MarginMode.CROSS) if panel.is_margined else None
        self.inside = [one.compiled if not one.ahead else None for one in sitting]
        self.arguments = [part for one in sitting if not one.ahead for part in one.arguments]
        self.wake = _wake(sitting)
        self.told = 0
        asks = any(one is not None for one in self.inside)
        self.kernel = self._kernel(watching=self.margin is not None or asks)

    def _kernel(self, *, watching: bool) -> Any:
        counting = any(not one.ahead for one in self.sitting)
        return account_kernel(self.inside, margin=self.margin, watching=watching, counting=counting).run

    def run(self, ledger: AccountLedger, answers: Answers, first: int, last: int) -> AccountLedger:
        """Run bars `first` to `last` (exclusive), whatever the loop comes back for; returns the ledger."""
        at, decided = first, False
        while at < last:
            at, why = call_kernel(
                self.sitting, self.kernel, *self.memory, *answers, self.columns, self.seen, ledger,
                self.wake, first, at, last, decided, *self.arguments,
            )  # fmt: skip
            decided = False
            if why == FULL:
                ledger = ledger.with_room()
            elif why == WATCHED:
                self.kernel = self._kernel(watching=True)
            elif why == DYING:
                self._write_off(ledger, at)
            elif why == AWAKE:
                self._decide(ledger, at)
                decided = True
        return ledger

    def _write_off(self, ledger: AccountLedger, at: int) -> None:
        """Write off the symbols that have not traded for too long when bar `at` opens."""
        m = self.memory
        m.quotes["close"], m.quotes["seen_ms"] = m.marks, m.seen
        phase("write_off_dead")(
            m.account[0], m.sleeves, m.quotes, m.legs, m.waiting, ledger.orders, self.columns[0][at], at
        )

    def _decide(self, ledger: AccountLedger, at: int) -> None:
        """Let the strategies in Python hear of their orders and decide at the close of bar `at`."""
        written = int(self.memory.account["written"][0])
        for one in self.sitting:
            one.hear(ledger.orders[self.told : written], at)
        self.told = written
        for one in self.sitting:
            one.decide(at, ledger)


def _wake(sitting: Sequence[Sitting]) -> npt.NDArray[np.uint8]:
    """Bars at which Python decides; empty when nothing but machine code does."""
    asked = [one.wake for one in sitting if one.compiled is None]
    if not asked:
        return np.empty(0, np.uint8)
    return np.ascontiguousarray(np.logical_or.reduce(asked), dtype=np.uint8)


def _lineage(
    seats: Sequence[Seat],
    panel: Panel,
    conditions: Conditions,
    memory: Memory,
    data_version: int | None,
    waivers: tuple[str, ...],
    data_versions: Mapping[str, int] | None,
) -> AccountLineage:
    lines = tuple(
        StrategyLine(
            seat.strategy.name,
            seat.strategy.version,
            seat.strategy.kind,
            dict(seat.values._asdict()),
            seat.share,
            tuple(panel.names[n] for n in seat.columns(panel)),
            seat.sizing_in_words(panel),
        )
        for seat in seats
    )
    return AccountLineage(
        **words_of(lines, panel.names),
        market="+".join(sorted({str(one.market) for one in panel.instruments})),
        strategies=lines,
        symbols=panel.names,
        interval=str(panel.interval),
        first_ms=int(panel.open_time_ms[0]),
        last_ms=int(panel.open_time_ms[-1]),
        bars=len(panel),
        cash=conditions.cash,
        costs={market: costs._asdict() for market, costs in conditions.costs_by_market(panel).items()},
        limits=conditions.limits_digest(panel),
        margin_mode=str(conditions.margin_mode),
        leverage=conditions.leverage,
        leverages=conditions.leverages(panel),
        funding=panel.funding or ("not named" if len(panel.rates) else None),
        band=conditions.band,
        write_off_days=float(memory.account["write_off_ms"][0]) / 86_400_000,
        haircut=conditions.haircut,
        data_version=data_version,
        waivers=waivers,
        data_versions=dict(data_versions or {}),
    )

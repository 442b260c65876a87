"""Prove that a strategy cannot see the future and that all its runs are one and the same.

The contract hands a step one closed bar at a time, so look-ahead should be impossible; these checks prove it
for each strategy anyway, on a made-up market with trends, jumps and flat stretches.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from qtm.backtest.engine import BacktestResult, call_kernel, run_backtest
from qtm.errors import StrategyError
from qtm.market.bars import Bar, BarSeries
from qtm.market.instruments import Instrument, Market
from qtm.market.intervals import Interval
from qtm.strategies.blame import blamed_on
from qtm.strategies.contract import StepStrategy
from qtm.trading.book import Account, Sizing
from qtm.trading.costs import UM_COSTS, nearest_ticks
from qtm.trading.plan import plan_of

_MOST_CUTS = 2_000
_PLAIN = 300

PROOF_CASH = 100_000.0
"""Quote currency every proof starts with."""
PROOF_INSTRUMENT = Instrument(
    market=Market.UM,
    symbol="PROOF",
    base="PRF",
    quote="USDT",
    tick_size=Decimal("0.01"),
    step_size=Decimal("0.001"),
    min_qty=Decimal("0.001"),
    max_qty=Decimal(10**6),
    min_notional=Decimal(5),
)
"""What the made-up markets trade, on the tick grid of `proof_market`."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One proof and what was seen; `acceptable` when another person may judge that it is harmless."""

    name: str
    passed: bool
    observed: str
    acceptable: bool = False


@dataclass(frozen=True, slots=True)
class Proof:
    """All findings about one strategy."""

    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """True when every proof holds but for what another person may accept."""
        return all(finding.passed or finding.acceptable for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"passed": self.passed, "findings": [dataclasses.asdict(one) for one in self.findings]}


def check_strategy(strategy: StepStrategy, params: Mapping[str, Any] | None = None, seed: int = 1) -> Proof:
    """Run every proof; see the functions below.

    Raises
    ------
    StrategyError
        When the parameters are out of range or the step does not compile.
    """
    values = strategy.params(params)
    length = max(1_000, 5 * strategy.warmup(values))
    bars = proof_market(length, seed)
    whole = _run(strategy, values, bars)
    return Proof(
        (
            _answers(strategy, values, whole),
            _repeatable(strategy, values, bars, whole),
            _truncated(strategy, values, bars, whole),
            _poisoned(strategy, values, bars, whole),
            _one_by_one(strategy, values, bars, whole),
            _plain(strategy, values, bars, whole),
            _resumed(strategy, values, bars, whole),
        )
    )


def proof_market(length: int, seed: int) -> BarSeries:
    """A made-up market on the tick grid: regimes of drift and volatility, jumps, and a flat stretch."""
    random = np.random.default_rng(seed)
    regime = np.repeat(random.normal(0.0, 4e-4, length // 50 + 1), 50)[:length]
    noise = (
        random.standard_t(4, length) * np.repeat(random.uniform(5e-4, 4e-3, length // 80 + 1), 80)[:length]
    )
    moves = regime + noise
    moves[length // 3 : length // 3 + length // 20] = 0.0
    close = np.round(100.0 * np.exp(np.cumsum(moves)), 2)
    opened = np.round(np.concatenate(([100.0], close[:-1])) * (1.0 + random.normal(0.0, 2e-4, length)), 2)
    reach = np.abs(random.normal(0.0, 1e-3, (2, length)))
    high = np.round(np.maximum(opened, close) * (1.0 + reach[0]), 2)
    low = np.round(np.minimum(opened, close) * (1.0 - reach[1]), 2)
    times = 1_700_006_400_000 + np.arange(length, dtype=np.int64) * Interval.H1.ms
    volume = np.round(random.gamma(2.0, 50.0, length), 3)
    return BarSeries(PROOF_INSTRUMENT.symbol, Interval.H1, times, opened, high, low, close, volume)


def _run(strategy: StepStrategy, values: Any, bars: BarSeries, **more: Any) -> BacktestResult:
    return run_backtest(
        strategy, values, bars, PROOF_INSTRUMENT, cash=PROOF_CASH, costs=UM_COSTS, sizing=Sizing(), **more
    )


def _same(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> bool:
    """Bit for bit, NaN equal to NaN."""
    return bool(np.array_equal(a, b, equal_nan=True))


def _answers(strategy: StepStrategy, values: Any, whole: BacktestResult) -> Finding:
    given = whole.signals[~np.isnan(whole.signals)]
    early = int((~np.isnan(whole.signals[: max(0, strategy.warmup(values) - 1)])).sum())
    sane = bool(given.size and np.all(np.abs(given) <= 100.0)) and early == 0
    span = f"between {given.min():g} and {given.max():g}" if given.size else "never a target"
    words = f"{given.size} targets {span}, {len(whole.order_rows)} orders"
    return Finding(
        "answers sanely after its warm-up", sane, words + (f", {early} too early" if early else "")
    )


def _repeatable(strategy: StepStrategy, values: Any, bars: BarSeries, whole: BacktestResult) -> Finding:
    again = _run(strategy, values, bars)
    equal = _same(again.signals, whole.signals) and _same(again.equity, whole.equity)
    return Finding("two runs are equal", equal, "bit for bit" if equal else "signals or equity differ")


def _truncated(strategy: StepStrategy, values: Any, bars: BarSeries, whole: BacktestResult) -> Finding:
    """Data cut off after a bar (every bar of a short proof): everything before must stay as it was."""
    cuts = np.unique(np.linspace(1, len(bars) - 1, min(len(bars) - 1, _MOST_CUTS)).astype(int)).tolist()
    for stop in cuts:
        part = _run(strategy, values, bars.slice(0, stop))
        if not (_same(part.signals, whole.signals[:stop]) and _same(part.equity, whole.equity[:stop])):
            return Finding("blind to bars cut off", False, f"differs when the data end after bar {stop}")
    return Finding("blind to bars cut off", True, f"equal at each of {len(cuts)} cuts")


def _poisoned(strategy: StepStrategy, values: Any, bars: BarSeries, whole: BacktestResult) -> Finding:
    """The future replaced by absurd prices: the past must stay as it was."""
    cuts = np.unique(np.linspace(1, len(bars) - 1, 60).astype(int))
    for cut in cuts.tolist():
        opened, high, low, close, volume = (
            np.concatenate((column[:cut], column[cut:] * factor))
            for column, factor in (
                (bars.open, 37.0),
                (bars.high, 91.0),
                (bars.low, 0.01),
                (bars.close, 53.0),
                (bars.volume, 1e6),
            )
        )
        absurd = BarSeries(bars.symbol, bars.interval, bars.open_time_ms, opened, high, low, close, volume)
        spoiled = _run(strategy, values, absurd)
        if not (
            _same(spoiled.signals[:cut], whole.signals[:cut])
            and _same(spoiled.equity[:cut], whole.equity[:cut])
        ):
            return Finding(
                "blind to a poisoned future", False, f"differs when bars from {cut} on are spoiled"
            )
    return Finding("blind to a poisoned future", True, f"equal at each of {len(cuts)} cuts")


def _one_by_one(strategy: StepStrategy, values: Any, bars: BarSeries, whole: BacktestResult) -> Finding:
    """The step called once per bar, as the live stream does, gives the bits of the compiled loop."""
    state = strategy.new_state()[0]
    for i, (bar, account) in enumerate(_seen(bars, whole)):
        target = plan_of(call_kernel(strategy, strategy.compiled_step, values, state, bar, account)).target
        if not _same(np.array([target]), whole.signals[i : i + 1]):
            return Finding("one bar at a time equals the loop", False, f"differs at bar {i}")
    return Finding("one bar at a time equals the loop", True, f"{len(bars)} bars bit for bit")


def _plain(strategy: StepStrategy, values: Any, bars: BarSeries, whole: BacktestResult) -> Finding:
    """The step as plain Python: machine code reads beyond the end of an array without a word."""
    name = "plain Python equals compiled"
    count = min(len(bars), strategy.warmup(values) + _PLAIN)
    state = np.zeros(1, strategy.state_dtype).view(np.recarray)[0]
    for i, (bar, account) in enumerate(itertools.islice(_seen(bars, whole), count)):
        try:
            with blamed_on(strategy.name, strategy.source, f"its step at bar {i}"):
                target = plan_of(strategy.step(values, state, bar, account)).target
        except StrategyError as error:
            return Finding(name, False, str(error))
        if not _same(np.array([target]), whole.signals[i : i + 1]):
            return Finding(name, False, f"differs at bar {i}")
    return Finding(name, True, f"{count} bars bit for bit")


def _seen(bars: BarSeries, whole: BacktestResult) -> Iterator[tuple[Bar, Account]]:
    """Each bar with the account at its close, as a step gets them."""
    held = _positions(whole)
    tick = float(PROOF_INSTRUMENT.tick_size)
    for i in range(len(bars)):
        bar = Bar(
            int(bars.open_time_ms[i]),
            float(bars.open[i]),
            float(bars.high[i]),
            float(bars.low[i]),
            float(bars.close[i]),
            float(bars.volume[i]),
            nearest_ticks(float(bars.close[i]), tick),
        )
        yield bar, Account(held[i, 0], held[i, 1], float(whole.equity[i]))


def _positions(whole: BacktestResult) -> npt.NDArray[np.float64]:
    """Quantity and entry price at each close, shape (T, 2), from the finished orders."""
    held = np.zeros((len(whole.bars), 2))
    for row in whole.order_rows:
        held[int(row["bar"]) + 1 :, 0] = row["qty_after"]
        held[int(row["bar"]) + 1 :, 1] = row["entry_after"]
    return held


def _resumed(strategy: StepStrategy, values: Any, bars: BarSeries, whole: BacktestResult) -> Finding:
    """Stopping after a bar and going on from the snapshot's bytes changes nothing."""
    for cut in np.unique(np.linspace(1, len(bars) - 1, 20).astype(int)).tolist():
        head = _run(strategy, values, bars.slice(0, cut))
        tail = _run(strategy, values, bars.slice(cut, len(bars)), resume=head.snapshot)
        if not (_same(tail.signals, whole.signals[cut:]) and _same(tail.equity, whole.equity[cut:])):
            return Finding("resumes from a snapshot", False, f"differs after a stop at bar {cut}")
    return Finding("resumes from a snapshot", True, "equal at each of 20 stops")

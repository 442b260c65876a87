"""Prove that an allocator or a Python strategy cannot see the future and that its runs are one and the same.

Python could reach around its contract, so nothing is taken on trust: the data are cut off at every bar of a
made-up market, and the future is replaced by absurd prices; everything before must stay as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from qtm.backtest.account.engine import run_account
from qtm.backtest.account.panel import PRICES, Listed, Panel
from qtm.backtest.account.result import AccountResult
from qtm.backtest.account.seats import Seat
from qtm.backtest.account.terms import Conditions
from qtm.backtest.look_ahead import PROOF_CASH, PROOF_INSTRUMENT, Finding, Proof, proof_market
from qtm.market.instruments import Instrument, Market
from qtm.strategies.allocator_contract import AllocatorStrategy
from qtm.strategies.python_contract import PythonStrategy

_CONDITIONS = Conditions(PROOF_CASH)
_SYMBOLS = 4
_MOST_CUTS = 300
_STOPS = 10


def check_account_strategy(
    strategy: AllocatorStrategy | PythonStrategy, params: Mapping[str, Any] | None = None
) -> Proof:
    """Run every proof on a made-up market of a few symbols, one of which is listed late.

    Raises
    ------
    StrategyError
        When the parameters are out of range or the strategy fails.
    """
    seat = Seat(strategy, params)
    values = seat.values
    length = max(160, 3 * strategy.warmup(values))
    panel = _market(strategy, length)
    whole = _run(seat, panel)
    return Proof(
        (
            _answers(strategy, values, whole),
            _repeatable(seat, panel, whole),
            _truncated(seat, panel, whole),
            _poisoned(seat, panel, whole),
            _resumed(seat, panel, whole),
        )
    )


def _market(strategy: AllocatorStrategy | PythonStrategy, length: int) -> Panel:
    """Made-up futures, or a spot and a futures market of one coin where the strategy asks for two markets."""
    count = strategy.symbols if isinstance(strategy, PythonStrategy) and strategy.symbols else _SYMBOLS
    listed = []
    for number in range(count):
        bars = proof_market(length, number + 1)
        if number == count - 1 and count > 2:
            bars = bars.slice(length // 10, length)
        listed.append(Listed(_instrument(f"PROOF{number}", Market.UM), bars))
    if isinstance(strategy, PythonStrategy) and set(strategy.markets) == {"spot", "um"}:
        spot = proof_market(length, 1)
        premium = np.round(spot.close * (1.0 + 0.002 * np.sin(np.arange(length) / 20.0)), 2)
        future = replace(
            spot,
            close=premium,
            open=np.concatenate(([spot.open[0]], premium[:-1])),
            high=np.maximum(spot.high, premium) * 1.01,
            low=np.minimum(spot.low, premium) * 0.99,
        )
        listed = [
            Listed(_instrument("PROOF", Market.SPOT), spot),
            Listed(_instrument("PROOF", Market.UM), future),
        ]
    return Panel.of(listed)


def _instrument(symbol: str, market: Market) -> Instrument:
    return replace(PROOF_INSTRUMENT, market=market, symbol=symbol, base=symbol)


def _run(seat: Seat, panel: Panel, **more: Any) -> AccountResult:
    return run_account([seat], panel, _CONDITIONS, keep_signals=True, **more)


def _same(part: AccountResult, whole: AccountResult, rows: int, first: int = 0) -> bool:
    """Signals and equity bit for bit over `rows` rows of the whole run, from `first` on."""
    kept = slice(first, first + rows)
    return np.array_equal(part.signals[:rows], whole.signals[kept], equal_nan=True) and np.array_equal(
        part.equity[:rows], whole.equity[kept]
    )


def _answers(strategy: AllocatorStrategy | PythonStrategy, values: Any, whole: AccountResult) -> Finding:
    given = whole.signals[~np.isnan(whole.signals)]
    early = int((~np.isnan(whole.signals[: max(0, strategy.warmup(values) - 1)])).sum())
    sane = bool(given.size and np.all(np.abs(given) <= 100.0)) and early == 0
    span = f"between {given.min():.3g} and {given.max():.3g}" if given.size else "never a target"
    words = f"{given.size} targets {span}, {len(whole.order_rows)} orders"
    return Finding(
        "answers sanely after its warm-up", sane, words + (f", {early} too early" if early else "")
    )


def _repeatable(seat: Seat, panel: Panel, whole: AccountResult) -> Finding:
    equal = _same(_run(seat, panel), whole, len(panel))
    return Finding("two runs are equal", equal, "bit for bit" if equal else "signals or equity differ")


def _cuts(panel: Panel, most: int) -> list[int]:
    found: list[int] = np.unique(
        np.linspace(1, len(panel) - 1, min(len(panel) - 1, most)).astype(int)
    ).tolist()
    return found


def _truncated(seat: Seat, panel: Panel, whole: AccountResult) -> Finding:
    """Data cut off after a bar (every bar of a short proof): everything before must stay as it was."""
    cuts = _cuts(panel, _MOST_CUTS)
    for stop in cuts:
        if not _same(_run(seat, panel.slice(0, stop)), whole, stop):
            return Finding("blind to bars cut off", False, f"differs when the data end after bar {stop}")
    return Finding("blind to bars cut off", True, f"equal at each of {len(cuts)} cuts")


def _poisoned(seat: Seat, panel: Panel, whole: AccountResult) -> Finding:
    """The future replaced by absurd prices: the past must stay as it was."""
    cuts = _cuts(panel, 30)
    factors = {"open": 37.0, "high": 91.0, "low": 0.01, "close": 53.0, "volume": 1e6}
    for cut in cuts:
        absurd: dict[str, Any] = {}
        for name in (*PRICES, "volume"):
            table = getattr(panel, name).copy()
            table[cut:] *= factors[name]
            absurd[name] = table
        if not _same(_run(seat, replace(panel, **absurd)), whole, cut):
            return Finding(
                "blind to a poisoned future", False, f"differs when bars from {cut} on are spoiled"
            )
    return Finding("blind to a poisoned future", True, f"equal at each of {len(cuts)} cuts")


def _resumed(seat: Seat, panel: Panel, whole: AccountResult) -> Finding:
    """Stopping after a bar and going on from the snapshot's bytes changes nothing."""
    for cut in _cuts(panel, _STOPS):
        head = _run(seat, panel.slice(0, cut))
        tail = _run(seat, panel.slice(cut, len(panel)), resume=head.snapshot)
        if not _same(tail, whole, len(panel) - cut, cut):
            return Finding("resumes from a snapshot", False, f"differs after a stop at bar {cut}")
    return Finding("resumes from a snapshot", True, f"equal at each of {_STOPS} stops")

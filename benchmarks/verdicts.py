"""The bundled strategies examined for luck on real history: the table of docs/explanation/overfitting.md.

    qtm ingest bars -i 1d --from 2020-07-01 --to 2026-01-01
    qtm ingest bars -i 1h -s BTCUSDT,ETHUSDT --from 2021-04-04 --to 2023-12-31
    qtm ingest bars -i 1m -s BTCUSDT --from 2024-01-01 --to 2025-07-01
    qtm ingest bars -i 5m --market um -s BTCUSDT,ETHUSDT --from 2023-01-01 --to 2024-05-14
    qtm ingest funding --market um -s BTCUSDT,ETHUSDT --from 2023-01-01 --to 2024-05-15
    qtm ingest trades -s BTCUSDT --from 2024-08-08 --to 2024-08-10
    python -m benchmarks.verdicts [--only NAME ...] [--json FILE]

It reads the lake of the settings and writes nothing but the hourly futures bars, which it makes of the
five-minute ones. Trials are counted in a registry of their own, so running it again changes nothing; each
verdict knows of the trials of all studies of its strategy, on whatever bars.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qtm.backtest.overfitting.assessment import Assessment, assessment_table
from qtm.backtest.overfitting.explanations import gates_of
from qtm.backtest.overfitting.verdict import Control, Verdict
from qtm.backtest.registry import TrialRegistry
from qtm.backtest.session import DAY_MS
from qtm.clock import iso_utc
from qtm.errors import DataError, QtmError
from qtm.honesty import examine
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake
from qtm.market.resample import resample
from qtm.settings import settings
from qtm.store.database import open_database

_PERPETUALS = ("BTCUSDT", "ETHUSDT")
_COINS = (
    "AAVE ADA ALGO AVAX BCH BNB BTC DOGE DOT ETC ETH FIL HBAR ICP LINK LTC NEAR PAXG SHIB SOL TRX VET XLM XRP"
)
COINS = ",".join(f"{coin}USDT" for coin in _COINS.split())
"""Coins that are still traded: a strategy that chooses among them knows which ones survived."""


@dataclass(frozen=True)
class Study:
    """One strategy on symbols of the lake, and the values its parameters may take."""

    strategy: str
    grid: Mapping[str, Sequence[float]]
    symbols: str
    interval: str
    start: str
    end: str


_DAYS = ("BTCUSDT", "1d", "2020-07-01", "2026-01-01")
_HOURS = ("BTCUSDT", "1h", "2021-04-04", "2023-12-31")
_MINUTES = ("BTCUSDT", "1m", "2024-01-01", "2025-07-01")
_FUTURES = ("um:BTCUSDT", "5m", "2023-01-01", "2024-05-14")
_ALL_COINS = (COINS, "1d", "2020-07-01", "2026-01-01")
_LEGS = ("um:BTCUSDT,um:ETHUSDT", "1h", "2023-01-01", "2024-05-14")
_TRADES = ("BTCUSDT", "trades", "2024-08-08", "2024-08-10")
_CARRY = ("spot:BTCUSDT,um:BTCUSDT", "1h", "2023-01-01", "2023-12-31")

STUDIES = (
    Study("trend", {"fast": (5, 10, 20, 40), "slow": (50, 100, 150, 200)}, *_DAYS),
    Study("momentum", {"lookback": (30, 60, 90, 180), "every": (1, 7), "volatility": (0.02,)}, *_DAYS),
    Study("level-risk", {"length": (30, 60, 120, 240), "volatility": (0.01, 0.02, 0.03)}, *_DAYS),
    Study("breakout", {"channel": (20, 40, 80), "ranges": (14, 28), "width": (3, 6)}, *_DAYS),
    Study("rsi-dip", {"length": (7, 14), "entry": (25, 35), "exit": (55, 65), "trend": (100, 200)}, *_DAYS),
    Study("regime", {"fast": (5, 10, 20), "slow": (50, 100), "now": (10,), "usual": (100, 200)}, *_DAYS),
    Study("squeeze", {"window": (10, 20, 40), "memory": (60, 120), "reward": (2, 3)}, *_DAYS),
    Study("mean-reversion", {"window": (10, 20, 40, 80), "entry": (1.5, 2, 2.5)}, *_DAYS),
    Study("trend", {"fast": (12, 24, 48, 96), "slow": (168, 336, 504, 720)}, *_HOURS),
    Study("momentum", {"lookback": (168, 336, 672), "every": (24, 72), "volatility": (0.004,)}, *_HOURS),
    Study("level-risk", {"length": (168, 336, 720), "volatility": (0.002, 0.004, 0.006)}, *_HOURS),
    Study("breakout", {"channel": (120, 240, 480), "ranges": (30, 60), "width": (4, 6)}, *_HOURS),
    Study("rsi-dip", {"length": (14, 30), "entry": (25, 30), "exit": (55, 60), "trend": (480, 960)}, *_HOURS),
    Study("regime", {"fast": (24, 48, 96), "slow": (240, 480), "now": (24, 48), "usual": (960,)}, *_HOURS),
    Study("squeeze", {"window": (24, 48, 96), "memory": (240, 480), "reward": (2, 3)}, *_HOURS),
    Study("mean-reversion", {"window": (24, 72, 168, 240), "entry": (2, 2.5, 3)}, *_HOURS),
    Study("trend", {"fast": (30, 60, 240), "slow": (480, 720, 1000)}, *_MINUTES),
    Study("cross-momentum", {"lookback": (30, 60, 90, 180), "hold": (3, 5), "every": (7, 14)}, *_ALL_COINS),
    Study("cvar-allocator", {"window": (180, 365), "cap": (0.03, 0.04, 0.06)}, *_ALL_COINS),
    Study("pairs", {"window": (120, 240, 480), "entry": (1.5, 2, 2.5)}, *_LEGS),
    Study("basis-carry", {"window": (24, 72, 168), "enter": (0.0001, 0.0003, 0.0005)}, *_CARRY),
    Study(
        "market-making",
        {
            "half_spread": (5, 10, 20, 40), "skew": (5, 20), "value": (5_000,), "longest": (25_000,),
            "shortest": (25_000,), "requote_ms": (60_000,),
        },
        *_FUTURES,
    ),
    Study("market-making", {"half_spread": (0.5, 1, 2, 5), "skew": (1, 5, 20)}, *_TRADES),
    Study("grid", {"levels": (10, 20, 40), "step": (100, 200, 400), "value": (2_500,)}, *_HOURS),
    Study("grid", {"levels": (5, 10, 20), "step": (1, 2, 5)}, *_TRADES),
)  # fmt: skip


def main() -> None:
    """Examine what was asked for and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="*", help="some strategies")
    parser.add_argument("--json", type=Path, help="also write every figure to this file")
    chosen = parser.parse_args()
    studies = [one for one in STUDIES if not chosen.only or one.strategy in chosen.only]
    try:
        if any((one.symbols, one.interval) in (_LEGS[:2], _CARRY[:2]) for one in studies):
            make_hours(Lake.from_settings(settings()))
        with tempfile.TemporaryDirectory() as folder:
            registry = TrialRegistry(open_database(f"sqlite:///{folder}/trials.db"))
            found = [_examined(study, registry) for study in studies]
            found = [_counting_all(one, registry) for one in found]
    except QtmError as error:
        raise SystemExit(f"{error}\n\n{__doc__}") from error
    print(HEAD, *(row_of(one) for one in found), sep="\n")
    if chosen.json:
        chosen.json.write_text(json.dumps([assessment_table(one) for one in found], indent=1))


def make_hours(lake: Lake) -> None:
    """The perpetuals' hourly bars, made of the five-minute ones where they are missing.

    Raises
    ------
    DataError
        When the lake has no five-minute bars either.
    """
    market, names = Market.UM, list(_PERPETUALS)
    try:
        lake.bars(market, Interval.H1, names[0])
    except DataError:
        short = lake.scan_bars(market, Interval.M5, symbols=names)
        hours = resample(short, Interval.M5, Interval.H1).collect()
        times = hours["open_time_ms"].to_numpy()
        window = {"start_ms": int(times.min()), "end_ms": int(times.max()) + Interval.H1.ms}
        lake.write_bars(market, Interval.H1, hours, commit={"qtm.source": "um_bars_5m"}, **window)


HEAD = (
    "| Strategy | Kind | On | Days | Sharpe | Deflated | Overfitting | Luck | At doubled costs | Failed |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


def _examined(study: Study, registry: TrialRegistry) -> Assessment:
    begun = time.perf_counter()
    found = examine(
        study.strategy, study.symbols, study.interval, grid=study.grid, start=study.start, end=study.end,
        registry=registry,
    )  # fmt: skip
    words = f"{len(found.trials)} trials, {time.perf_counter() - begun:.0f} s"
    print(f"{study.strategy} {study.interval}: {words}", file=sys.stderr, flush=True)
    return found


def _counting_all(found: Assessment, registry: TrialRegistry) -> Assessment:
    """The same judged by the count after the last study, as if it had been examined last."""
    counted = registry.count(found.verdict.subject.strategy)
    measured = replace(found.measured, counted=counted)
    subject = replace(found.verdict.subject, trials=counted.trials)
    gates = gates_of(measured, float(settings().risk.max_drawdown))
    return replace(found, measured=measured, verdict=Verdict(subject, gates))


def row_of(found: Assessment) -> str:
    """An examination as a row of the table."""
    verdict, subject = found.verdict, found.verdict.subject
    measured = {gate.control: gate.measured for gate in verdict.gates}
    sample = found.measured.sample

    def share(control: Control, *, signed: bool = False) -> str:
        value = measured[control]
        digits = 2 if value and abs(value) < 0.005 else 0
        return "not measured" if value is None else f"{value:{'+' if signed else ''}.{digits}%}"

    deflated = measured[Control.DEFLATED_SHARPE]
    shown = slice(7 if subject.last_ms - subject.first_ms > 30 * DAY_MS else 16)
    return " | ".join(
        (
            f"| {subject.strategy}",
            found.trials.strategy.kind,
            f"{subject.symbol} {subject.interval}",
            f"{iso_utc(subject.first_ms)[shown]} to {iso_utc(subject.last_ms)[shown]}",
            "-" if sample is None else f"{sample.annual(365.0):.2f}",
            "-" if deflated is None else f"{deflated:.2f}",
            share(Control.OVERFITTING),
            share(Control.SUPERIOR_ABILITY),
            share(Control.DOUBLED_COSTS, signed=True),
            f"{len(verdict.failed)} |",
        )
    )


if __name__ == "__main__":
    main()

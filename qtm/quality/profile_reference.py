"""Profiles of the small tables, funding rates and instruments, by polars and exact decimals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from qtm.market.instruments import Instrument
from qtm.quality.checks import FUNDING_JITTER_MS, LARGEST_FUNDING_RATE, Check
from qtm.quality.profile import Profile, Profiled, Span

HOUR_MS = 3_600_000


def profile_funding(rates: pl.DataFrame, symbols: Sequence[str], checks: Sequence[Check]) -> Profiled:
    """Profile funding rates (columns of `FUNDING_SCHEMA`, sorted by symbol and time)."""
    time, rate, hours = pl.col("funding_time_ms"), pl.col("rate"), pl.col("interval_hours")
    hour = (time + HOUR_MS // 2) // HOUR_MS * HOUR_MS
    before = hour.shift().over("symbol")
    faults = rates.with_columns(
        before.alias("before_ms"),
        (rate.is_null() | rate.is_nan() | rate.is_infinite() | hours.is_null()).alias("incomplete"),
        (time == time.shift().over("symbol")).fill_null(False).alias("duplicates"),
        (rate.abs() > LARGEST_FUNDING_RATE).fill_null(False).alias("implausible"),
        (~hours.is_in([1, 2, 4, 8])).fill_null(False).alias("unknown_interval"),
        (hour - before > hours * HOUR_MS).fill_null(False).alias("missing"),
        ((hour - before < hours * HOUR_MS) & (hour > before)).fill_null(False).alias("short_steps"),
        ((time - hour).abs() > FUNDING_JITTER_MS).alias("late"),
    )
    metrics = [check.metric for check in checks if check.metric != "rows"]
    counted = faults.group_by("symbol").agg(pl.len().alias("rows"), *(pl.col(name).sum() for name in metrics))
    profiles: dict[str, Profile] = {symbol: {"symbol": symbol, "rows": 0} for symbol in symbols}
    profiles |= {row["symbol"]: row for row in counted.iter_rows(named=True)}
    spans: dict[str, list[Span]] = {}
    for check in checks:
        if check.spans:
            bad = faults.filter(pl.col(check.metric)).select("symbol", "before_ms", "funding_time_ms")
            spans[check.name] = [
                Span(symbol, last if check.metric == "missing" else at, at + 1)
                for symbol, last, at in bad.rows()
            ]
    return Profiled([profiles[symbol] for symbol in symbols], spans)


def profile_instruments(held: Mapping[str, Instrument], symbols: Sequence[str]) -> Profiled:
    """Profile instruments: 1 where a rule is broken, 0 where it holds."""
    profiles: list[Profile] = []
    for symbol in symbols:
        one = held.get(symbol)
        if one is None:
            profiles.append({"symbol": symbol, "rows": 0})
            continue
        positive = one.tick_size > 0 and one.step_size > 0
        bounds = one.min_qty <= one.max_qty and (one.max_price == 0 or one.min_price <= one.max_price)
        profiles.append(
            {
                "symbol": symbol,
                "rows": 1,
                "bad_grid": int(not positive),
                "bad_bounds": int(not bounds),
                "off_own_grid": int(positive and one.min_qty % one.step_size != 0),
                "packaged": int(one.is_packaged),
                "not_trading": int(one.status != "TRADING"),
            }
        )
    return Profiled(profiles, {})

"""What partitions of bars and funding tell in the UI: a table per day, and a plot of the days a run made."""

from __future__ import annotations

import dagster as dg
import polars as pl

from assets.partitions import DAY_MS, Window
from assets.presentation import legend_below, plot, table, thinned, utc
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake, bars_dataset, funding_dataset

REBASED_SYMBOLS = 12
"""Most lines of one plot; the rest are in the tables."""


def describe_bars(
    context: dg.AssetExecutionContext, lake: Lake, market: Market, interval: Interval, window: Window
) -> dict[str, dg.MetadataValue]:
    """Attach each day's table to its partition and return what holds for the whole run.

    The plot goes to the run's last day only: repeated on every partition it would fill the event log.
    """
    bars = lake.scan_bars(market, interval, start_ms=window.start_ms, end_ms=window.end_ms).collect()
    by_symbol_day = _summary(bars, interval)
    for day, rows in by_symbol_day.partition_by("day", as_dict=True).items():
        context.add_asset_metadata(
            {
                "bars": int(rows["bars"].sum()),
                "symbols": len(rows),
                "by symbol": table(rows.drop("day")),
            },
            partition_key=str(day[0]),
        )
    last = {"closes": _closes_plot(bars, interval, window)} if len(bars) else {}
    context.add_asset_metadata(
        {**last, "days of this run": table(_by_day(by_symbol_day))}, partition_key=window.last
    )
    dataset = bars_dataset(market, interval)
    return {
        "table": dg.MetadataValue.path(lake.tables.uri(dataset)),
        "delta version": dg.MetadataValue.text(str(lake.version(dataset))),
        "window": dg.MetadataValue.text(str(window)),
    }


def _summary(bars: pl.DataFrame, interval: Interval) -> pl.DataFrame:
    """One row per day and symbol: bars, how many a full day has, open, high, low, close, change, volume."""
    return (
        bars.with_columns(pl.from_epoch("open_time_ms", time_unit="ms").dt.strftime("%Y-%m-%d").alias("day"))
        .group_by("day", "symbol")
        .agg(
            pl.len().alias("bars"),
            pl.col("open").sort_by("open_time_ms").first(),
            pl.max("high"),
            pl.min("low"),
            pl.col("close").sort_by("open_time_ms").last(),
            pl.sum("quote_volume").round(0),
        )
        .with_columns(
            pl.lit(DAY_MS // interval.ms).alias("of"),
            ((pl.col("close") / pl.col("open") - 1) * 100).round(2).alias("change %"),
        )
        .select("day", "symbol", "bars", "of", "open", "high", "low", "close", "change %", "quote_volume")
        .sort("day", "symbol")
    )


def _by_day(by_symbol_day: pl.DataFrame) -> pl.DataFrame:
    """One row per day of the run, newest first."""
    return (
        by_symbol_day.group_by("day")
        .agg(
            pl.len().alias("symbols"),
            pl.sum("bars"),
            pl.sum("of").alias("expected"),
            pl.mean("change %").round(2).alias("mean change %"),
        )
        .sort("day", descending=True)
    )


def _closes_plot(bars: pl.DataFrame, interval: Interval, window: Window) -> dg.MarkdownMetadataValue:
    title = f"{interval} closes, {window}, first close = 100"
    with plot(title, height=2.9) as (picture, axis):
        ranked = bars.group_by("symbol").agg(pl.sum("quote_volume")).sort("quote_volume", descending=True)
        for symbol in ranked["symbol"].head(REBASED_SYMBOLS):
            series = bars.filter(pl.col("symbol") == symbol)
            keep = thinned(len(series))
            closes = series["close"].to_numpy()[keep]
            axis.plot(
                utc(series["open_time_ms"].to_numpy()[keep]), 100 * closes / closes[0], label=symbol,
                linewidth=1.0, marker="." if len(closes) < 40 else None,
            )  # fmt: skip
        legend_below(axis)
    return picture.markdown


def describe_funding(
    context: dg.AssetExecutionContext, lake: Lake, window: Window
) -> dict[str, dg.MetadataValue]:
    """Attach each day's funding rates to its partition and return what holds for the whole run."""
    rates = lake.scan_funding(Market.UM, start_ms=window.start_ms, end_ms=window.end_ms).collect()
    time = pl.from_epoch("funding_time_ms", time_unit="ms")
    by_day = rates.with_columns(
        time.dt.strftime("%Y-%m-%d").alias("day"),
        time.dt.strftime("%H:%M").alias("time"),
        (pl.col("rate") * 1e4).round(4).alias("rate bp"),
        (pl.col("rate") * 24 / pl.col("interval_hours") * 36_500).round(2).alias("% a year"),
    )
    for (day,), rows in by_day.partition_by("day", as_dict=True).items():
        shown = rows.select("symbol", "time", "interval_hours", "rate bp", "% a year")
        context.add_asset_metadata({"payments": len(rows), "rates": table(shown)}, partition_key=str(day))
    if len(rates):
        context.add_asset_metadata({"funding": _funding_plot(rates, window)}, partition_key=window.last)
    dataset = funding_dataset(Market.UM)
    return {
        "table": dg.MetadataValue.path(lake.tables.uri(dataset)),
        "delta version": dg.MetadataValue.text(str(lake.version(dataset))),
        "window": dg.MetadataValue.text(str(window)),
    }


def _funding_plot(rates: pl.DataFrame, window: Window) -> dg.MarkdownMetadataValue:
    with plot(f"Funding paid by longs since the first day of {window}, % of notional") as (picture, axis):
        for (symbol,), rows in rates.partition_by("symbol", as_dict=True).items():
            paid = 100 * rows["rate"].to_numpy().cumsum()
            axis.step(utc(rows["funding_time_ms"]), paid, where="post", label=str(symbol), linewidth=1.2)
        legend_below(axis)
    return picture.markdown

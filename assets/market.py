"""Group `market`: instruments, bars and funding rates in the lake, one Delta table per dataset.

Ingestion asks the source for a window and replaces it, so a day can be made again at any time; the quality
suite judges what was written before anything downstream may use it (see `assets.quality`).
"""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from assets.bar_facts import describe_bars, describe_funding
from assets.columns import bar_table, funding_table
from assets.failures import failures_in_words
from assets.partitions import DAILY, INGEST_RUN_DAYS, run_window
from assets.presentation import table
from assets.provenance import require_one_kind, source_metadata
from assets.quality_checks import (
    bar_check_results,
    bar_check_specs,
    funding_check_results,
    funding_check_specs,
)
from assets.resources import MarketHistory, MarketLake
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import INSTRUMENTS, bars_dataset, funding_dataset
from qtm.settings import settings

GROUP = "market"
OWNERS = ["team:market-data"]
BINANCE_POOL = "binance"
"""Whatever spends the venue's request weight waits for its turn here."""
FETCH_RETRIES = dg.RetryPolicy(
    max_retries=3, delay=5, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
)
FETCHED: dict[str, Any] = {
    "group_name": GROUP,
    "owners": OWNERS,
    "kinds": {"binance", "deltalake"},
    "pool": BINANCE_POOL,
    "retry_policy": FETCH_RETRIES,
}
FETCHED_BY_DAY: dict[str, Any] = {
    **FETCHED,
    "partitions_def": DAILY,
    "backfill_policy": dg.BackfillPolicy.multi_run(INGEST_RUN_DAYS),
}


@dg.asset(
    **FETCHED,
    description=(
        "Exact trading rules of every symbol the platform knows: tick, lot, minimum notional, status. Kept "
        "as the decimal text the venue sent; orders are rounded with these and nothing else."
    ),
)
def instruments(lake: MarketLake, history: MarketHistory) -> dg.MaterializeResult:
    """Filters of spot and USD-M symbols."""
    from qtm.market.ingest import ingest_instruments

    opened, market = lake.open(), settings().market
    universe = {
        Market.SPOT: sorted({*market.intraday_symbols, *market.daily_universe}),
        Market.UM: list(market.intraday_symbols),
    }
    with failures_in_words(), history.open() as chosen:
        taken = [
            instrument
            for venue, symbols in universe.items()
            for instrument in ingest_instruments(opened, chosen.source, venue, symbols)
        ]
    rows = [
        {
            "market": one.market.label,
            "symbol": one.symbol,
            "tick": str(one.tick_size),
            "lot": str(one.step_size),
            "least notional": str(one.min_notional),
            "status": one.status,
            "filters from": one.filters_source,
        }
        for one in taken
    ]
    version = opened.version(INSTRUMENTS)
    return dg.MaterializeResult(
        metadata={
            "instruments": len(taken),
            "filters": table(rows),
            "table": dg.MetadataValue.path(opened.tables.uri(INSTRUMENTS)),
            "delta version": str(version),
            **source_metadata(chosen),
        },
        data_version=dg.DataVersion(f"instruments {version}"),
    )


@dg.asset(
    **FETCHED_BY_DAY,
    metadata=bar_table("spot_bars_1m"),
    check_specs=bar_check_specs("bars_1m", Interval.M1),
    description=(
        "One-minute spot bars of the intraday symbols (setting `market.intraday_symbols`). What intraday "
        "strategies are researched on and what the paper exchange replays."
    ),
)
def bars_1m(
    context: dg.AssetExecutionContext, lake: MarketLake, history: MarketHistory
) -> dg.MaterializeResult:
    """Spot 1m bars from the source, checked."""
    return _fetch_bars(context, lake, history, Market.SPOT, Interval.M1, settings().market.intraday_symbols)


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"polars", "deltalake"},
    partitions_def=DAILY,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[bars_1m],
    metadata=bar_table("spot_bars_1h"),
    check_specs=bar_check_specs("bars_1h", Interval.H1),
    description=(
        "One-hour spot bars, made from the checked one-minute bars rather than fetched, so that both always "
        "tell the same story. A missing minute shortens its hour; an hour with no minute does not exist."
    ),
)
def bars_1h(context: dg.AssetExecutionContext, lake: MarketLake) -> dg.MaterializeResult:
    """Spot 1h bars resampled from `bars_1m`."""
    from qtm.market.resample import resample

    opened, window = lake.open(), run_window(context)
    symbols = settings().market.intraday_symbols
    span = {"start_ms": window.start_ms, "end_ms": window.end_ms}
    with failures_in_words():
        minutes = opened.scan_bars(Market.SPOT, Interval.M1, symbols=symbols, **span)
        hours = resample(minutes, Interval.M1, Interval.H1).collect()
        made_from = {"qtm.source": bars_dataset(Market.SPOT, Interval.M1)}
        opened.write_bars(Market.SPOT, Interval.H1, hours, symbols=symbols, commit=made_from, **span)
    return _checked_bars(context, lake, Market.SPOT, Interval.H1, symbols)


@dg.asset(
    **FETCHED_BY_DAY,
    metadata=bar_table("spot_bars_1d"),
    check_specs=bar_check_specs("bars_1d", Interval.D1),
    description=(
        "Daily spot bars of the portfolio universe (setting `market.daily_universe`). The scenarios of the "
        "CVaR optimiser and of the risk report are their returns."
    ),
)
def bars_1d(
    context: dg.AssetExecutionContext, lake: MarketLake, history: MarketHistory
) -> dg.MaterializeResult:
    """Spot 1d bars of the universe from the source, checked."""
    return _fetch_bars(context, lake, history, Market.SPOT, Interval.D1, settings().market.daily_universe)


@dg.asset(
    **FETCHED_BY_DAY,
    metadata=bar_table("um_bars_5m"),
    check_specs=bar_check_specs("um_bars_5m", Interval.M5),
    description=(
        "Five-minute bars of the USD-M perpetuals on the intraday symbols, for basis and funding research."
    ),
)
def um_bars_5m(
    context: dg.AssetExecutionContext, lake: MarketLake, history: MarketHistory
) -> dg.MaterializeResult:
    """USD-M 5m bars from the source, checked."""
    return _fetch_bars(context, lake, history, Market.UM, Interval.M5, settings().market.intraday_symbols)


@dg.asset(
    **FETCHED_BY_DAY,
    metadata=funding_table("um_funding"),
    check_specs=funding_check_specs("um_funding"),
    description=(
        "Funding rates of the USD-M perpetuals: what longs pay shorts at each funding time, as a fraction of "
        "notional. Binance's archive publishes them by the month, after its end; the running month is asked "
        "of the venue."
    ),
)
def um_funding(
    context: dg.AssetExecutionContext, lake: MarketLake, history: MarketHistory
) -> dg.MaterializeResult:
    """USD-M funding rates from the source, checked."""
    from assets.funding import take_funding

    opened, window = lake.open(), run_window(context)
    symbols = settings().market.intraday_symbols
    dataset = funding_dataset(Market.UM)
    with failures_in_words(), history.open() as chosen:
        require_one_kind(opened, dataset, chosen)
        taken = take_funding(opened, chosen, symbols, window)
        months = {"months": table([{"month": month, "from": source} for month, source in taken.items()])}
        return dg.MaterializeResult(
            metadata={**describe_funding(context, opened, window), **source_metadata(chosen), **months},
            data_version=dg.DataVersion(f"{dataset} {opened.version(dataset)}"),
            check_results=funding_check_results(opened, symbols, window),
        )


def _fetch_bars(
    context: dg.AssetExecutionContext,
    lake: MarketLake,
    history: MarketHistory,
    market: Market,
    interval: Interval,
    symbols: Sequence[str],
) -> dg.MaterializeResult:
    """Take the run's days from the source, then describe and judge what the lake holds of them."""
    from qtm.market.ingest import ingest_series
    from qtm.market.source import Bars

    opened, window = lake.open(), run_window(context)
    with failures_in_words(), history.open() as chosen:
        require_one_kind(opened, bars_dataset(market, interval), chosen)
        report = ingest_series(
            opened,
            chosen.source,
            Bars(market, interval),
            symbols,
            window.start_ms,
            window.end_ms,
            absent_ok=True,
            progress=lambda done, total, what: context.log.info(f"{done} of {total}: {what}"),
        )
        work = {
            "parts read": report.parts,
            "parts unchanged": report.unchanged,
            "MB read": round(report.size / 1e6, 3),
            "seconds": round(report.seconds, 2),
        }
        fetched = {**source_metadata(chosen), "fetch": table([work])}
    return _checked_bars(context, lake, market, interval, symbols, fetched)


def _checked_bars(
    context: dg.AssetExecutionContext,
    lake: MarketLake,
    market: Market,
    interval: Interval,
    symbols: Sequence[str],
    fetched: dict[str, Any] | None = None,
) -> dg.MaterializeResult:
    """The result of a bar asset: what its days hold, the verdict of its checks, the Delta version."""
    opened, window = lake.open(), run_window(context)
    dataset = bars_dataset(market, interval)
    with failures_in_words():
        return dg.MaterializeResult(
            metadata={**describe_bars(context, opened, market, interval, window), **(fetched or {})},
            data_version=dg.DataVersion(f"{dataset} {opened.version(dataset)}"),
            check_results=bar_check_results(opened, market, interval, symbols, window),
        )

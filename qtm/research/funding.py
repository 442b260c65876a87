"""The funding of perpetuals as the lake has it, and the bars it reaches for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from qtm.backtest.account.panel import Listed
from qtm.backtest.funding import FundingRates, funded_until_ms
from qtm.backtest.session import DAY_MS
from qtm.clock import iso_utc
from qtm.market.datasets import funding_dataset
from qtm.market.instruments import Market
from qtm.market.lake import Lake

_MOST_UNFUNDED_MS = 31 * DAY_MS


def while_funded(listed: list[Listed]) -> tuple[list[Listed], tuple[str, ...]]:
    """Where nobody asked for an end: all symbols up to the earliest end of a funding, and what was left out.

    The archive publishes funding by the month and bars by the day, so the newest bars have no funding yet. A
    longer want of it than a month is a gap, and stays an error.
    """
    ends = {
        one.instrument.key: funded_until_ms(one.funding)
        for one in listed
        if one.funding is not None and one.funding.time_ms.size
    }
    last_ms = max(int(one.bars.open_time_ms[-1]) + one.bars.interval.ms for one in listed)
    first = min(ends, key=lambda key: ends[key], default="")
    if not ends or not 0 < last_ms - ends[first] <= _MOST_UNFUNDED_MS:
        return listed, ()
    kept = []
    for one in listed:
        stop = int(np.searchsorted(one.bars.open_time_ms, ends[first] - one.bars.interval.ms, side="right"))
        if stop == 0:
            return listed, ()
        kept.append(one._replace(bars=one.bars.slice(0, stop)))
    return kept, (f"bars from {iso_utc(ends[first])} on left out: the funding of {first} ends before",)


def funding_versions(lake: Lake, named: Iterable[tuple[Market, str]]) -> dict[str, int | None]:
    """The newest version of every table of funding that a run on these symbols reads, by its name."""
    paying = dict.fromkeys(market for market, symbol in named if _pays_funding(market, symbol))
    return {funding_dataset(market): lake.version(funding_dataset(market)) for market in paying}


def _pays_funding(market: Market, symbol: str) -> bool:
    """Neither spot does nor a delivery contract (`BTCUSDT_250926`)."""
    return market is not Market.SPOT and "_" not in symbol


def funding_of(
    lake: Lake,
    market: Market,
    symbol: str,
    start_ms: int,
    end_ms: int,
    versions: Mapping[str, int | None] | None = None,
) -> FundingRates | None:
    """The funding of a perpetual over a period; None on spot and for delivery contracts (`BTCUSDT_250926`).

    `versions` are those of `funding_versions`; the newest without them.

    Raises
    ------
    DataError
        When the lake has none for the perpetual.
    """
    if not _pays_funding(market, symbol):
        return None
    version = (versions or {}).get(funding_dataset(market))
    rows = lake.scan_funding(
        market, symbols=[symbol], start_ms=start_ms, end_ms=end_ms, version=version
    ).collect()
    return FundingRates.from_frame(rows)

"""Where a month of funding rates comes from: the archive once published, the venue's REST until then."""

from __future__ import annotations

from collections.abc import Sequence

from assets.partitions import Window
from qtm.market.choose import ChosenSource, rest_source
from qtm.market.ingest import ingest_series
from qtm.market.instruments import Market
from qtm.market.lake import Lake, month_window, months_between
from qtm.market.source import Funding, Source
from qtm.settings import settings


def take_funding(lake: Lake, chosen: ChosenSource, symbols: Sequence[str], window: Window) -> dict[str, str]:
    """Take the USD-M funding rates of `window` into the lake; returns the source of each month.

    Binance's archive publishes funding by the month, after its end, so the running month is asked of the
    venue. Synthetic history never is.

    Raises
    ------
    DataError
        When neither has a rate of a month.
    VenueError
        When the archive has none and the venue cannot be reached.
    """
    taken: dict[str, str] = {}
    for month in months_between(window.start_ms, window.end_ms):
        first, last = month_window(month)
        start, end = max(first, window.start_ms), min(last, window.end_ms)
        source = chosen.source
        if chosen.is_synthetic or _published(source, symbols, start, end):
            ingest_series(lake, source, Funding(Market.UM), symbols, start, end)
        else:
            source = rest_source(settings())
            try:
                ingest_series(lake, source, Funding(Market.UM), symbols, start, end)
            finally:
                source.close()
        taken[month] = source.name
    return taken


def _published(source: Source, symbols: Sequence[str], start_ms: int, end_ms: int) -> bool:
    """Whether the source has a part of this month for any symbol."""
    return any(source.parts(Funding(Market.UM), symbol, start_ms, end_ms) for symbol in symbols)

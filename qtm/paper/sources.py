"""Markets opened from what a command line names: lake bars, a recording, synthetic ones, a live mirror."""

from __future__ import annotations

from pathlib import Path

from qtm.clock import SystemClock
from qtm.errors import ConfigError, DataError
from qtm.market.instruments import Instrument, Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake, funding_dataset
from qtm.market.synthetic import synthetic_instruments
from qtm.paper.mirror.feed import LiveMirror
from qtm.paper.pacing import parse_moment, parse_speed
from qtm.paper.recorded import FrameReplay
from qtm.paper.replay import BarReplay, ReplayBars
from qtm.paper.synthetic import SyntheticFeed
from qtm.paper.um.funding import HOUR_MS, FundingEvent
from qtm.paper.um.index_price import SpotBars
from qtm.paper.wire import E8
from qtm.trading.costs import CostModel


def replay_from_lake(
    uri: str,
    symbols: tuple[str, ...],
    interval: str,
    *,
    start: str,
    end: str,
    speed: str,
    history: int,
    costs: CostModel,
    venue: Market = Market.SPOT,
) -> BarReplay:
    """Open a replay of a market's bars.

    Raises
    ------
    ConfigError
        For an unknown interval or speed, or a period that ends before it begins.
    DataError
        When the lake lacks a symbol, its instrument, or the period.
    """
    step = Interval.parse(interval)
    start_ms, end_ms = parse_moment(start, "--from"), parse_moment(end, "--to")
    if start_ms is not None and end_ms is not None and end_ms <= start_ms:
        raise ConfigError(
            "the period ends before it begins", where=f"{start} .. {end}", remedy="swap --from and --to"
        )
    if not symbols:
        raise ConfigError(
            "no symbol to trade", where="--symbols", remedy="name at least one, such as BTCUSDT"
        )
    pace = parse_speed(speed)
    lake = Lake(uri)
    since_ms = None if start_ms is None else start_ms - history * step.ms
    bars = []
    for symbol in symbols:
        series = lake.bars(venue, step, symbol, start_ms=since_ms, end_ms=end_ms)
        bars.append(ReplayBars.from_series(lake.instrument(venue, symbol), series, start_ms=start_ms))
    return BarReplay(bars, costs=costs, speed=pace)


def synthetic_market(
    symbols: tuple[str, ...],
    *,
    start: str,
    end: str,
    speed: str,
    history: int,
    seed: int,
    venue: Market = Market.SPOT,
) -> SyntheticFeed:
    """Open a synthetic market that begins at `start` (now, when empty) and runs to `end` or for ever.

    Raises
    ------
    ConfigError
        For a symbol the synthetic market does not know.
    """
    known = {instrument.symbol: instrument for instrument in synthetic_instruments(venue)}
    unknown = [symbol for symbol in symbols if symbol not in known]
    if unknown:
        raise ConfigError(
            f"the synthetic market does not know {unknown[0]}",
            where="--symbols",
            remedy=f"use {', '.join(known)}",
        )
    start_ms = parse_moment(start, "--from") or SystemClock().now_ms() // 60_000 * 60_000
    end_ms = parse_moment(end, "--to")
    return SyntheticFeed(
        [known[symbol] for symbol in symbols],
        start_ms=start_ms,
        seed=seed,
        speed=parse_speed(speed),
        history_minutes=history,
        steps=None if end_ms is None else max(0, (end_ms - start_ms) // 60_000),
    )


def recorded_market(
    path: Path, symbols: tuple[str, ...], uri: str, *, speed: str, venue: Market = Market.SPOT
) -> FrameReplay:
    """Open a replay of recorded frames; instruments come from the lake, else from the packaged universe."""
    packaged = {instrument.symbol: instrument for instrument in synthetic_instruments(venue)}
    lake = Lake(uri)

    def instrument(symbol: str) -> Instrument:
        try:
            return lake.instrument(venue, symbol)
        except DataError:
            if symbol not in packaged:
                raise
            return packaged[symbol]

    return FrameReplay(path, [instrument(symbol) for symbol in symbols], speed=parse_speed(speed))


def live_mirror(
    symbols: tuple[str, ...], *, stream_url: str, rest_url: str, history: int, venue: Market = Market.SPOT
) -> LiveMirror:
    """Open a mirror of a market's public streams; an empty address means Binance's.

    Raises
    ------
    VenueError
        When the venue cannot be reached.
    DataError
        For a symbol it does not know.
    """
    return LiveMirror(symbols, market=venue, stream_url=stream_url, rest_url=rest_url, history=history)


def funding_from_lake(uri: str, replay: BarReplay) -> dict[str, list[FundingEvent]]:
    """The settlements of a futures replay's symbols over its period and the history before it.

    Raises
    ------
    DataError
        When the lake holds none for a symbol although the period is longer than the longest interval.
    """
    lake, funding = Lake(uri), {}
    end_ms = int(replay.timeline[-1]) + replay.interval_ms
    for symbol, bars in replay.bars.items():
        start_ms = int(bars.times[0])
        rows: list[FundingEvent] = []
        if funding_dataset(Market.UM) in lake.datasets():
            frame = lake.scan_funding(
                Market.UM, symbols=[symbol], start_ms=start_ms, end_ms=end_ms + 9 * HOUR_MS
            ).collect()
            rows = [
                FundingEvent(symbol, time_ms, hours, round(rate * E8))
                for time_ms, hours, rate in zip(
                    frame["funding_time_ms"], frame["interval_hours"], frame["rate"], strict=True
                )
            ]
        if not rows and end_ms - int(replay.timeline[0]) > 8 * HOUR_MS:
            raise DataError(
                "no funding rates for the replayed period",
                where=f"{symbol} in {uri}",
                remedy="ingest the funding rates, or replay at most eight hours",
            )
        funding[symbol] = rows
    return funding


def index_from_lake(uri: str, replay: BarReplay) -> SpotBars:
    """The index prices of a futures replay: the lake's spot bars of the same symbols, where it has any."""
    lake, spot = Lake(uri), {}
    end_ms = int(replay.timeline[-1]) + replay.interval_ms
    for symbol, contract in replay.bars.items():
        try:
            series = lake.bars(
                Market.SPOT, Interval.parse(contract.interval), symbol,
                start_ms=int(contract.times[0]), end_ms=end_ms,
            )  # fmt: skip
        except DataError:
            continue
        spot[symbol] = ReplayBars.from_series(contract.instrument, series)
    return SpotBars(replay.bars, spot)

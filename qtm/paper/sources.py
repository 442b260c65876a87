"""Markets opened from what a command line names: bars from the lake, over a period, at a speed."""

from __future__ import annotations

from datetime import UTC, datetime

from qtm.errors import ConfigError
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake
from qtm.paper.replay import MAX, STEP, BarReplay, ReplayBars
from qtm.trading.costs import CostModel


def parse_speed(text: str) -> float:
    """`max`, `step`, or a positive number of market seconds per second."""
    if text in ("max", "step"):
        return MAX if text == "max" else STEP
    try:
        speed = float(text)
    except ValueError:
        speed = -1.0
    if not 0 < speed < float("inf"):
        raise ConfigError(
            f"speed {text!r} cannot be used", where="--speed", remedy="use a number, max or step"
        )
    return speed


def parse_moment(text: str, where: str) -> int | None:
    """Milliseconds since the epoch of an ISO date or time in UTC; None for an empty text."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise ConfigError(
            f"{text!r} is not a date", where=where, remedy="write 2025-06-01 or 2025-06-01T12:00"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


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
) -> BarReplay:
    """Open a replay of spot bars.

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
        series = lake.bars(Market.SPOT, step, symbol, start_ms=since_ms, end_ms=end_ms)
        bars.append(ReplayBars.from_series(lake.instrument(Market.SPOT, symbol), series, start_ms=start_ms))
    return BarReplay(bars, costs=costs, speed=pace)

"""The content of one archive file: unzip, recognise header and time unit, parse, refuse what is damaged.

What is refused here is damage: rows that cannot be a month of one symbol's history. What is true but
unwelcome (holes, zero volume, a symbol that changed hands) is judged by `qtm.quality`.
"""

from __future__ import annotations

import io
import zipfile

import polars as pl
from isal import isal_zlib
from isal.igzip_lib import IsalError

from qtm.clock import iso_utc
from qtm.errors import DataError
from qtm.market.schemas import BAR_SCHEMA, FUNDING_SCHEMA, TRADE_SCHEMA

_MICROSECONDS_FROM = 100_000_000_000_000
"""Times from here on are microseconds: as milliseconds this is the year 5138."""

_LARGEST_CSV = 4 * 1024**3
_NOTHING_WRITTEN = "download it again; nothing was written"

_BAR_COLUMNS = {
    "open_time": "open_time_ms",
    "open": "open",
    "high": "high",
    "low": "low",
    "close": "close",
    "volume": "volume",
    "close_time": "close_time",
    "quote_volume": "quote_volume",
    "count": "trades",
    "taker_buy_volume": "taker_base",
    "taker_buy_quote_volume": "taker_quote",
    "ignore": "ignore",
}
"""The archive's column names, in order, and ours."""

_FUNDING_COLUMNS = {
    "calc_time": "funding_time_ms",
    "funding_interval_hours": "interval_hours",
    "last_funding_rate": "rate",
}


_TRADE_COLUMNS = {
    "agg_trade_id": "trade_id",
    "price": "price",
    "quantity": "qty",
    "first_trade_id": "first_id",
    "last_trade_id": "last_id",
    "transact_time": "time_ms",
    "is_buyer_maker": "buyer_is_maker",
    "is_best_match": "is_best_match",
}


def unzip_single(content: bytes, where: str) -> bytes:
    """The one CSV in a zip, inflated with isa-l and checked against its CRC.

    Raises
    ------
    DataError
        When the zip is damaged or does not hold exactly one file.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
        if len(members) != 1 or members[0].file_size > _LARGEST_CSV:
            raise DataError(
                f"the zip holds {len(members)} files, not one CSV", where=where, remedy=_NOTHING_WRITTEN
            )
        member = members[0]
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise zipfile.BadZipFile("unknown compression")
        head = content[member.header_offset : member.header_offset + 30]
        begin = (
            member.header_offset
            + 30
            + int.from_bytes(head[26:28], "little")
            + int.from_bytes(head[28:30], "little")
        )
        packed = content[begin : begin + member.compress_size]
        if member.compress_type == zipfile.ZIP_DEFLATED:
            text = isal_zlib.decompress(packed, wbits=-15, bufsize=max(member.file_size, 1))
        else:
            text = packed
        if len(text) != member.file_size or isal_zlib.crc32(text) != member.CRC:
            raise zipfile.BadZipFile("wrong CRC")
    except (zipfile.BadZipFile, IsalError, EOFError, ValueError) as error:  # type: ignore[misc]
        raise DataError(f"damaged zip: {error}", where=where, remedy=_NOTHING_WRITTEN) from error
    return bytes(text)


def parse_bars(text: bytes, symbol: str, where: str, first_ms: int, last_ms: int) -> pl.DataFrame:
    """Bars of `symbol` (columns of `BAR_SCHEMA`) from a klines CSV whose open times lie in [first, last).

    Raises
    ------
    DataError
        For a missing column, a value that is not a number, NaN, times out of order, repeated, or impossible.
    """
    kinds: dict[str, pl.DataType] = dict.fromkeys(_BAR_COLUMNS, pl.Float64())
    kinds |= dict.fromkeys(("open_time", "close_time", "count"), pl.Int64())
    kinds["ignore"] = pl.String()
    raw = _read_csv(text, symbol, where, kinds, required=11).rename(_BAR_COLUMNS, strict=False)
    frame = _with_ms(raw, "open_time_ms").select(
        pl.lit(symbol).alias("symbol"), *(pl.col(name) for name in BAR_SCHEMA if name != "symbol")
    )
    require_true(frame, symbol, where, first_ms, last_ms)
    return frame


def parse_funding(text: bytes, symbol: str, where: str, first_ms: int, last_ms: int) -> pl.DataFrame:
    """Funding rates of `symbol` (columns of `FUNDING_SCHEMA`); raises like `parse_bars`."""
    kinds: dict[str, pl.DataType] = {
        "calc_time": pl.Int64(), "funding_interval_hours": pl.Int64(), "last_funding_rate": pl.Float64()
    }  # fmt: skip
    raw = _read_csv(text, symbol, where, kinds, required=3).rename(_FUNDING_COLUMNS)
    frame = _with_ms(raw, "funding_time_ms").select(
        pl.lit(symbol).alias("symbol"), *(pl.col(name) for name in FUNDING_SCHEMA if name != "symbol")
    )
    require_true(frame, symbol, where, first_ms, last_ms)
    return frame


def parse_trades(text: bytes, symbol: str, where: str, first_ms: int, last_ms: int) -> pl.DataFrame:
    """Aggregate trades of `symbol` (columns of `TRADE_SCHEMA`); raises like `parse_bars`."""
    kinds: dict[str, pl.DataType] = dict.fromkeys(_TRADE_COLUMNS, pl.Int64())
    kinds |= {"price": pl.Float64(), "quantity": pl.Float64()}
    kinds |= dict.fromkeys(("is_buyer_maker", "is_best_match"), pl.String())
    raw = _read_csv(text, symbol, where, kinds, required=7).rename(_TRADE_COLUMNS, strict=False)
    # Spot files say True, futures files true.
    frame = _with_ms(raw, "time_ms").select(
        pl.lit(symbol).alias("symbol"),
        *(pl.col(name) for name in TRADE_SCHEMA if name not in ("symbol", "buyer_is_maker")),
        (pl.col("buyer_is_maker").str.to_lowercase() == "true").alias("buyer_is_maker"),
    )
    require_true(frame, symbol, where, first_ms, last_ms, key="trade_id")
    return frame


def _read_csv(
    text: bytes, symbol: str, where: str, kinds: dict[str, pl.DataType], *, required: int
) -> pl.DataFrame:
    """Read columns by the header when there is one, else by position; the first `required` must be there."""
    first_line = text[: text.find(b"\n")] if b"\n" in text else text
    if not first_line.strip():
        raise DataError(f"the file of {symbol} is empty", where=where, remedy=_NOTHING_WRITTEN)
    has_header = first_line[:1].isalpha()
    names = list(kinds)
    if has_header:
        found = [name.strip() for name in first_line.decode("ascii", errors="replace").split(",")]
    else:
        found = names[: first_line.count(b",") + 1]
    for name in names[:required]:
        if name not in found:
            raise DataError(f"column {name!r} is missing for {symbol}", where=where, remedy=_NOTHING_WRITTEN)
    try:
        return pl.read_csv(
            text, has_header=False, skip_rows=int(has_header),
            schema={name: kinds.get(name, pl.String()) for name in found},
        )  # fmt: skip
    except pl.exceptions.PolarsError as error:
        reason = str(error).strip().splitlines()[0]
        raise DataError(
            f"{symbol} cannot be parsed: {reason}", where=where, remedy=_NOTHING_WRITTEN
        ) from error


def _with_ms(frame: pl.DataFrame, time: str) -> pl.DataFrame:
    """Times in milliseconds, whatever the file counts in."""
    if len(frame) and frame[time][0] is not None and frame[time][0] >= _MICROSECONDS_FROM:
        return frame.with_columns(pl.col(time) // 1000)
    return frame


def require_true(
    frame: pl.DataFrame, symbol: str, where: str, first_ms: int, last_ms: int, *, key: str | None = None
) -> None:
    """Refuse rows that cannot be a symbol's history: empty or NaN values, impossible or unordered times.

    `key` is the column that must strictly increase; by default the time.
    """
    time = frame.columns[1]
    values = [name for name, kind in frame.schema.items() if kind.is_float()]
    broken = frame.filter(
        pl.any_horizontal(
            pl.all().is_null(), *((pl.col(name).is_nan() | pl.col(name).is_infinite()) for name in values)
        )
    )
    if len(broken):
        at = broken[time][0]
        raise DataError(
            f"{symbol} has an empty or NaN value at {iso_utc(at) if at is not None else 'an unknown time'}",
            where=where,
            remedy=_NOTHING_WRITTEN,
        )
    outside = frame.filter(~pl.col(time).is_between(first_ms, last_ms, closed="left"))
    if len(outside):
        raise DataError(
            f"impossible date for {symbol}: {_shown(outside[time][0])} is not within "
            f"{iso_utc(first_ms)} to {iso_utc(last_ms)}",
            where=where,
            remedy=_NOTHING_WRITTEN,
        )
    steps = frame[key or time].diff()
    if bool((steps <= 0).any()):
        at = int((steps <= 0).fill_null(False).arg_max() or 0)
        what = "occurs twice" if steps[at] == 0 else "comes after a later one"
        raise DataError(
            f"{symbol} at {iso_utc(frame[time][at])} {what}", where=where, remedy=_NOTHING_WRITTEN
        )


def _shown(ts_ms: int) -> str:
    try:
        return iso_utc(ts_ms)
    except (ValueError, OverflowError, OSError):
        return f"{ts_ms} ms"

"""Binance's public archive (data.binance.vision), over https or from a folder with the same layout.

`<root>/spot/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2024-01.zip` with its `.CHECKSUM` (sha256sum format) beside
it; `daily` files stand in for a month that is not published yet. Spot files have no header and count
microseconds from 2025-01 on; futures files have a header in the newer archives and count milliseconds. Both
are recognised from the content. Source of the layout: Binance's binance-public-data repository.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import polars as pl
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from qtm.clock import Clock, SystemClock, iso_utc
from qtm.errors import ConfigError, DataError, VenueError
from qtm.market.archive_file import parse_bars, parse_funding, parse_trades, unzip_single
from qtm.market.bars import BarKind
from qtm.market.instruments import Instrument, Market
from qtm.market.lake import month_window
from qtm.market.packaged import packaged_instrument
from qtm.market.source import Bars, Funding, Part, Rows, Series, Trades

DAY_MS = 86_400_000
MONTHLY_DELAY_MS = 45 * DAY_MS
"""A month older than this has its monthly file; a younger one may exist only as daily files."""

_PARSERS = {Bars: parse_bars, Funding: parse_funding, Trades: parse_trades}
_ROOM = {Market.SPOT: "spot", Market.UM: "futures/um"}
_KLINES = {BarKind.TRADE: "klines", BarKind.MARK: "markPriceKlines", BarKind.INDEX: "indexPriceKlines"}


class VisionArchive:
    """The archive at `root`: an https URL or a folder.

    Parameters
    ----------
    timeout_s
        Seconds a connection or a read may take.
    retries
        Attempts after the first on a failed connection, a 429 or a 5xx, with random exponential pauses.
    """

    def __init__(
        self, root: str, *, timeout_s: float = 30.0, retries: int = 4, clock: Clock | None = None
    ) -> None:
        self.root = root.rstrip("/")
        self.is_remote = root.startswith(("http://", "https://"))
        if not self.is_remote and not Path(root).is_dir():
            raise ConfigError(
                "the archive folder does not exist",
                where=root,
                remedy="give a folder laid out like https://data.binance.vision/data, or its URL",
            )
        self._clock = clock or SystemClock()
        self._retries = retries
        self._client = httpx.Client(timeout=timeout_s, follow_redirects=True) if self.is_remote else None

    @property
    def name(self) -> str:
        """`archive <root>`."""
        return f"archive {self.root}"

    @property
    def is_venue(self) -> bool:
        """False: instruments come from the package."""
        return False

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()

    def parts(self, series: Series, symbol: str, start_ms: int, end_ms: int) -> list[Part]:
        """The files of a window within one month that exist: the monthly one, or daily ones, or none.

        Raises
        ------
        ConfigError
            For a series the market does not have.
        DataError
            For a file without a usable .CHECKSUM.
        VenueError
            When the archive cannot be reached.
        """
        found = []
        for path, first, last in self._candidates(series, symbol, start_ms, end_ms):
            digest = self._digest(path, symbol)
            if digest is not None:
                start, end = max(start_ms, first), min(end_ms, last)
                found.append(Part(symbol, start, end, path, digest, first, last))
        return found

    def read(self, series: Series, part: Part) -> Rows:
        """The rows of one file, verified against its checksum.

        Raises
        ------
        DataError
            For a file that is damaged or whose rows cannot be a symbol's history.
        VenueError
            When the archive cannot be reached.
        """
        where = f"{self.root}/{part.origin}"
        content = self._read(part.origin)
        if content is None:
            raise DataError(
                f"the zip of {part.symbol} is missing beside its .CHECKSUM",
                where=where,
                remedy="download it again; nothing was written",
            )
        found = hashlib.sha256(content).hexdigest()
        if found != part.digest:
            raise DataError(
                f"wrong checksum for {part.symbol}: the file has {found[:12]}…, "
                f"its .CHECKSUM says {part.digest[:12]}…",
                where=where,
                remedy="the file is damaged or was replaced: download both again; nothing was written",
            )
        parse = _PARSERS[type(series)]
        text = unzip_single(content, where)
        frame = parse(text, part.symbol, where, part.holds_from_ms, part.holds_to_ms)
        time = pl.col(frame.columns[1])
        wanted = frame.filter(time.is_between(part.start_ms, part.end_ms, closed="left"))
        return Rows(wanted, len(content))

    def instruments(self, market: Market, symbols: Sequence[str]) -> list[Instrument]:
        """The packaged filters: the archive carries none."""
        return [packaged_instrument(market, symbol) for symbol in symbols]

    def reachable(self) -> str:
        """Empty when the archive answers; otherwise why it does not."""
        if self._client is None:
            return ""
        try:
            self._client.head(self.root, timeout=5.0)
        except httpx.HTTPError as error:
            return str(error) or type(error).__name__
        return ""

    # -- inside -------------------------------------------------------------------------------------------

    def _candidates(
        self, series: Series, symbol: str, start_ms: int, end_ms: int
    ) -> Iterator[tuple[str, int, int]]:
        """Paths a window within one month may be found at, with the times each may hold."""
        month = iso_utc(start_ms)[:7]
        first, last = month_window(month)
        room = _ROOM[series.market]
        if isinstance(series, Funding):
            if series.market is Market.SPOT:
                raise ConfigError("spot has no funding rates", where="market", remedy="use --market um")
            yield f"{room}/monthly/fundingRate/{symbol}/{symbol}-fundingRate-{month}.zip", first, last
            return
        days = [
            (day, day + DAY_MS)
            for day in range(start_ms - start_ms % DAY_MS, end_ms, DAY_MS)
            if day < self._clock.now_ms()
        ]
        if isinstance(series, Trades):
            # A month of trades does not fit into memory at once: days only.
            for day, after in days:
                stem = f"{symbol}-aggTrades-{iso_utc(day)[:10]}"
                yield f"{room}/daily/aggTrades/{symbol}/{stem}.zip", day, after
            return
        if series.market is Market.SPOT and series.kind is not BarKind.TRADE:
            raise ConfigError(f"spot has no {series.kind} bars", where="market", remedy="use --market um")
        folder = f"{_KLINES[series.kind]}/{symbol}/{series.interval}"
        stem = f"{symbol}-{series.interval}"
        monthly = f"{room}/monthly/{folder}/{stem}-{month}.zip"
        if self._exists(monthly) or self._exists(f"{monthly}.CHECKSUM"):
            yield monthly, first, last
            return
        if self.is_remote and last < self._clock.now_ms() - MONTHLY_DELAY_MS:
            return
        for day, after in days:
            yield f"{room}/daily/{folder}/{stem}-{iso_utc(day)[:10]}.zip", day, after

    def _digest(self, path: str, symbol: str) -> str | None:
        """The published SHA-256 of a file; None when the archive has no such file."""
        text = self._read(f"{path}.CHECKSUM")
        where = f"{self.root}/{path}.CHECKSUM"
        if text is None:
            if self._exists(path):
                raise DataError(
                    f"{symbol} cannot be verified: its .CHECKSUM is missing",
                    where=where,
                    remedy="download it beside the zip; nothing was written",
                )
            return None
        words = text.decode("ascii", errors="replace").split()
        if len(words) != 2 or len(words[0]) != 64 or words[1].lstrip("*") != Path(path).name:
            raise DataError(
                f"the .CHECKSUM of {symbol} does not name its file",
                where=where,
                remedy="download it again; nothing was written",
            )
        return words[0].lower()

    def _exists(self, path: str) -> bool:
        if self._client is None:
            return (Path(self.root) / path).is_file()
        return self._request("HEAD", path) is not None

    def _read(self, path: str) -> bytes | None:
        if self._client is not None:
            answer = self._request("GET", path)
            return None if answer is None else answer.content
        try:
            return (Path(self.root) / path).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DataError(
                f"the archive file cannot be read: {error.strerror}",
                where=f"{self.root}/{path}",
                remedy="check its permissions; nothing was written",
            ) from error

    def _request(self, method: str, path: str) -> httpx.Response | None:
        """One answer, after retries; None for 404."""
        assert self._client is not None
        url = f"{self.root}/{path}"
        try:
            for attempt in Retrying(
                retry=retry_if_exception(_is_passing),
                wait=wait_random_exponential(multiplier=0.5, max=20.0),
                stop=stop_after_attempt(self._retries + 1),
                reraise=True,
            ):
                with attempt:
                    answer = self._client.request(method, url)
                    if answer.status_code == 404:
                        return None
                    answer.raise_for_status()
        except httpx.HTTPError as error:
            raise VenueError(
                f"the archive does not answer: {error or type(error).__name__}",
                where=url,
                remedy="check the connection, or give --archive a local mirror; nothing was written",
            ) from error
        return answer


def _is_passing(error: BaseException) -> bool:
    """True for failures that another attempt may mend."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in (408, 429) or error.response.status_code >= 500
    return isinstance(error, httpx.TransportError)

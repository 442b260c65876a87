"""The venue's public REST interface through ccxt: the newest bars, gaps, funding, and exact instruments."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import polars as pl
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from qtm.clock import Clock, SystemClock, iso_utc
from qtm.errors import ConfigError, DataError, VenueError
from qtm.market.archive_file import require_true
from qtm.market.bars import BarKind
from qtm.market.instruments import Instrument, Market, instrument_from_exchange_info
from qtm.market.schemas import BAR_SCHEMA, FUNDING_SCHEMA
from qtm.market.source import Bars, Part, Rows, Series, Trades
from qtm.market.weight import WeightBudget

HOUR_MS = 3_600_000
ROWS_PER_ANSWER = 1000
LONGEST_WAIT_S = 120.0
"""A 429 or 418 that asks for more patience than this ends the run with its message."""

_BARS_CALL = {
    (Market.SPOT, BarKind.TRADE): ("publicGetKlines", "symbol", 2),
    (Market.UM, BarKind.TRADE): ("fapiPublicGetKlines", "symbol", 5),
    (Market.UM, BarKind.MARK): ("fapiPublicGetMarkPriceKlines", "symbol", 5),
    (Market.UM, BarKind.INDEX): ("fapiPublicGetIndexPriceKlines", "pair", 5),
}
"""ccxt's method, the parameter that names the symbol, and the weight of 1,000 rows."""

_LIMITS = {Market.SPOT: 6000, Market.UM: 2400}
"""Weight per minute, until exchangeInfo says otherwise."""


class CcxtRest:
    """Binance's REST interface as a source of history.

    Parameters
    ----------
    spot_url, um_url
        Where the interfaces answer; a paper exchange on loopback will do.
    timeout_s
        Seconds a connection or a read may take.
    retries
        Attempts after the first on a failed connection, a 429, a 418 or a 5xx.
    """

    def __init__(
        self,
        spot_url: str,
        um_url: str,
        *,
        timeout_s: float = 30.0,
        retries: int = 4,
        clock: Clock | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        from ccxt.binance import binance

        self._clock = clock or SystemClock()
        self._retries = retries
        self._sleep = sleep
        self._urls = {Market.SPOT: spot_url.rstrip("/"), Market.UM: um_url.rstrip("/")}
        self._budgets = {market: WeightBudget(limit, self._clock, sleep) for market, limit in _LIMITS.items()}
        self._exchange = binance({"timeout": int(timeout_s * 1000), "enableRateLimit": False})
        self._exchange.urls["api"]["public"] = f"{self._urls[Market.SPOT]}/api/v3"
        self._exchange.urls["api"]["fapiPublic"] = f"{self._urls[Market.UM]}/fapi/v1"
        # ccxt keeps one session and the last answer's headers on the object: one call at a time.
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """`REST <url>`."""
        return f"REST {self._urls[Market.SPOT]}"

    @property
    def is_venue(self) -> bool:
        """True: instruments are the venue's own."""
        return True

    def close(self) -> None:
        """Close the connections."""
        self._exchange.session.close()

    def reachable(self) -> str:
        """Empty when the spot interface answers; otherwise why it does not."""
        import ccxt

        try:
            with self._lock:
                patience, self._exchange.timeout = self._exchange.timeout, 5000
                try:
                    self._exchange.publicGetPing()
                finally:
                    self._exchange.timeout = patience
        except ccxt.BaseError as error:
            return str(error).splitlines()[0][:200]
        return ""

    def parts(self, series: Series, symbol: str, start_ms: int, end_ms: int) -> list[Part]:
        """One part: the window up to the present."""
        if isinstance(series, Trades):
            raise ConfigError(
                "trades are taken from the archive only", where="--source", remedy="use archive"
            )
        now_ms = self._clock.now_ms()
        end = min(end_ms, now_ms)
        if end <= start_ms:
            return []
        origin = f"rest/{series.dataset}/{symbol}/{iso_utc(start_ms)[:7]}"
        # A window that is still growing never counts as taken.
        digest = "complete" if end_ms <= now_ms else f"until {now_ms}"
        return [Part(symbol, start_ms, end, origin, digest, start_ms, end)]

    def read(self, series: Series, part: Part) -> Rows:
        """The rows of a window; a bar that is not closed yet is left out.

        Raises
        ------
        DataError
            For a symbol the venue does not know, or rows that cannot be its history.
        VenueError
            When the venue cannot be reached or refuses.
        """
        if isinstance(series, Bars):
            return self._bars(series, part)
        return self._funding(series.market, part)

    def instruments(self, market: Market, symbols: Sequence[str]) -> list[Instrument]:
        """Instruments with the filters of exchangeInfo.

        Raises
        ------
        DataError
            For a symbol the venue does not know.
        """
        if market is Market.SPOT:
            listed = "[" + ",".join(f'"{symbol}"' for symbol in symbols) + "]"
            answer = self._call(market, "publicGetExchangeInfo", {"symbols": listed}, 20, ", ".join(symbols))
        else:
            answer = self._call(market, "fapiPublicGetExchangeInfo", {}, 1, ", ".join(symbols))
        for limit in answer.get("rateLimits", []):
            if limit["rateLimitType"] == "REQUEST_WEIGHT" and limit["interval"] == "MINUTE":
                self._budgets[market].limit = int(limit["limit"]) // int(limit["intervalNum"])
        source = f"exchangeInfo of {self._urls[market]} at {iso_utc(self._clock.now_ms())}"
        rows = {row["symbol"]: row for row in answer["symbols"]}
        missing = [symbol for symbol in symbols if symbol not in rows]
        if missing:
            raise _unknown(missing[0], market)
        return [instrument_from_exchange_info(market, rows[symbol], source=source) for symbol in symbols]

    # -- inside -------------------------------------------------------------------------------------------

    def _bars(self, series: Bars, part: Part) -> Rows:
        method, key, weight = _BARS_CALL[(series.market, series.kind)]
        server_ms = self._server_ms(series.market)
        rows: list[Sequence[Any]] = []
        start = part.start_ms
        while start < part.end_ms:
            answer = self._call(
                series.market,
                method,
                {
                    key: part.symbol,
                    "interval": series.interval.value,
                    "startTime": start,
                    "endTime": part.end_ms - 1,
                    "limit": ROWS_PER_ANSWER,
                },
                weight,
                f"{part.symbol} {series.interval} from {iso_utc(start)}",
            )
            rows += answer
            if len(answer) < ROWS_PER_ANSWER:
                break
            start = int(answer[-1][0]) + 1
        closed = [row for row in rows if int(row[6]) < server_ms]
        columns = {
            "symbol": [part.symbol] * len(closed),
            "open_time_ms": [int(row[0]) for row in closed],
            **{name: [float(row[at]) for row in closed] for name, at in
               (("open", 1), ("high", 2), ("low", 3), ("close", 4), ("volume", 5), ("quote_volume", 7))},
            "trades": [int(row[8]) for row in closed],
            "taker_base": [float(row[9]) for row in closed],
            "taker_quote": [float(row[10]) for row in closed],
        }  # fmt: skip
        return self._checked(pl.DataFrame(columns, schema=BAR_SCHEMA), part, series.market)

    def _funding(self, market: Market, part: Part) -> Rows:
        rows: list[dict[str, Any]] = []
        start = part.start_ms
        while start < part.end_ms:
            query = {"symbol": part.symbol, "startTime": start, "endTime": part.end_ms - 1, "limit": 1000}
            answer = self._call(
                market,
                "fapiPublicGetFundingRate",
                query,
                1,
                f"funding of {part.symbol} from {iso_utc(start)}",
            )
            rows += answer or []
            if not answer or len(answer) < ROWS_PER_ANSWER:
                break
            start = int(answer[-1]["fundingTime"]) + 1
        times = [int(row["fundingTime"]) for row in rows]
        frame = pl.DataFrame(
            {
                "symbol": [part.symbol] * len(rows),
                "funding_time_ms": times,
                "interval_hours": self._interval_hours(market, part.symbol, times),
                "rate": [float(row["fundingRate"]) for row in rows],
            },
            schema=FUNDING_SCHEMA,
        )
        return self._checked(frame, part, market)

    def _interval_hours(self, market: Market, symbol: str, times: Sequence[int]) -> list[int]:
        """Hours each rate stands for: the distance to the rate before it, or the venue's present interval."""
        if not times:
            return []
        info = self._call(market, "fapiPublicGetFundingInfo", {}, 1, "funding intervals") or []
        present = {row["symbol"]: int(row["fundingIntervalHours"]) for row in info}.get(symbol, 8)
        apart = [round((after - before) / HOUR_MS) for before, after in pairwise(times)]
        known = [hours if hours in (1, 2, 4, 8) else present for hours in apart]
        return [known[0] if known else present, *known]

    def _checked(self, frame: pl.DataFrame, part: Part, market: Market) -> Rows:
        where = f"{self._urls[market]}, {part.symbol}"
        require_true(frame, part.symbol, where, part.holds_from_ms, part.holds_to_ms)
        return Rows(frame, int(frame.estimated_size()))

    def _server_ms(self, market: Market) -> int:
        """The venue's clock decides which bar is closed; ours may be ahead of it."""
        method = "publicGetTime" if market is Market.SPOT else "fapiPublicGetTime"
        return int(self._call(market, method, {}, 1, "server time")["serverTime"])

    def _call(self, market: Market, method: str, query: dict[str, Any], weight: int, what: str) -> Any:
        """One answer, within the weight budget and after retries."""
        import ccxt

        try:
            for attempt in Retrying(
                retry=retry_if_exception(_is_passing),
                wait=self._wait,
                stop=stop_after_attempt(self._retries + 1),
                sleep=self._sleep,
                reraise=True,
            ):
                with attempt, self._lock:
                    self._budgets[market].spend(weight)
                    try:
                        return getattr(self._exchange, method)(query)
                    finally:
                        self._budgets[market].learn(self._exchange.last_response_headers or {})
        except ccxt.BadSymbol as error:
            raise _unknown(what, market) from error
        except ccxt.BaseError as error:
            raise VenueError(
                f"the venue did not answer for {what}: {str(error).splitlines()[0][:300]}",
                where=self._urls[market],
                remedy="check the connection and try again later; nothing was written",
            ) from error

    def _wait(self, state: RetryCallState) -> float:
        """Seconds to the next attempt: what the venue asks for, or a random exponential pause."""
        headers = {
            name.lower(): value for name, value in (self._exchange.last_response_headers or {}).items()
        }
        asked = headers.get("retry-after", "")
        if asked.isdigit():
            if int(asked) > LONGEST_WAIT_S and state.outcome is not None:
                raise VenueError(
                    f"the venue asks to wait {asked} s",
                    where=self.name,
                    remedy="wait that long; more requests would prolong the ban",
                )
            return float(asked) + 0.1
        return float(wait_random_exponential(multiplier=0.5, max=20.0)(state))


def _is_passing(error: BaseException) -> bool:
    """True for failures that another attempt may mend: the network, 429, 418 and 5xx."""
    import ccxt

    return isinstance(error, ccxt.NetworkError)


def _unknown(what: str, market: Market) -> DataError:
    return DataError(
        f"the venue does not know {what} on {market.label}",
        where="exchangeInfo",
        remedy="check the symbol's spelling; nothing was written",
    )

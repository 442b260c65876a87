"""The venue that is mirrored: its REST answers, within its weight, and what to do when it does not answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import httpx
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_random_exponential,
)

from qtm.clock import SystemClock
from qtm.errors import DataError, VenueError
from qtm.market.weight import WeightBudget
from qtm.paper.mirror.markets import MirroredMarket

SNAPSHOT_LEVELS = 1000
"""Levels of a depth snapshot: a fifth of the largest one's weight, deeper than paper orders go."""

CANDLES_PER_ANSWER = 1000
ATTEMPTS = 4
TIMEOUT_S = 10.0
LONGEST_WAIT_S = 120.0


class Upstream:
    """REST of the mirrored venue.

    Parameters
    ----------
    market
        Which of its markets.
    rest_url
        Base URL without the market's path, such as `https://data-api.binance.vision`.
    """

    def __init__(self, market: MirroredMarket, rest_url: str) -> None:
        self.market = market
        self.rest_url = rest_url.rstrip("/")
        # Depth snapshots wait for the weight in the loop (`spend` there), the opening's requests block.
        self._budget = WeightBudget(market.weight_per_minute, SystemClock())

    def listings(self, symbols: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The entries of exchangeInfo, by symbol.

        Raises
        ------
        DataError
            For a symbol the venue does not know.
        VenueError
            When the venue cannot be reached or refuses.
        """
        return _by_symbol(self._get("exchangeInfo", self._named(symbols)), symbols)

    def candles(self, symbol: str, count: int) -> list[list[Any]]:
        """The newest `count` 1m candles, oldest first, the forming one included."""
        rows: list[list[Any]] = []
        while len(rows) < count:
            query: dict[str, Any] = {"symbol": symbol, "interval": "1m"}
            query["limit"] = min(CANDLES_PER_ANSWER, count - len(rows))
            if rows:
                query["endTime"] = int(rows[0][0]) - 1
            page = self._get("klines", query)
            rows = page + rows
            if len(page) < query["limit"]:
                break
        return rows

    def premium_index(self, symbol: str) -> dict[str, Any]:
        """Mark price, index and announced funding rate of a contract."""
        found: dict[str, Any] = self._get("premiumIndex", {"symbol": symbol})
        return found

    def funding_info(self) -> list[dict[str, Any]]:
        """The contracts whose funding interval, cap or floor is not the common one."""
        found: list[dict[str, Any]] | None = self._get("fundingInfo", {})
        return found or []

    def funding_rates(self, symbol: str, count: int) -> list[dict[str, Any]]:
        """The newest settlements of a contract, oldest first."""
        found: list[dict[str, Any]] = self._get("fundingRate", {"symbol": symbol, "limit": count})
        return found

    async def listings_now(self, symbols: Sequence[str]) -> dict[str, dict[str, Any]]:
        """`listings`, without holding up the loop."""
        return _by_symbol(await self._fetch("exchangeInfo", self._named(symbols)), symbols)

    async def candles_since(self, symbol: str, open_ms: int) -> list[list[Any]]:
        """1m candles that open at `open_ms` or later, at most one answer of them."""
        query = {"symbol": symbol, "interval": "1m", "startTime": open_ms, "limit": CANDLES_PER_ANSWER}
        found: list[list[Any]] = await self._fetch("klines", query)
        return found

    async def depth(self, symbol: str) -> dict[str, Any]:
        """A depth snapshot."""
        found: dict[str, Any] = await self._fetch("depth", {"symbol": symbol, "limit": SNAPSHOT_LEVELS})
        return found

    # --- inside --------------------------------------------------------------------------------------------
    def _named(self, symbols: Sequence[str]) -> dict[str, Any]:
        """The query of exchangeInfo."""
        if not self.market.lists_by_name:
            return {}
        return {"symbols": json.dumps(list(symbols), separators=(",", ":"))}

    def _address(self, path: str) -> str:
        return f"{self.rest_url}{self.market.path}/{path}"

    def _get(self, path: str, query: dict[str, Any]) -> Any:
        """One answer, within the weight budget and after retries."""
        self._budget.spend(self.market.weights[path])
        try:
            for attempt in Retrying(
                retry=retry_if_exception(_passing),
                wait=_wait,
                stop=stop_after_attempt(ATTEMPTS),
                reraise=True,
            ):
                with attempt, httpx.Client(timeout=TIMEOUT_S) as client:
                    answer = client.get(self._address(path), params=query)
                    self._budget.learn(answer.headers)
                    return self._read(answer)
        except (httpx.HTTPError, ValueError) as error:
            raise self._failure(path, error) from error
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _fetch(self, path: str, query: dict[str, Any]) -> Any:
        await asyncio.to_thread(self._budget.spend, self.market.weights[path])
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception(_passing),
                wait=_wait,
                stop=stop_after_attempt(ATTEMPTS),
                reraise=True,
            ):
                with attempt:
                    async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
                        answer = await client.get(self._address(path), params=query)
                    self._budget.learn(answer.headers)
                    return self._read(answer)
        except (httpx.HTTPError, ValueError) as error:
            raise self._failure(path, error) from error
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _read(self, answer: httpx.Response) -> Any:
        if answer.status_code in (418, 429) or answer.status_code >= 500:
            answer.raise_for_status()
        body = answer.json()
        if answer.status_code == 200:
            return body
        if body.get("code") == -1121:
            raise DataError(
                "the mirrored venue does not know a symbol",
                where=str(answer.request.url),
                remedy="check the spelling of --symbols",
            )
        raise VenueError(
            f"the mirrored venue refuses: {body.get('code')} {body.get('msg')}", where=str(answer.request.url)
        )

    def _failure(self, path: str, error: Exception) -> VenueError:
        return VenueError(
            f"the mirrored venue cannot be reached for {path}: {type(error).__name__} {error}",
            where=self.rest_url,
            remedy="check the connection, or name a reachable venue with --mirror-url and --mirror-rest-url; "
            "--market synthetic needs no network",
        )


def _by_symbol(answer: dict[str, Any], symbols: Sequence[str]) -> dict[str, dict[str, Any]]:
    rows = {str(row["symbol"]): row for row in answer["symbols"]}
    missing = [symbol for symbol in symbols if symbol not in rows]
    if missing:
        raise DataError(
            f"the mirrored venue does not know {missing[0]}",
            where="--symbols",
            remedy="check the spelling",
        )
    return {symbol: rows[symbol] for symbol in symbols}


def _passing(error: BaseException) -> bool:
    """True for failures that another attempt may mend: the network, 429, 418 and 5xx."""
    return isinstance(error, httpx.HTTPError)


def _wait(state: RetryCallState) -> float:
    """Seconds to the next attempt: what the venue asks for, or a random exponential pause."""
    error = state.outcome.exception() if state.outcome is not None else None
    if isinstance(error, httpx.HTTPStatusError):
        asked = error.response.headers.get("retry-after", "")
        if asked.isdigit():
            if int(asked) > LONGEST_WAIT_S:
                raise VenueError(
                    f"the mirrored venue asks to wait {asked} s",
                    where=str(error.request.url),
                    remedy="wait that long; more requests would prolong the ban",
                )
            return float(asked) + 0.1
    return float(wait_random_exponential(multiplier=0.3, max=5.0)(state))

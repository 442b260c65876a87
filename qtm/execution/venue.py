"""The venue gateway: Binance spot over REST, through ccxt's signing, with exact decimal strings.

Every failure is one of two: the venue said no (`VenueRejected`, nothing was done), or nobody knows
(`VenueUnknown`: the order may be live; ask before any resend). An HTTP 5xx without a code that says
otherwise, a timeout and a dropped connection are always the second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, TypeVar

import ccxt.async_support as ccxt
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from qtm.errors import VenueError
from qtm.execution.updates import OrderUpdate
from qtm.execution.venue_answers import fill_of_trade, fills_of_answer, update_of_answer
from qtm.execution.venue_requests import order_request, pair_request
from qtm.market.instruments import Instrument, Market, instrument_from_exchange_info
from qtm.risk.decisions import ApprovedOrder
from qtm.trading.orders import OrderIntent, OrderStatus, order_of_leg, take_profit_leg

Reply = TypeVar("Reply")

_UNKNOWN_CODES = (-1000, -1001, -1006, -1007)
_NOT_DONE_CODES = (-1008,)
_NO_SUCH_ORDER = (-2011, -2013)
_TRY_LATER = (-1003, -1008, -1015, -1021)
_LEVEL_PASSED = ("trigger immediately", "relationship of the prices", "immediately match")
"""Words of a -2010: the market already stands beyond a level of the order."""
_READ_ATTEMPTS = 4
_WEIGHT_LIMIT = 6000
_WEIGHT_SHARE = 0.6


class VenueUnknown(VenueError):  # noqa: N818
    """The venue's answer was lost: the order may be live or not."""


class VenueRejected(VenueError):  # noqa: N818
    """The venue answered that it did not do this; `code` is Binance's error code, 0 without one."""

    def __init__(self, what: str, *, code: int, where: str = "") -> None:
        super().__init__(what, where=where)
        self.code = code


class _ErrorAnswer(ccxt.ExchangeError):  # type: ignore[misc]
    """An HTTP answer of 400 or more, as it came."""

    def __init__(self, status: int, code: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.code = code


class _Client(ccxt.binance):  # type: ignore[misc]
    """ccxt's Binance client, with errors by their status and code instead of by their text."""

    used_weight = 0

    def handle_errors(
        self, code: int, reason: str, url: str, method: str, headers: Any, body: str, response: Any, *_: Any
    ) -> None:
        """Keep the venue's own count of the weight used; raise for an error answer."""
        used = next((value for name, value in headers.items() if name.upper() == "X-MBX-USED-WEIGHT-1M"), "")
        if used.isdigit():
            self.used_weight = int(used)
        if code >= 400:
            known = response if isinstance(response, dict) else {}
            words = f"{known.get('code', code)} {known.get('msg', reason)}"
            raise _ErrorAnswer(code, int(known.get("code", 0)), words)


class BinanceSpot:
    """Orders, balances and market data of one spot account.

    Parameters
    ----------
    url
        `https://api.binance.com`, or the paper exchange's `http://127.0.0.1:18080`.
    timeout_s
        Longest wait for one answer; after it an order is UNKNOWN.
    recv_window_ms
        How long after its timestamp the venue may still accept a request.
    """

    def __init__(
        self, url: str, api_key: str, api_secret: str, *, timeout_s: float = 10.0, recv_window_ms: int = 5000
    ) -> None:
        self.url = url.rstrip("/")
        self.recv_window_ms = recv_window_ms
        routes = {"public": "api/v3", "private": "api/v3", "v1": "api/v1", "sapi": "sapi/v1"}
        self._client = _Client(
            {
                "apiKey": api_key,
                "secret": api_secret,
                "timeout": int(timeout_s * 1000),
                "enableRateLimit": False,  # the weight budget below reads the venue's own count
                "urls": {"api": {name: f"{self.url}/{path}" for name, path in routes.items()}},
                "options": {"recvWindow": recv_window_ms},
            }
        )
        self._resume_at = 0.0

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def place(self, order: ApprovedOrder) -> OrderUpdate:
        """Send an approved order once; a refusal by the venue comes back as a REJECTED update.

        A refusal that says "not now" (rate limit, overload, clock) comes back as EXPIRED: the order is over,
        what it was for may be tried again.

        Raises
        ------
        VenueUnknown
            When no believable answer came.
        """
        intent = order.intent
        try:
            if intent.take_profit is not None:
                await self._call(
                    self._client.private_post_orderlist_oco,
                    pair_request(intent),
                    where=intent.client_order_id,
                )
                return OrderUpdate(intent.client_order_id, intent.symbol, OrderStatus.NEW)
            answer = await self._call(
                self._client.private_post_order, order_request(intent), where=intent.client_order_id
            )
        except VenueRejected as refused:
            status = OrderStatus.EXPIRED if refused.code in _TRY_LATER else OrderStatus.REJECTED
            return OrderUpdate(
                intent.client_order_id,
                intent.symbol,
                status,
                reason=str(refused),
                level_passed=any(words in str(refused) for words in _LEVEL_PASSED),
            )
        return update_of_answer(answer, fills_of_answer(answer))

    async def query(self, intent: OrderIntent) -> OrderUpdate | None:
        """What the venue knows of an order, with its executions; None when it has never seen it.

        Of a pair the leg that may have traded is asked.
        """
        known = await self._known(intent.symbol, intent.client_order_id)
        profit_id = take_profit_leg(intent.client_order_id) if intent.take_profit is not None else None
        if known is None or profit_id is None or known.status is not OrderStatus.EXPIRED or known.fills:
            return known
        return await self._known(intent.symbol, profit_id) or known

    async def _known(self, symbol: str, client_order_id: str) -> OrderUpdate | None:
        request = {"symbol": symbol, "origClientOrderId": client_order_id}
        try:
            answer = await self._read(self._client.private_get_order, request, where=client_order_id)
        except VenueRejected as refused:
            if refused.code in _NO_SUCH_ORDER:
                return None
            raise
        trades: list[Mapping[str, Any]] = []
        if Decimal(answer["executedQty"]) > 0:
            request = {"symbol": symbol, "orderId": answer["orderId"]}
            trades = await self._read(self._client.private_get_mytrades, request, where=client_order_id)
        return update_of_answer(answer, tuple(fill_of_trade(client_order_id, trade) for trade in trades))

    async def cancel(self, symbol: str, client_order_id: str) -> None:
        """Cancel one order, of a pair both legs; an order that is already gone is no error."""
        for one in (client_order_id, take_profit_leg(client_order_id)):
            if one is None or await self._cancelled(symbol, one):
                return

    async def _cancelled(self, symbol: str, client_order_id: str) -> bool:
        """Cancel an order; False when the venue has none of that id open."""
        request = {"symbol": symbol, "origClientOrderId": client_order_id}
        try:
            await self._read(self._client.private_delete_order, request, where=client_order_id)
        except VenueRejected as refused:
            if refused.code not in _NO_SUCH_ORDER:
                raise
            return False
        return True

    async def open_orders(self) -> list[tuple[str, str]]:
        """(symbol, client order id) of every order open on the account; a pair counts once."""
        rows = await self._read(self._client.private_get_openorders, {}, where="open orders")
        return list(dict.fromkeys((row["symbol"], order_of_leg(row["clientOrderId"])) for row in rows))

    async def balances(self) -> dict[str, Decimal]:
        """Free plus locked amount of every asset held."""
        answer = await self._read(
            self._client.private_get_account, {"omitZeroBalances": "true"}, where="account"
        )
        rows = ((row["asset"], Decimal(row["free"]) + Decimal(row["locked"])) for row in answer["balances"])
        return {asset: qty for asset, qty in rows if qty}

    async def instruments(self, symbols: Iterable[str]) -> list[Instrument]:
        """The exact filters of `symbols`."""
        names = ",".join(f'"{symbol}"' for symbol in symbols)
        answer = await self._read(
            self._client.public_get_exchangeinfo, {"symbols": f"[{names}]"}, where=names
        )
        return [
            instrument_from_exchange_info(Market.SPOT, row, source=f"{self.url}/api/v3/exchangeInfo")
            for row in answer["symbols"]
        ]

    async def klines(self, symbol: str, interval: str, **window: int) -> list[list[Any]]:
        """Klines as Binance sends them; `window` takes startTime, endTime (ms) and limit (up to 1000)."""
        request = {"symbol": symbol, "interval": interval, **window}
        rows: list[list[Any]] = await self._read(self._client.public_get_klines, request, where=symbol)
        return rows

    async def _read(
        self, method: Callable[..., Awaitable[Reply]], request: Mapping[str, Any], *, where: str
    ) -> Any:
        """A call that may be repeated: a few attempts, and never past the weight budget."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(VenueUnknown),
            stop=stop_after_attempt(_READ_ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.2, max=5),
            reraise=True,
        ):
            with attempt:
                pause = self._resume_at - time.monotonic()
                if pause > 0:
                    await asyncio.sleep(pause)
                return await self._call(method, request, where=where)
        raise AssertionError("tenacity returns or raises")

    async def _call(
        self, method: Callable[..., Awaitable[Reply]], request: Mapping[str, Any], *, where: str
    ) -> Any:
        try:
            return await method(dict(request))
        except ccxt.BaseError as error:
            raise _sorted(error, self.url, where) from error
        finally:
            self._spend()

    def _spend(self) -> None:
        """Hold reads back until the next minute once most of the venue's weight is used."""
        if self._client.used_weight > _WEIGHT_LIMIT * _WEIGHT_SHARE:
            self._resume_at = time.monotonic() + 60 - time.time() % 60
            self._client.used_weight = 0


def _sorted(error: Exception, url: str, where: str) -> VenueError:
    """The one place that decides what a failed call means."""
    if isinstance(error, _ErrorAnswer):
        refused = error.status < 500 and error.code not in _UNKNOWN_CODES
        if refused or error.code in _NOT_DONE_CODES:
            return VenueRejected(f"the venue refused: {error}", code=error.code, where=where)
    if isinstance(error, ccxt.AuthenticationError | ccxt.BadRequest):
        return VenueRejected(f"the request could not be made: {error}", code=0, where=where)
    return VenueUnknown(
        f"no believable answer from the venue: {type(error).__name__} {error}",
        where=f"{url} {where}",
        remedy="see that the venue (or `qtm paper serve`) answers there; no order is resent unqueried",
    )

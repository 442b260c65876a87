"""The unmodified public clients, pointed at a paper exchange by configuration alone."""

from __future__ import annotations

import hmac
import json
import time
from types import TracebackType
from typing import Any, Self

import aiohttp
import ccxt
import ccxt.async_support
import ccxt.pro

from tests.paper.worlds import KEY, SECRET


class Rest:
    """A plain signed REST client: answers are (status, body, headers)."""

    def __init__(self, url: str, key: str = KEY, secret: str = SECRET, prefix: str = "/api/v3") -> None:
        self.url = url
        self.prefix = prefix
        self.key = key
        self.secret = secret
        self.session = aiohttp.ClientSession(auto_decompress=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.session.close()

    async def raw(
        self, method: str, path: str, query: str = "", body: str = "", headers: dict[str, str] | None = None
    ) -> tuple[int, Any, Any]:
        """Send exactly this."""
        import yarl

        target = yarl.URL(self.url + path + ("?" + query if query else ""), encoded=True)
        async with self.session.request(method, target, data=body or None, headers=headers or {}) as answer:
            text = await answer.text()
            kind = answer.headers.get("Content-Type", "")
            return answer.status, json.loads(text) if "json" in kind else text, answer.headers

    async def public(
        self, path: str, headers: dict[str, str] | None = None, **params: Any
    ) -> tuple[int, Any, Any]:
        """A request without a key."""
        return await self.raw("GET", f"{self.prefix}/{path}", _query(params), headers=headers)

    async def signed(
        self,
        method: str,
        path: str,
        *,
        skew_ms: int = 0,
        in_body: bool = False,
        unit: str = "",
        **params: Any,
    ) -> tuple[int, Any, Any]:
        """A signed request; parameters go to the query, or to the body."""
        params.setdefault("timestamp", int(time.time() * 1000) + skew_ms)
        query = _query(params)
        query += "&signature=" + hmac.digest(self.secret.encode(), query.encode(), "sha256").hex()
        headers = {"X-MBX-APIKEY": self.key}
        if unit:
            headers["X-MBX-TIME-UNIT"] = unit
        if in_body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            return await self.raw(method, f"{self.prefix}/{path}", "", query, headers)
        return await self.raw(method, f"{self.prefix}/{path}", query, "", headers)

    async def order(self, **params: Any) -> tuple[int, Any]:
        """POST order on BTCUSDT."""
        status, body, _ = await self.signed("POST", "order", **{"symbol": "BTCUSDT", **params})
        return status, body


def _query(params: dict[str, Any]) -> str:
    return "&".join(f"{name}={value}" for name, value in params.items())


def ccxt_config(url: str, **extra: Any) -> dict[str, Any]:
    """Configuration for `ccxt.binance`, `ccxt.async_support.binance` and `ccxt.pro.binance`."""
    ws = url.replace("http", "ws")
    paths = {
        "public": "api/v3", "private": "api/v3", "v1": "api/v1", "sapi": "sapi/v1", "sapiV2": "sapi/v2",
        "sapiV3": "sapi/v3", "sapiV4": "sapi/v4",
    }  # fmt: skip
    api: dict[str, Any] = {name: f"{url}/{path}" for name, path in paths.items()}
    api["ws"] = {
        "spot": ws + "/stream/ws",
        "margin": ws + "/stream/ws",
        "ws-api": {"spot": ws + "/ws-api/v3"},
    }
    return {
        "apiKey": KEY,
        "secret": SECRET,
        "urls": {"api": api},
        "options": {"fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False, "fetchMargins": False},
        "exceptions": {"exact": ccxt.binance().exceptions["linear"]["exact"]},
        **extra,
    }


def pro(url: str, **extra: Any) -> Any:
    """The asyncio client with WebSockets."""
    return ccxt.pro.binance(ccxt_config(url, **extra))

"""The unmodified public clients, pointed at a paper exchange by configuration alone."""

from __future__ import annotations

from typing import Any

import ccxt
import ccxt.async_support
import ccxt.pro

from tests.paper.worlds import KEY, SECRET


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

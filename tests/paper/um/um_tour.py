"""A tour of the futures exchange: one example of every public answer and stream payload it gives."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlencode

import aiohttp

from qtm.paper.pacing import STEP
from qtm.paper.synthetic import SyntheticFeed
from qtm.paper.um.funding import FundingEvent
from qtm.paper.um.orders import NewUmOrder
from qtm.paper.um.server import AccountSpec, UmPaperExchange
from qtm.paper.wire import E8
from tests.paper.clients import Rest
from tests.paper.um.um_worlds import contract
from tests.paper.worlds import KEY, SECRET, START_MS

STREAMS = (
    "trade", "aggTrade", "bookTicker", "depth@0ms", "depth@100ms", "depth5@100ms", "kline_1m", "miniTicker",
    "ticker", "markPrice@1s", "forceOrder", "!miniTicker@arr", "!ticker@arr", "!markPrice@arr@1s",
    "!forceOrder@arr",
)  # fmt: skip
PUBLIC: dict[str, dict[str, str]] = {
    "time": {}, "exchangeInfo": {}, "fundingInfo": {}, "premiumIndex": {}, "ticker/24hr": {},
    "ticker/price": {}, "ticker/bookTicker": {}, "depth": {"symbol": "BTCUSDT"},
    "trades": {"symbol": "BTCUSDT"}, "aggTrades": {"symbol": "BTCUSDT"}, "fundingRate": {"symbol": "BTCUSDT"},
    "klines": {"symbol": "BTCUSDT", "interval": "1m"},
    "markPriceKlines": {"symbol": "BTCUSDT", "interval": "1m"},
    "indexPriceKlines": {"pair": "BTCUSDT", "interval": "1m"}, "openInterest": {"symbol": "BTCUSDT"},
}  # fmt: skip
SINGLE = ("premiumIndex", "ticker/24hr", "ticker/price", "ticker/bookTicker")
"""Those that answer a list, or one row for a symbol."""
STATISTICS = (
    "openInterestHist", "topLongShortAccountRatio", "topLongShortPositionRatio",
    "globalLongShortAccountRatio", "takerlongshortRatio", "basis",
)  # fmt: skip


class UmTour:
    """Collects answers under `um GET path`, one symbol's form under `... one`, streams under `um @name`."""

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}

    async def make(self) -> dict[str, Any]:
        """Make the tour."""
        funding = [FundingEvent("BTCUSDT", START_MS + hour * 3_600_000, 4, 10_000) for hour in (0, 4)]
        async with (
            self._exchange(funding) as ex,
            Rest(ex.url, prefix="") as rest,
            aiohttp.ClientSession() as http,
        ):
            self._trade(ex)
            ex.advance(12)
            await self._answers(rest)
            await self._streams(http, ex)
        return self.seen

    @staticmethod
    def _exchange(funding: list[FundingEvent]) -> UmPaperExchange:
        """A synthetic market, whose candles know what takers bought; on the grid that recordings are on."""
        feed = SyntheticFeed([contract()], start_ms=START_MS, seed=3, speed=STEP, history_minutes=10)
        account = AccountSpec("desk", KEY, SECRET, {"USDT": "100000"})
        return UmPaperExchange(feed, accounts=[account], funding={"BTCUSDT": funding})

    @staticmethod
    def _trade(ex: UmPaperExchange) -> None:
        """A long account and a short one are the top fifth, so that there are ratios."""
        for number in range(9):
            other = ex.venue.open_account(f"other-{number}")
            ex.venue.deposit(other, "USDT", (1_000 if number else 100_000) * E8)
        for number, account in enumerate(ex.venue.accounts.values()):
            qty = 25 * E8 if number < 2 else E8 // 100
            ex.venue.place(
                account, NewUmOrder("BTCUSDT", number % 2 == 0, "MARKET", f"tour-{number}", qty=qty)
            )

    async def _answers(self, rest: Rest) -> None:
        for path, params in PUBLIC.items():
            self.seen[f"um GET {path}"] = await self._ask(rest, f"/fapi/v1/{path}", params)
            if path in SINGLE:
                one = await self._ask(rest, f"/fapi/v1/{path}", {"symbol": "BTCUSDT"})
                self.seen[f"um GET {path} one"] = one
        for path in STATISTICS:
            params = {"period": "5m", "symbol": "BTCUSDT"}
            if path == "basis":
                params = {"period": "5m", "pair": "BTCUSDT", "contractType": "PERPETUAL"}
            self.seen[f"um GET {path}"] = await self._ask(rest, f"/futures/data/{path}", params)

    @staticmethod
    async def _ask(rest: Rest, path: str, params: dict[str, str]) -> Any:
        status, body, _ = await rest.raw("GET", path, urlencode(params))
        assert status == 200, (path, params, body)
        assert body, path
        return body

    async def _streams(self, http: aiohttp.ClientSession, ex: UmPaperExchange) -> None:
        names = {name if name.startswith("!") else f"btcusdt@{name}": name for name in STREAMS}
        socket = await http.ws_connect(ex.ws_url + "/stream?streams=" + "/".join(names))
        ex.advance(2)
        # The long account is liquidated.
        ex.venue.set_depth("BTCUSDT", [(54_000 * E8, 900 * E8)], [(54_001 * E8, 900 * E8)])
        ex.venue.print_trade("BTCUSDT", 54_000 * E8, E8, buyer_is_maker=True)
        wanted = {f"um @{name.removeprefix('!')}" for name in names.values()}
        async with asyncio.timeout(30):
            while not wanted <= self.seen.keys():
                message = await socket.receive_json()
                name, event = names[message["stream"]].removeprefix("!"), message["data"]
                if "depth" in name and not (event["b"] and event["a"]):
                    continue
                self.seen.setdefault(f"um @{name}", event)
        await socket.close()

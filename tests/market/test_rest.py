"""The REST source against a real HTTP server that speaks Binance's public routes."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from aiohttp import web

from qtm.clock import ManualClock
from qtm.errors import DataError, VenueError
from qtm.market.bars import BarKind
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.rest import CcxtRest
from qtm.market.source import Bars, Funding
from tests.market.http_server import serving

MINUTE_MS = 60_000
START = 1_704_067_200_000
NOW = START + 2500 * MINUTE_MS + 30_000
"""Half a minute into the 2,501st bar."""


def answering(body: object) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response(body)

    return answer


@dataclass
class Venue:
    """A venue with 1m bars of BTCUSDT from START on; `failures` are answered first, one per request."""

    failures: list[web.Response] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    used_weight: int = 10
    missing: range = range(0)

    def application(self) -> web.Application:
        application = web.Application(middlewares=[self._weigh])
        for prefix in ("/api/v3", "/fapi/v1"):
            application.router.add_get(f"{prefix}/ping", answering({}))
            application.router.add_get(f"{prefix}/time", answering({"serverTime": NOW}))
            application.router.add_get(f"{prefix}/klines", self._klines)
            application.router.add_get(f"{prefix}/exchangeInfo", self._exchange_info)
        application.router.add_get("/fapi/v1/markPriceKlines", self._klines)
        application.router.add_get("/fapi/v1/fundingRate", self._funding)
        application.router.add_get("/fapi/v1/fundingInfo", answering([]))
        return application

    @web.middleware
    async def _weigh(self, request: web.Request, handler) -> web.StreamResponse:  # type: ignore[no-untyped-def]
        self.requests.append(request.path_qs)
        if self.failures:
            return self.failures.pop(0)
        response: web.StreamResponse = await handler(request)
        response.headers["X-MBX-USED-WEIGHT-1M"] = str(self.used_weight)
        return response

    async def _klines(self, request: web.Request) -> web.Response:
        if request.query["symbol"] != "BTCUSDT":
            return web.json_response({"code": -1121, "msg": "Invalid symbol."}, status=400)
        first = max(int(request.query["startTime"]), START)
        number = -(-(first - START) // MINUTE_MS)
        rows = []
        while len(rows) < int(request.query["limit"]):
            open_ms = START + number * MINUTE_MS
            if open_ms > min(int(request.query["endTime"]), NOW):
                break
            if number not in self.missing:
                price = f"{100 + number % 10}.00"
                rows.append(
                    [open_ms, price, price, price, price, "1.5", open_ms + 59_999, "150", 2, "1", "100", "0"]
                )
            number += 1
        return web.json_response(rows)

    async def _exchange_info(self, request: web.Request) -> web.Response:
        wanted = json.loads(request.query.get("symbols", '["BTCUSDT"]'))
        if wanted != ["BTCUSDT"]:
            return web.json_response({"code": -1121, "msg": "Invalid symbol."}, status=400)
        filters = [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01000000", "maxPrice": "1000000.00000000",
             "tickSize": "0.01000000"},
            {"filterType": "LOT_SIZE", "minQty": "0.00001000", "maxQty": "9000.00000000",
             "stepSize": "0.00001000"},
            {"filterType": "NOTIONAL", "minNotional": "5.00000000", "maxNotional": "9000000.00000000"},
        ]  # fmt: skip
        row = {"symbol": "BTCUSDT", "baseAsset": "BTC", "quoteAsset": "USDT", "status": "TRADING",
               "filters": filters}  # fmt: skip
        limit = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 1200}
        return web.json_response({"symbols": [row], "rateLimits": [limit]})

    async def _funding(self, request: web.Request) -> web.Response:
        times = [START, START + 8 * 3_600_000 + 3, START + 12 * 3_600_000]
        start, end = int(request.query["startTime"]), int(request.query["endTime"])
        rows = [
            {"symbol": "BTCUSDT", "fundingTime": t, "fundingRate": "0.0001"}
            for t in times
            if start <= t <= end
        ]
        return web.json_response(rows)


@pytest.fixture
def venue() -> Venue:
    return Venue()


@pytest.fixture
def rest(venue: Venue) -> Iterator[CcxtRest]:
    with serving(venue.application()) as url:
        source = CcxtRest(url, url, retries=2, clock=ManualClock(NOW), sleep=lambda _seconds: None)
        yield source
        source.close()


SPOT = Bars(Market.SPOT, Interval.M1)


def read(rest: CcxtRest, series=SPOT, symbol: str = "BTCUSDT", end: int = NOW + 10**9):  # type: ignore[no-untyped-def]
    (part,) = rest.parts(series, symbol, START, end)
    return rest.read(series, part)


def test_pages_join_and_the_bar_still_open_is_left_out(rest: CcxtRest, venue: Venue) -> None:
    frame = read(rest).frame
    assert frame["open_time_ms"].to_list() == [START + i * MINUTE_MS for i in range(2500)]
    assert frame.row(3, named=True)["close"] == 103.0
    assert sum("klines" in request for request in venue.requests) == 3


def test_a_window_that_still_grows_never_counts_as_taken(rest: CcxtRest) -> None:
    (past,) = rest.parts(SPOT, "BTCUSDT", START, START + MINUTE_MS)
    (growing,) = rest.parts(SPOT, "BTCUSDT", START, NOW + 1)
    assert past.digest == "complete"
    assert growing.digest != "complete"
    assert growing.end_ms == NOW
    assert rest.parts(SPOT, "BTCUSDT", NOW + 1, NOW + 2) == []


def test_futures_bars_mark_prices_and_funding(rest: CcxtRest) -> None:
    assert len(read(rest, Bars(Market.UM, Interval.M1)).frame) == 2500
    assert len(read(rest, Bars(Market.UM, Interval.M1, BarKind.MARK)).frame) == 2500
    funding = read(rest, Funding(Market.UM)).frame
    assert funding["interval_hours"].to_list() == [8, 8, 4], "the distance to the payment before it"


def test_instruments_are_exact_and_name_their_source(rest: CcxtRest) -> None:
    (btc,) = rest.instruments(Market.SPOT, ["BTCUSDT"])
    assert (btc.tick_size, btc.step_size, btc.min_notional) == (
        Decimal("0.01"),
        Decimal("0.00001"),
        Decimal(5),
    )
    assert btc.filters_source.startswith("exchangeInfo of http://127.0.0.1")
    assert not btc.is_packaged


def test_an_unknown_symbol_is_named(rest: CcxtRest) -> None:
    with pytest.raises(DataError, match="does not know NOPEUSDT"):
        read(rest, symbol="NOPEUSDT")
    with pytest.raises(DataError, match="does not know NOPEUSDT on USD-M"):
        rest.instruments(Market.UM, ["NOPEUSDT"])


def test_a_429_is_waited_out_as_long_as_the_venue_asks(venue: Venue) -> None:
    waits: list[float] = []
    venue.failures = [
        web.json_response({"code": -1003, "msg": "Too much"}, status=429, headers={"Retry-After": "7"})
    ]
    with serving(venue.application()) as url:
        source = CcxtRest(url, url, retries=2, clock=ManualClock(NOW), sleep=waits.append)
        frame = read(source, end=START + 10 * MINUTE_MS).frame
    assert len(frame) == 10
    assert waits == [7.1]


def test_a_ban_is_not_waited_out(rest: CcxtRest, venue: Venue) -> None:
    venue.failures = [
        web.json_response({"code": -1003, "msg": "banned"}, status=418, headers={"Retry-After": "900"})
    ]
    with pytest.raises(VenueError, match="asks to wait 900 s"):
        read(rest)
    assert len(venue.requests) == 1, "a banned address that keeps asking is banned for longer"


def test_a_lasting_failure_ends_in_one_message(rest: CcxtRest, venue: Venue) -> None:
    venue.failures = [web.Response(status=503) for _ in range(9)]
    with pytest.raises(VenueError, match="the venue did not answer"):
        read(rest)
    assert len(venue.requests) == 3, "one attempt and two retries"


def test_the_venues_own_count_slows_us_down_before_it_does(venue: Venue) -> None:
    clock = ManualClock(NOW)
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock.set_ms(clock.now_ms() + round(seconds * 1000))

    venue.used_weight = 5000
    with serving(venue.application()) as url:
        source = CcxtRest(url, url, clock=clock, sleep=sleep)
        read(source, end=START + 10 * MINUTE_MS)
    assert waits == [pytest.approx(30.05)], "until the next minute"


def test_nobody_listening_is_not_reachable() -> None:
    source = CcxtRest("http://127.0.0.1:9", "http://127.0.0.1:9", retries=0, sleep=lambda _s: None)
    assert source.reachable()

"""Small futures markets for tests: own bars, own instruments."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import ccxt

from qtm.market.instruments import Instrument, Market
from qtm.paper.klines import KlineHistory
from qtm.paper.replay import BarReplay, ReplayBars
from qtm.paper.um.accounts import UmAccount
from qtm.paper.um.funding import FundingEvent
from qtm.paper.um.orders import NewUmOrder
from qtm.paper.um.server import AccountSpec, UmPaperExchange
from qtm.paper.um.venue import UmVenue
from qtm.paper.wire import E8, units_of
from qtm.trading.costs import UM_COSTS
from tests.paper.clients import ccxt_config
from tests.paper.worlds import KEY, SECRET, START_MS, bars


def contract(symbol: str = "BTCUSDT", base: str = "BTC") -> Instrument:
    """A contract on Binance's BTCUSDT grid."""
    return Instrument(
        Market.UM, symbol, base, "USDT", Decimal("0.1"), Decimal("0.001"), Decimal("0.001"),
        Decimal("1000"), Decimal("5"), Decimal("0.1"), Decimal("1000000"),
    )  # fmt: skip


def exchange(**options: Any) -> UmPaperExchange:
    """A stepping exchange over 40 bars with one account of 100,000 USDT."""
    series = bars("BTCUSDT", 40)
    for column in (series.open, series.high, series.low, series.close):
        column[:] = column.round(1)
    feed = BarReplay(
        [ReplayBars.from_series(contract(), series, start_ms=START_MS + 5 * 60_000)], costs=UM_COSTS
    )
    return UmPaperExchange(feed, accounts=[AccountSpec("desk", KEY, SECRET, {"USDT": "100000"})], **options)


class Desk:
    """A venue without sockets: one contract, a market at a price, accounts with 10,000 USDT.

    The funding rate last settled is nil, so that the mark price is the middle of the market.
    """

    def __init__(self, price: int = 100, *names: str, **options: Any) -> None:
        self.venue = UmVenue(UM_COSTS, **options)
        self.venue.add_market(contract(), KlineHistory.empty("1m"))
        self.venue.funding.give("BTCUSDT", [FundingEvent("BTCUSDT", START_MS, 8, 0)])
        self.venue.move_clock(START_MS)
        self.events: dict[str, list[dict[str, Any]]] = {}
        self.serial = 0
        self.at(price)
        for name in names or ("desk",):
            account = self.venue.open_account(name)
            self.events[name] = []
            account.listeners.append(self.events[name].append)
            account.limits.counters.clear()
            self.venue.deposit(account, "USDT", 10_000 * E8)

    def at(self, price: float | str, depth: int = 1000) -> None:
        """The market stands one tick either side of `price` and has just traded there."""
        middle, tick = units_of(str(price)), units_of("0.1")
        self.venue.markets["BTCUSDT"].last_price = middle
        self.venue.set_depth("BTCUSDT", [(middle - tick, depth * E8)], [(middle + tick, depth * E8)])

    def account(self, name: str = "desk") -> UmAccount:
        """An account."""
        return self.venue.accounts[name]

    def fund_gain(self) -> int:
        """What the insurance fund has won."""
        return self.venue.fund.balance("USDT") - self.venue.fund.endowment

    def order(self, buy: bool, qty: str, price: str | None = None, name: str = "desk", **more: Any) -> Any:
        """Place an order."""
        self.serial += 1
        request = NewUmOrder(
            "BTCUSDT", buy, "LIMIT" if price else "MARKET", f"c{self.serial}", qty=units_of(qty),
            price=units_of(price) if price else None, **more,
        )  # fmt: skip
        return self.venue.place(self.account(name), request)


def linear(url: str) -> dict[str, Any]:
    """Configuration of ccxt for the futures market."""
    config = ccxt_config(url)
    api, ws = config["urls"]["api"], url.replace("http", "ws")
    for name, path in {
        "fapiPublic": "fapi/v1", "fapiPublicV2": "fapi/v2", "fapiPublicV3": "fapi/v3",
        "fapiPrivate": "fapi/v1",
        "fapiPrivateV2": "fapi/v2", "fapiPrivateV3": "fapi/v3", "fapiData": "futures/data",
    }.items():  # fmt: skip
        api[name] = f"{url}/{path}"
    api["ws"] |= {"linear": ws + "/fstream/ws"}
    api["ws"]["ws-api"]["linear"] = ws + "/ws-fapi/v1"
    config["options"]["fetchMarkets"] = {"types": ["linear"]}
    config["options"]["defaultType"] = "swap"
    config["exceptions"] = {"exact": ccxt.binance().exceptions["linear"]["exact"]}
    return config

"""Positioning of the market's own accounts: open interest and long/short ratios, sampled each 5 minutes.

The anonymous market has no accounts: it stands against whatever the accounts are net. Ratios are those of the
accounts alone, and are known only while both sides have one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtm.paper.errors import ApiError
from qtm.paper.gateway import Call
from qtm.paper.klines import INTERVAL_MS, Kline
from qtm.paper.um import margin
from qtm.paper.um.account_history import Period
from qtm.paper.um.accounts import UmAccount
from qtm.paper.venue import MarketTrade, SymbolMarket
from qtm.paper.wire import E8, text_of

if TYPE_CHECKING:
    from qtm.paper.um.venue import UmVenue

SAMPLE_MS = 300_000
KEPT = 30 * 288
PERIODS = ("5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d")
TOP = 5
"""One account in so many, by margin balance, is a top trader (at least one)."""


@dataclass(frozen=True, slots=True)
class Positioning:
    """One sample: open interest and its value, and (long, short) counts and sizes; sizes in 1e-8 units."""

    time_ms: int
    interest: int
    value: int
    accounts: tuple[int, int]
    top_accounts: tuple[int, int]
    top_positions: tuple[int, int]


class MarketStatistics:
    """Samples a venue (a `MarketListener`) and answers `futures/data`."""

    def __init__(self, venue: UmVenue) -> None:
        self.venue = venue
        self._samples: dict[str, deque[Positioning]] = {}
        self._reached = 0

    # --- sampling ------------------------------------------------------------------------------------------
    def clock_moved(self, now_ms: int) -> None:
        """Sample at every five minutes of market time that have passed."""
        boundary = now_ms // SAMPLE_MS * SAMPLE_MS
        if boundary > self._reached:
            self._reached = boundary
            for name in self.venue.symbols:
                kept = self._samples.setdefault(name, deque(maxlen=KEPT))
                kept.append(self.positioning(name, boundary))

    def traded(self, market: SymbolMarket, trade: MarketTrade) -> None:
        """Not of interest."""

    def book_changed(self, market: SymbolMarket) -> None:
        """Not of interest."""

    def bar_changed(
        self, market: SymbolMarket, bar: Kline, *, closed: bool, next_open_ms: int | None
    ) -> None:
        """Not of interest."""

    def open_interest(self, symbol: str) -> int:
        """Contracts open: the larger side of the accounts, as the market stands against the difference."""
        sizes = [p.qty for a in self.venue.accounts.values() for p in a.held(symbol)]
        held = self.venue.fund.positions.get(symbol)
        sizes.append(held.qty if held is not None else 0)
        return max(sum(q for q in sizes if q > 0), -sum(q for q in sizes if q < 0))

    def positioning(self, symbol: str, time_ms: int) -> Positioning:
        """The present state of a contract."""
        holders = [a for a in self.venue.accounts.values() if a.held(symbol)]
        ranked = sorted(holders, key=lambda account: self._balance(account, symbol), reverse=True)
        top = ranked[: -(-len(ranked) // TOP)]
        interest = self.open_interest(symbol)
        return Positioning(
            time_ms, interest, interest * self.venue.mark(symbol) // E8,
            _count(holders, symbol), _count(top, symbol), _size(top, symbol),
        )  # fmt: skip

    def _balance(self, account: UmAccount, symbol: str) -> int:
        return margin.asset_margin(self.venue, account, self.venue.symbols[symbol].asset).balance

    # --- answers -------------------------------------------------------------------------------------------
    def interest_now(self, call: Call) -> dict[str, Any]:
        """GET openInterest."""
        symbol = self.venue.symbol(call.params.required("symbol"))
        call.params.finish()
        return {
            "symbol": symbol.name, "openInterest": symbol.qty(self.open_interest(symbol.name)),
            "time": self.venue.clock.now_ms(),
        }  # fmt: skip

    def interest_history(self, call: Call) -> list[dict[str, Any]]:
        """GET openInterestHist."""
        return [
            {
                "symbol": name, "sumOpenInterest": text_of(s.interest),
                "sumOpenInterestValue": text_of(s.value), "timestamp": s.time_ms,
            }
            for name, s in self._sampled(call)
        ]  # fmt: skip

    def ratio(self, kind: str, call: Call) -> list[dict[str, Any]]:
        """GET globalLongShortAccountRatio, topLongShortAccountRatio, topLongShortPositionRatio."""
        read: dict[str, Callable[[Positioning], tuple[int, int]]] = {
            "global": lambda s: s.accounts, "topAccounts": lambda s: s.top_accounts,
            "topPositions": lambda s: s.top_positions,
        }  # fmt: skip
        rows = []
        for name, sample in self._sampled(call):
            longs, shorts = read[kind](sample)
            if longs and shorts:
                rows.append(
                    {
                        "symbol": name, "longAccount": f"{longs / (longs + shorts):.4f}",
                        "longShortRatio": f"{longs / shorts:.4f}",
                        "shortAccount": f"{shorts / (longs + shorts):.4f}", "timestamp": sample.time_ms,
                    }
                )  # fmt: skip
        return rows

    def taker_volume(self, call: Call) -> list[dict[str, Any]]:
        """GET takerlongshortRatio: what takers bought and sold, from the candles."""
        name, period, start, end, limit = self._query(call, "symbol")
        rows = self.venue.markets[name].klines.rows(period, limit, start, end)
        shown = []
        for bar in rows:
            sold = bar.volume - bar.taker_base
            if bar.taker_base > 0 and sold > 0:
                shown.append(
                    {
                        "buySellRatio": f"{bar.taker_base / sold:.4f}", "buyVol": f"{bar.taker_base:.4f}",
                        "sellVol": f"{sold:.4f}", "timestamp": bar.open_ms,
                    }
                )  # fmt: skip
        return shown

    def basis(self, call: Call) -> list[dict[str, Any]]:
        """GET basis: the contract's close against the index; only perpetual contracts are listed."""
        kind = call.params.required("contractType")
        if kind not in ("PERPETUAL", "CURRENT_QUARTER", "NEXT_QUARTER"):
            raise ApiError(-4104, "Invalid contract type")
        name, period, start, end, limit = self._query(call, "pair")
        if kind != "PERPETUAL":
            return []
        index, contract = self.venue.prices.contracts[name].index_candles.history, self.venue.symbols[name]
        closes = {bar.open_ms: bar.close for bar in index.rows(period, limit, start, end)}
        return [
            {
                "indexPrice": f"{closes[bar.open_ms]:.8f}", "contractType": kind,
                "basisRate": f"{bar.close / closes[bar.open_ms] - 1:.4f}",
                "futuresPrice": f"{bar.close:.{contract.price_places}f}", "annualizedBasisRate": "",
                "basis": f"{bar.close - closes[bar.open_ms]:.8f}", "pair": name, "timestamp": bar.open_ms,
            }
            for bar in self.venue.markets[name].klines.rows(period, limit, start, end)
            if closes.get(bar.open_ms)
        ]  # fmt: skip

    def delivery_prices(self, call: Call) -> list[dict[str, Any]]:
        """GET delivery-price: nothing is ever delivered here."""
        self._pair(call, "pair")
        call.params.finish()
        return []

    def _sampled(self, call: Call) -> list[tuple[str, Positioning]]:
        name, period, start, end, limit = self._query(call, "symbol")
        length = INTERVAL_MS[period]
        rows = [
            (name, sample)
            for sample in self._samples.get(name, ())
            if sample.time_ms % length == 0 and (start is None or sample.time_ms >= start)
            and (end is None or sample.time_ms <= end)
        ]  # fmt: skip
        return rows[:limit] if start is not None else rows[-limit:]

    def _pair(self, call: Call, member: str) -> str:
        name = call.params.required(member)
        if name not in self.venue.symbols:
            raise ApiError(-4144, "Invalid pair") if member == "pair" else ApiError(-1121, "Invalid symbol.")
        return name

    def _query(self, call: Call, member: str) -> tuple[str, str, int | None, int | None, int]:
        params, name = call.params, self._pair(call, member)
        period = params.required("period")
        if period not in PERIODS:
            raise ApiError(-1130, "Data sent for parameter 'period' is not valid.")
        window, limit = Period(params), params.limit(30, 500)
        params.finish()
        return name, period, window.start, window.end, limit


def _count(accounts: list[UmAccount], symbol: str) -> tuple[int, int]:
    held = [p.qty for account in accounts for p in account.held(symbol)]
    return sum(q > 0 for q in held), sum(q < 0 for q in held)


def _size(accounts: list[UmAccount], symbol: str) -> tuple[int, int]:
    held = [p.qty for account in accounts for p in account.held(symbol)]
    return sum(q for q in held if q > 0), -sum(q for q in held if q < 0)

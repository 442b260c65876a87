"""What every paper market shares: the clock, each symbol's book, tape and candles, who is told of changes.

A market feed (`qtm.paper.replay`, `qtm.paper.synthetic`) drives a `Venue` through `move_clock`, `set_depth`,
`print_trade`, `set_forming` and `close_bar`; spot and futures subclass it and supply the matching hooks.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from qtm.clock import Clock, SystemClock
from qtm.market.instruments import Instrument
from qtm.paper.book import Book
from qtm.paper.klines import Kline, KlineHistory
from qtm.paper.matching import Matcher
from qtm.paper.wire import E8, units_of

TAPE_LENGTH = 1000


class MarketTrade(NamedTuple):
    """One print on the tape; amounts in 1e-8 units, time in microseconds of market time."""

    id: int
    price: int
    qty: int
    quote: int
    time_us: int
    buyer_is_maker: bool


class MarketListener(Protocol):
    """Who is told about market changes (the market-data streams)."""

    def traded(self, market: SymbolMarket, trade: MarketTrade) -> None:
        """A trade was printed."""
        ...

    def book_changed(self, market: SymbolMarket) -> None:
        """The book changed; called once per event, after it."""
        ...

    def bar_changed(
        self, market: SymbolMarket, bar: Kline, *, closed: bool, next_open_ms: int | None
    ) -> None:
        """The forming bar moved, or `bar` is final (then `next_open_ms` names the next bar when known)."""
        ...

    def clock_moved(self, now_ms: int) -> None:
        """Market time moved on."""
        ...


@dataclass
class SymbolMarket:
    """The public state of one symbol."""

    instrument: Instrument
    klines: KlineHistory
    book: Book = field(default_factory=Book)
    last_price: int = 0
    standing: int = 0
    """Where the market stands without a trade of its own there; 0 when that is its last price."""
    next_trade_id: int = 1
    status: str = "TRADING"
    tape: deque[MarketTrade] = field(default_factory=lambda: deque(maxlen=TAPE_LENGTH))

    @property
    def symbol(self) -> str:
        """The symbol's name."""
        return self.instrument.symbol

    @property
    def trigger_price(self) -> int:
        """What conditional orders are held against."""
        return self.standing or self.last_price


class MarketClock:
    """Market time in microseconds: the wall clock, or the replay's time once a feed has set it.

    Within one instant of a replay every trade gets its own microsecond, so that order is never lost.
    """

    def __init__(self, wall: Clock) -> None:
        self._wall = wall
        self._replay_us: int | None = None
        self._began_us = (0, 0)

    @property
    def replaying(self) -> bool:
        """Whether a replay owns the time."""
        return self._replay_us is not None

    def now_us(self) -> int:
        """Market time in microseconds."""
        return self._wall.now_ns() // 1000 if self._replay_us is None else self._replay_us

    def now_ms(self) -> int:
        """Market time in milliseconds."""
        return self.now_us() // 1000

    def ahead_s(self) -> float:
        """Seconds by which a replay has passed faster than the wall clock since it began."""
        if self._replay_us is None:
            return 0.0
        market, wall = self._began_us
        return max(0, self._replay_us - market - (self._wall.now_ns() // 1000 - wall)) / 1e6

    def set_ms(self, ts_ms: int) -> None:
        """Let replay time stand at `ts_ms`; it never goes back."""
        if self._replay_us is None:
            self._began_us = (ts_ms * 1000, self._wall.now_ns() // 1000)
        self._replay_us = max(self._replay_us or 0, ts_ms * 1000)


class VenueStore(Protocol):
    """Keeps a venue's accounts, orders and trades on disk."""

    def restore(self, venue: Any) -> bool:
        """Bring a venue (with its symbols listed) to what was kept; False when nothing was."""
        ...

    def commit(self, venue: Any) -> None:
        """Write everything changed since the last commit, as one."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...


class Venue(Matcher):
    """One market of the paper exchange. `accounts` holds the market's own account objects by name."""

    accounts: dict[str, Any]
    store: Any = None

    def __init__(self, wall: Clock | None = None) -> None:
        self.wall: Clock = wall or SystemClock()
        self.clock = MarketClock(self.wall)
        self.markets: dict[str, SymbolMarket] = {}
        self.listeners: list[MarketListener] = []

    def add_market(self, instrument: Instrument, klines: KlineHistory) -> SymbolMarket:
        """List a symbol."""
        market = SymbolMarket(instrument, klines, status=instrument.status)
        self.markets[instrument.symbol] = market
        return market

    @abstractmethod
    def open_account(self, name: str) -> Any:
        """Open an account that holds nothing."""

    @abstractmethod
    def deposit(self, account: Any, asset: str, units: int) -> None:
        """Add (or with negative units withdraw) an amount."""

    @abstractmethod
    def change_filters(self, symbol: str, filters: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Replace filters of a symbol by type, as exchangeInfo writes them; returns all it has now."""

    # --- what a feed calls ---------------------------------------------------------------------------------
    def move_clock(self, ts_ms: int) -> None:
        """Market time stands at `ts_ms` from now on."""
        self.clock.set_ms(ts_ms)
        for listener in self.listeners:
            listener.clock_moved(ts_ms)

    def set_depth(
        self, symbol: str, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]]
    ) -> None:
        """Replace the market's depth; resting orders it has crossed are filled."""
        self.markets[symbol].standing = 0
        self._replace_depth(symbol, bids, asks)
        self._let_depth_trade(symbol)

    def stand_at(
        self, symbol: str, price: int, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]]
    ) -> None:
        """Show what the market opens at next: new orders meet it, what rests waits until it has opened."""
        self.markets[symbol].standing = price
        self._replace_depth(symbol, bids, asks)
        self.settled(symbol)

    def pass_by(self, symbol: str, price: int) -> None:
        """The market comes past `price` on its way: conditional orders look at it."""
        self.markets[symbol].standing = price
        self.price_moved(symbol)
        self.settled(symbol)

    def stop_prices(self, symbol: str) -> Iterator[tuple[int, bool]]:
        """(trigger price, whether it waits above the market) of every stop order of the accounts."""
        return iter(())

    def change_depth(
        self, symbol: str, bids: Sequence[tuple[int, int]], asks: Sequence[tuple[int, int]]
    ) -> None:
        """Set single levels of the market's depth (quantity 0 removes one)."""
        book = self.markets[symbol].book
        for price, qty in bids:
            book.bids.set_external(price, qty)
        for price, qty in asks:
            book.asks.set_external(price, qty)
        book.update_id += 1
        self._let_depth_trade(symbol)

    def print_trade(
        self,
        symbol: str,
        price: int,
        qty: int,
        *,
        buyer_is_maker: bool,
        strict: bool = False,
        reaching: int | None = None,
    ) -> None:
        """A trade of the market: on the tape, and through resting orders that it reaches.

        `reaching` is how much those orders may take (what was traded when None).
        """
        market = self.markets[symbol]
        reach = qty if reaching is None else reaching
        self.print_through(
            symbol, market.book, price, reach, aggressor_buys=not buyer_is_maker, strict=strict
        )
        self.record_trade(market, price, qty, buyer_is_maker=buyer_is_maker)
        self.price_moved(symbol)
        self.settled(symbol)

    def set_forming(self, symbol: str, bar: Kline) -> None:
        """The bar that is being made."""
        market = self.markets[symbol]
        market.klines.forming = bar
        for listener in self.listeners:
            listener.bar_changed(market, bar, closed=False, next_open_ms=None)

    def close_bar(self, symbol: str, bar: Kline, next_open_ms: int | None) -> None:
        """`bar` is final and joins the history."""
        market = self.markets[symbol]
        market.klines.forming = None
        market.klines.append(bar)
        for listener in self.listeners:
            listener.bar_changed(market, bar, closed=True, next_open_ms=next_open_ms)

    def _let_depth_trade(self, symbol: str) -> None:
        """New depth fills the orders it has crossed; those are trades like any other."""
        if self.sweep_crossed(symbol, self.markets[symbol].book):
            self.price_moved(symbol)
        self.settled(symbol)

    def _replace_depth(
        self, symbol: str, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]]
    ) -> None:
        book = self.markets[symbol].book
        book.bids.replace_external(bids)
        book.asks.replace_external(asks)
        book.update_id += 1

    # --- shared by the markets -----------------------------------------------------------------------------
    def record_trade(
        self, market: SymbolMarket, price: int, qty: int, *, buyer_is_maker: bool
    ) -> MarketTrade:
        """Put a trade on the tape and tell the listeners."""
        trade = MarketTrade(
            market.next_trade_id, price, qty, price * qty // E8, self.clock.now_us(), buyer_is_maker
        )
        market.next_trade_id += 1
        market.last_price = price
        market.tape.append(trade)
        for listener in self.listeners:
            listener.traded(market, trade)
        return trade

    def settled(self, symbol: str) -> None:
        """An event is complete: tell everybody what it changed."""
        market = self.markets[symbol]
        for listener in self.listeners:
            listener.book_changed(market)

    def price_moved(self, symbol: str) -> None:
        """The last price changed; conditional orders look at it."""

    def reference_price(self, market: SymbolMarket, minutes: int) -> int:
        """VWAP of the last `minutes`, or the last price when `minutes` is 0 or nothing traded."""
        if minutes:
            average = market.klines.average_price(self.clock.now_ms() - minutes * 60_000)
            if average is not None:
                return units_of(f"{average:.8f}")
        if market.last_price:
            return market.last_price
        return market.book.mid() or 0

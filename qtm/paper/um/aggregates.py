"""Aggregate trades: prints at one price and side within 100 ms count as one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from qtm.paper.klines import Kline
from qtm.paper.venue import TAPE_LENGTH, MarketTrade, SymbolMarket

SPAN_US = 100_000


class AggregateTrade(NamedTuple):
    """One aggregate; amounts in 1e-8 units, `time_us` that of its last trade."""

    id: int
    price: int
    qty: int
    first: int
    last: int
    begun_us: int
    time_us: int
    buyer_is_maker: bool


class AggregateTape:
    """The aggregates of one symbol."""

    def __init__(self) -> None:
        self.closed: deque[AggregateTrade] = deque(maxlen=TAPE_LENGTH)
        self.forming: AggregateTrade | None = None
        self._next_id = 1

    def add(self, trade: MarketTrade) -> AggregateTrade | None:
        """Count a trade; returns the aggregate that it has ended."""
        open_one, ended = self.forming, None
        if open_one is not None:
            same = (open_one.price, open_one.buyer_is_maker) == (trade.price, trade.buyer_is_maker)
            if same and trade.time_us - open_one.begun_us < SPAN_US:
                self.forming = open_one._replace(
                    qty=open_one.qty + trade.qty, last=trade.id, time_us=trade.time_us
                )
                return None
            ended = self.close()
        self.forming = AggregateTrade(
            self._next_id, trade.price, trade.qty, trade.id, trade.id, trade.time_us, trade.time_us,
            trade.buyer_is_maker,
        )  # fmt: skip
        self._next_id += 1
        return ended

    def close(self) -> AggregateTrade | None:
        """End the forming aggregate."""
        ended, self.forming = self.forming, None
        if ended is not None:
            self.closed.append(ended)
        return ended

    def rows(self) -> list[AggregateTrade]:
        """Every aggregate known, the forming one last."""
        return [*self.closed, *([] if self.forming is None else [self.forming])]


class Aggregates:
    """Aggregates the tapes of a venue (a `MarketListener`) and tells `publish` what is final."""

    def __init__(self, publish: Callable[[SymbolMarket, AggregateTrade], None]) -> None:
        self._publish = publish
        self._tapes: dict[str, tuple[SymbolMarket, AggregateTape]] = {}

    def tape(self, market: SymbolMarket) -> AggregateTape:
        """The aggregates of a symbol."""
        found = self._tapes.get(market.symbol)
        if found is None:
            found = self._tapes[market.symbol] = market, AggregateTape()
        return found[1]

    def flush(self) -> None:
        """100 ms of wall time are over: what is forming is final."""
        self._end(lambda _trade: True)

    def traded(self, market: SymbolMarket, trade: MarketTrade) -> None:
        """Count a trade."""
        ended = self.tape(market).add(trade)
        if ended is not None:
            self._publish(market, ended)

    def clock_moved(self, now_ms: int) -> None:
        """What is 100 ms of market time old is final."""
        self._end(lambda trade: now_ms * 1000 - trade.begun_us >= SPAN_US)

    def book_changed(self, market: SymbolMarket) -> None:
        """Not of interest."""

    def bar_changed(
        self, market: SymbolMarket, bar: Kline, *, closed: bool, next_open_ms: int | None
    ) -> None:
        """Not of interest."""

    def _end(self, due: Callable[[AggregateTrade], bool]) -> None:
        for market, tape in self._tapes.values():
            if tape.forming is not None and due(tape.forming):
                ended = tape.close()
                assert ended is not None
                self._publish(market, ended)

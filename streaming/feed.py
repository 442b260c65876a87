"""The one source: market data, our own orders' reports and time, multiplexed into one ordered line.

Everything asynchronous (websockets, REST, order sending) lives on one asyncio loop that runs inside
`next_batch`. With a single source that waits on its own sockets the dataflow reacts within microseconds of a
frame and costs nothing while idle; polling sources add half a millisecond and thread hand-overs add tails.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from streaming.connection import keep_connected, user_stream_greeting
from streaming.frames import KLINE, USER, FrameJournal, decode, frame
from streaming.history import History
from streaming.lockstep import Lockstep
from streaming.messages import BarMessage, Message, PriceMessage, TickMessage
from streaming.orders_out import OrdersOut
from streaming.session import Session

log = logging.getLogger(__name__)

BLOCK_S = 0.005
BATCH = 256
TICK_S = 1.0
_NOW = datetime(2000, 1, 1, tzinfo=UTC)


class Position(NamedTuple):
    """How far the feed has come: what Bytewax snapshots of it.

    `offset` is behind the last frame in the frame journal, `market_ms` the newest event time, `last_open_ms`
    the last closed bar of every symbol.
    """

    offset: int = 0
    market_ms: int = 0
    last_open_ms: tuple[tuple[str, int], ...] = ()


class Feed(StatefulSourcePartition[Message, Position]):
    """The source's only partition."""

    def __init__(self, session: Session, position: Position) -> None:
        self.session = session
        self.loop = session.loop
        self.journal = FrameJournal(session.frames_path)
        self.offset = position.offset
        self.queue: deque[tuple[bytes, bytes, int]] = deque()
        self.emitted = 0
        self.handled = 0
        self.bars = 0
        self.market_ms = position.market_ms
        self.background: list[asyncio.Task[Any]] = []
        self.orders = OrdersOut(session, lambda: session.time.now_ms(self.market_ms), self._push, self._watch)
        self.history = History(session, dict(position.last_open_ms))
        self.lockstep = Lockstep(session) if session.config.lockstep else None
        self.stopping = False
        self._failure: BaseException | None = None
        self._reminded = False
        self._replay: Iterator[tuple[bytes, bytes, int]] | None = self.journal.read(position.offset)
        self._next_tick = 0.0
        session.attach(self)

    def next_batch(self) -> Sequence[Message]:
        """What happened since the last call; waits a few milliseconds when nothing did."""
        if self._failure is not None:
            raise self._failure
        if self._replay is not None:
            return self._replayed(self._replay)
        if not self.queue:
            self._wait()
        lines = [self.queue.popleft() for _ in range(min(BATCH, len(self.queue)))]
        if lines:
            return self._emit(lines)
        if self.settled and self._finished():
            raise StopIteration
        return self._tick()

    def next_awake(self) -> datetime:
        """Always at once: waiting happens inside `next_batch`."""
        return _NOW

    def snapshot(self) -> Position:
        """The position behind the last frame that entered the dataflow."""
        return Position(self.offset, self.market_ms, tuple(self.history.last_open_ms.items()))

    def close(self) -> None:
        """Stop every task and close the connections."""
        tasks = [*self.background, *self.orders.under_way.values()]
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.journal.close()

    @property
    def settled(self) -> bool:
        """True when every frame has run through the dataflow and no order is on its way."""
        return self.emitted == self.handled and not self.orders.under_way and not self.queue

    def acknowledge(self) -> None:
        """The end of the dataflow has handled one message."""
        self.handled += 1

    def stop(self) -> None:
        """End as soon as every order's outcome is known."""
        self.stopping = True

    def _watch(self, task: asyncio.Task[Any]) -> None:
        """A background task that fails stops the stream: nothing fails silently."""
        if not task.cancelled() and task.exception() is not None:
            self._failure = task.exception()
            self.loop.stop()

    def _push(self, line: bytes) -> None:
        self.queue.append((line[:1], line[1:-1], time.perf_counter_ns()))
        self.loop.stop()

    def _replayed(self, lines: Iterator[tuple[bytes, bytes, int]]) -> list[Message]:
        """Frames behind the snapshot, again; when there are no more and all is settled, go live."""
        batch: list[Message] = []
        for kind, payload, offset in islice(lines, BATCH):
            self._take(batch, decode(kind, payload, received_ns=0, wall_ms=self.session.time.wall_ms()))
            self.offset = offset
        if not batch and self.settled and self._reminded:
            self._replay = None
            self._go_live()
        elif not batch and not self._reminded:
            self._remind()
        elif not batch and self.queue:
            return self._emit([self.queue.popleft() for _ in range(min(BATCH, len(self.queue)))])
        elif not batch:
            self._wait()
        return batch

    def _remind(self) -> None:
        """A snapshot may hold an order whose outcome was never journaled as a frame: tell it again."""
        self._reminded = True
        for symbol in self.session.config.symbols:
            client_order_id = self.session.journal.last_decided(self.session.strategy.name, symbol)
            if client_order_id is not None:
                self.orders.bring_back(symbol, client_order_id)

    def _emit(self, lines: list[tuple[bytes, bytes, int]]) -> list[Message]:
        batch: list[Message] = []
        self.offset = self.journal.append([frame(kind, payload) for kind, payload, _ in lines])
        for kind, payload, received_ns in lines:
            self._take(
                batch, decode(kind, payload, received_ns=received_ns, wall_ms=self.session.time.wall_ms())
            )
        return batch

    def _take(self, batch: list[Message], message: Message | None) -> None:
        if message is None:
            return
        if isinstance(message, BarMessage):
            opened = message.bar.open_time_ms
            new = self.history.closed(message.bar.symbol, opened)
            self.bars += new and opened >= self.session.run.trade_from_ms  # warm-up is not trading
            self.market_ms = max(self.market_ms, message.bar.close_time_ms + 1)
        elif isinstance(message, PriceMessage):
            self.market_ms = max(self.market_ms, message.now_ms)
        batch.append(message)
        self.emitted += 1

    def _tick(self) -> list[Message]:
        now = time.monotonic()
        if now < self._next_tick:
            return []
        self._next_tick = now + TICK_S
        self.emitted += 1
        return [TickMessage(self.session.time.now_ms(self.market_ms))]

    def _wait(self) -> None:
        """Run the loop until a frame arrives, or a few milliseconds pass."""
        timer = self.loop.call_later(BLOCK_S, self.loop.stop)
        self.loop.run_forever()
        timer.cancel()

    def _finished(self) -> bool:
        """Asked when everything is settled: the moment to end, or to let a lockstep market move on."""
        limit = self.session.config.bars
        if self.stopping or (limit is not None and self.bars >= limit):
            return True
        if self.lockstep is None:
            return False
        if self.lockstep.done:
            return True
        if self.lockstep.idle and self.history.ready:
            self.run_in_background(self.lockstep.advance(), "lockstep")
        return False

    def _go_live(self) -> None:
        """Everything before is settled: connect, catch up, trade."""
        config = self.session.config
        streams = "/".join(f"{symbol.lower()}@kline_{config.interval.value}" for symbol in config.symbols)
        market = keep_connected(
            f"{config.stream_url}/stream?streams={streams}",
            self._on_kline,
            on_opened=self.history.hold,
            on_connected=self._catch_up,
        )
        user = keep_connected(
            f"{config.ws_api_url}/ws-api/v3",
            self._on_user,
            greeting=lambda: user_stream_greeting(config.api_key, config.api_secret),
        )
        self.run_in_background(market, "market stream")
        self.run_in_background(user, "user stream")

    def run_in_background(self, work: Any, name: str) -> None:
        """Run a coroutine on the feed's loop; its failure stops the stream."""
        task = self.loop.create_task(work, name=name)
        task.add_done_callback(self._watch)
        self.background.append(task)

    async def _catch_up(self) -> None:
        """After every (re)connection: fetch the closed bars between the last one seen and now."""
        async for line in self.history.missing(await self.session.time.market_now_ms()):
            self._push(line)
        held, self.history.held = self.history.held, None
        for payload in held or ():
            self._on_kline(payload)

    def _on_kline(self, payload: bytes) -> None:
        """A frame of the market stream; held back while older bars are being fetched."""
        if self.history.held is not None:
            self.history.held.append(payload)
            return
        if self.lockstep is None or not self.lockstep.keeps(payload):
            self.pass_on(payload)

    def pass_on(self, payload: bytes) -> None:
        """Let a frame of the market stream enter the dataflow."""
        self._push(frame(KLINE, payload))

    def _on_user(self, payload: bytes) -> None:
        if b'"event"' in payload:
            self._push(frame(USER, payload))
        elif b'"result"' in payload:  # subscribed: what happened while we did not listen is asked for
            self.run_in_background(self.orders.look_at_resting(), "resting orders")
        elif b'"error"' in payload:
            log.error("the user stream was refused: %s", payload.decode())


class FeedSource(FixedPartitionedSource[Message, Position]):
    """The multiplexed source as Bytewax wants it: one partition, resumed by its position."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def list_parts(self) -> list[str]:
        """One partition: one account, one order of events."""
        return ["feed"]

    def build_part(self, step_id: str, for_part: str, resume_state: Position | None) -> Feed:
        """The partition, continuing behind the last snapshot."""
        return Feed(self.session, resume_state or Position())

"""Paper exchange: REST orders a second, acknowledgement latency, market-data fan-out, replay speed, memory.

The exchange runs in a process of its own (one core); the load comes from this one over loopback.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import multiprocessing
import resource
import time
from collections.abc import Iterator
from decimal import Decimal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from qtm.market.bars import BarSeries
from qtm.market.instruments import Instrument, Market
from qtm.market.intervals import Interval
from qtm.paper.http import HttpConnection, Request, Response
from qtm.paper.limits import without_limits
from qtm.paper.pacing import MAX, STEP
from qtm.paper.replay import BarReplay, ReplayBars
from qtm.paper.server import AccountSpec, PaperExchange
from qtm.paper.spot.venue import RATE_LIMITS
from qtm.paper.websocket import WebSocket
from qtm.trading.costs import SPOT_COSTS

KEY, SECRET = "bench-key", b"bench-secret"
START_MS = 1_717_200_000_000


def bars(symbol: str, count: int, seed: int) -> ReplayBars:
    """A random walk of 1m bars."""
    rng = np.random.default_rng(seed)
    close = np.round(60000 * np.exp(np.cumsum(rng.normal(0, 5e-4, count))), 2)
    open_ = np.r_[60000.0, close[:-1]]
    series = BarSeries(
        symbol, Interval.M1, START_MS + 60_000 * np.arange(count, dtype=np.int64), open_,
        np.maximum(open_, close) + 1, np.minimum(open_, close) - 1, close, np.full(count, 10.0),
    )  # fmt: skip
    base = symbol.removesuffix("USDT")
    number = Decimal
    instrument = Instrument(
        Market.SPOT, symbol, base, "USDT", number("0.01"), number("0.00001"), number("0.00001"),
        number("9000"), number("5"), number("0.01"), number("1000000"),
    )  # fmt: skip
    return ReplayBars.from_series(instrument, series)


def serve(pipe: Connection, loop_name: str) -> None:
    """The exchange, in its own process; answers "rss" and "cpu" questions on the pipe, stops on "stop"."""

    async def main() -> None:
        feed = BarReplay([bars("BTCUSDT", 100, 1)], costs=SPOT_COSTS, speed=STEP)
        account = AccountSpec("bench", KEY, SECRET.decode(), {"USDT": "1000000000", "BTC": "100000"})
        async with PaperExchange(
            feed, accounts=[account], rate_limits=without_limits(RATE_LIMITS)
        ) as exchange:
            for name in ("MAX_NUM_ORDERS",):
                exchange.venue.symbols["BTCUSDT"].by_type.pop(name)
            pipe.send(exchange.port)
            loop = asyncio.get_running_loop()
            stop = asyncio.Event()

            def asked() -> None:
                question = pipe.recv()
                if question == "stop":
                    stop.set()
                elif question == "usage":
                    usage = resource.getrusage(resource.RUSAGE_SELF)
                    pipe.send((resident_mb(), usage.ru_utime + usage.ru_stime))
                elif isinstance(question, int):
                    fan_out(exchange, question)
                    pipe.send("done")

            loop.add_reader(pipe.fileno(), asked)
            await stop.wait()
            loop.remove_reader(pipe.fileno())

    (uvloop.run if loop_name == "uvloop" else asyncio.run)(main())


def resident_mb() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def fan_out(exchange: PaperExchange, messages: int) -> None:
    """Publish trades as fast as the exchange can."""
    for i in range(messages):
        exchange.venue.record_trade(
            exchange.venue.markets["BTCUSDT"], 6_000_000_000_000 + i, 1_000_000, buyer_is_maker=bool(i & 1)
        )


def order_request(number: int) -> bytes:
    """A signed resting limit order, or (every second one) its cancellation."""
    now = int(time.time() * 1000)
    pair, cancel = divmod(number, 2)
    if cancel:
        query = f"symbol=BTCUSDT&origClientOrderId=b{pair}&timestamp={now}"
    else:
        query = (
            f"symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price={50000 + pair % 5000}"
            f"&newClientOrderId=b{pair}&newOrderRespType=RESULT&timestamp={now}"
        )
    signature = hmac.digest(SECRET, query.encode(), "sha256").hex()
    verb = "DELETE" if cancel else "POST"
    return (
        f"{verb} /api/v3/order?{query}&signature={signature} HTTP/1.1\r\n"
        f"Host: x\r\nX-MBX-APIKEY: {KEY}\r\n\r\n"
    ).encode()


class Client(asyncio.Protocol):
    """One keep-alive connection that sends the next request when the answer has come."""

    def __init__(self, source: Any, latencies: list[float]) -> None:
        self.source = source
        self.latencies = latencies
        self.finished = asyncio.get_running_loop().create_future()
        self.failures = 0
        self._sent = 0.0
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport: Any = transport

    def next(self) -> None:
        """Send the next request, or finish."""
        request = next(self.source, None)
        if request is None:
            if not self.finished.done():
                self.finished.set_result(None)
            return
        self._sent = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Collect the answer."""
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.rpartition(b"Content-Length: ")[2].split(b"\r\n")[0])
        if len(rest) < length:
            return
        self._buffer = b""
        self.latencies.append(time.perf_counter() - self._sent)
        if not head.startswith(b"HTTP/1.1 200") and not self.failures:
            print(head, rest)
        self.failures += not head.startswith(b"HTTP/1.1 200")
        self.answered()

    def answered(self) -> None:
        """An answer is complete."""
        self.next()


def lane_requests(lane: int, lanes: int, requests: int) -> Iterator[bytes]:
    """Every order of one lane followed by its cancellation."""
    for step in range(requests // (2 * lanes)):
        for part in (0, 1):
            yield order_request(2 * (step * lanes + lane) + part)


async def throughput(port: int, requests: int, connections: int = 1) -> tuple[float, int]:
    """Requests a second and failures. Place and cancel of one order travel on one connection, in turn."""
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    clients = []
    for lane in range(connections):
        _, client = await loop.create_connection(
            lambda n=lane_requests(lane, connections, requests): Client(n, latencies), "127.0.0.1", port
        )
        clients.append(client)
    started = time.perf_counter()
    for client in clients:
        client.next()
    await asyncio.gather(*(client.finished for client in clients))
    elapsed = time.perf_counter() - started
    for client in clients:
        client.transport.close()
    return len(latencies) / elapsed, sum(client.failures for client in clients)


async def latency(port: int, rate: int, seconds: float) -> np.ndarray:
    """Acknowledgement latencies in ms at a steady rate over 8 connections."""
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    lanes = []
    for _ in range(8):
        _, client = await loop.create_connection(lambda: Client(iter(()), latencies), "127.0.0.1", port)
        client.answered = lambda: None  # paced from outside
        lanes.append(client)
    offset = 10_000_000
    started = loop.time()
    for i in range(int(rate * seconds)):
        due = started + i / rate
        delay = due - loop.time()
        if delay > 0:
            await asyncio.sleep(delay)
        lane = lanes[(i // 2) % 8]
        lane.source = iter((order_request(offset + i),))
        lane.next()
    await asyncio.sleep(0.2)
    for client in lanes:
        client.transport.close()
    return np.array(latencies) * 1000


async def receive(port: int, clients: int, messages: int, pipe: Connection) -> float:
    """Messages a second that arrive at every one of `clients` sockets."""
    loop = asyncio.get_running_loop()
    wanted = asyncio.Event()
    state = {"bytes": 0, "open": 0}

    class Reader(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.upgraded = False
            transport.write(  # type: ignore[attr-defined]
                b"GET /ws/btcusdt@trade HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )

        def data_received(self, data: bytes) -> None:
            if not self.upgraded:
                self.upgraded = True
                state["open"] += 1
                return
            state["count"] = state.get("count", 0) + data.count(b'"e":"trade"')
            if state["count"] >= clients * messages * 0.999:
                wanted.set()

    transports = [(await loop.create_connection(Reader, "127.0.0.1", port))[0] for _ in range(clients)]
    while state["open"] < clients:
        await asyncio.sleep(0.01)
    started = time.perf_counter()
    for _ in range(messages // 500):
        pipe.send(500)
        while not pipe.poll():
            await asyncio.sleep(0)
        pipe.recv()
    await asyncio.wait_for(wanted.wait(), 60)
    elapsed = time.perf_counter() - started
    for transport in transports:
        transport.close()
    return messages / elapsed


def replay_day(symbols: int) -> float:
    """Seconds to replay 24 hours of 1m bars of `symbols` symbols at full speed, without clients."""

    async def main() -> float:
        feed = BarReplay([bars(f"S{i}USDT", 1440, i) for i in range(symbols)], costs=SPOT_COSTS, speed=MAX)
        async with PaperExchange(feed, accounts=[AccountSpec("a", KEY, "s")], begin="now") as exchange:
            started = time.perf_counter()
            await exchange.wait_done()
            return time.perf_counter() - started

    return uvloop.run(main())


def serve_stack(pipe: Connection, stack: str) -> None:
    """Serve GET /time by one HTTP stack, the same tiny answer from each."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        answer = b'{"serverTime":1717200000000}'
        if stack == "aiohttp":
            from aiohttp import web

            async def handler(request: web.Request) -> web.Response:
                return web.Response(body=answer, content_type="application/json")

            app = web.Application()
            app.router.add_get("/time", handler)
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            port = runner.addresses[0][1]
        else:
            served = _Time(answer)
            server = await loop.create_server(lambda: HttpConnection(served, set()), "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
        pipe.send(port)
        before = time.process_time()
        stop = asyncio.Event()
        loop.add_reader(pipe.fileno(), stop.set)
        await stop.wait()
        loop.remove_reader(pipe.fileno())
        pipe.send(time.process_time() - before)

    uvloop.run(main())


class _Time:
    """An application with one answer."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def handle(self, request: Request) -> Response:
        """Answer anything."""
        return Response(200, self._answer)

    def accept(self, request: Request, socket: WebSocket) -> Response | None:
        """No sockets here."""
        return Response(404, b"{}")


def compare_stacks(requests: int) -> None:
    """Requests a second and server CPU per request of aiohttp's server and of ours."""
    for stack in ("aiohttp", "own edge on httptools"):
        ours, theirs = multiprocessing.Pipe()
        child = multiprocessing.get_context("spawn").Process(
            target=serve_stack, args=(theirs, stack), daemon=True
        )
        child.start()
        port = ours.recv()

        async def load(target: int = port) -> float:
            latencies: list[float] = []
            clients = []
            message = b"GET /time HTTP/1.1\r\nHost: x\r\n\r\n"
            for _ in range(16):
                lane = iter([message] * (requests // 16))
                _, client = await asyncio.get_running_loop().create_connection(
                    lambda source=lane: Client(source, latencies), "127.0.0.1", target
                )
                clients.append(client)
            started = time.perf_counter()
            for client in clients:
                client.next()
            await asyncio.gather(*(client.finished for client in clients))
            return len(latencies) / (time.perf_counter() - started)

        rate = uvloop.run(load())
        ours.send("stop")
        cpu = ours.recv()
        child.join(10)
        print(f"bare HTTP, {stack}: {rate:,.0f} requests/s, {1e6 * cpu / requests:.0f} us of server CPU each")


def measure(orders: int, soak: int, loop_name: str) -> None:
    """Print every figure."""
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    child = context.Process(target=serve, args=(theirs, loop_name), daemon=True)
    child.start()
    port = ours.recv()

    def usage() -> tuple[float, float]:
        ours.send("usage")
        answer: tuple[float, float] = ours.recv()
        return answer

    uvloop.run(throughput(port, 4000, 8))
    _, cpu_before = usage()
    started = time.perf_counter()
    rate, failures = uvloop.run(throughput(port, orders, 16))
    _, cpu_after = usage()
    busy = (cpu_after - cpu_before) / (time.perf_counter() - started)
    print(f"REST orders ({loop_name}): {rate:,.0f}/s over 16 connections, {failures} failures")
    print(f"  server core busy {busy:.0%}, {1e6 * (cpu_after - cpu_before) / orders:.0f} us of CPU each")
    took = uvloop.run(latency(port, 500, 10))
    print(
        f"acknowledgement at 500/s: p50 {np.percentile(took, 50):.2f} ms, "
        f"p99 {np.percentile(took, 99):.2f} ms, max {took.max():.2f} ms ({len(took)} orders)"
    )
    fan = uvloop.run(receive(port, 10, 100_000, ours))
    print(f"fan-out to 10 clients: {fan:,.0f} messages/s to each, {10 * fan:,.0f} frames/s")
    if soak:
        before, _ = usage()
        marks = [before]
        for _ in range(5):
            uvloop.run(throughput(port, soak // 5, 16))
            marks.append(usage()[0])
        print(f"memory over {soak:,} orders and cancels: {', '.join(f'{mark:.0f}' for mark in marks)} MB")
    ours.send("stop")
    child.join(10)
    print(f"replay of 24 h x 20 symbols of 1m bars: {replay_day(20):.1f} s")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=40_000)
    parser.add_argument(
        "--soak", type=int, default=100_000, help="orders of the memory measurement; 0 skips it"
    )
    parser.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop")
    parser.add_argument("--stacks", action="store_true", help="only compare HTTP stacks")
    chosen = parser.parse_args()
    if chosen.stacks:
        compare_stacks(chosen.orders)
        return
    measure(chosen.orders, chosen.soak, chosen.loop)


if __name__ == "__main__":
    main()

"""Clients that load a paper exchange: signed REST orders, and readers of market data."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks._paper_server import KEYS, TRADE_PRICE

PATHS = {"spot": "/api/v3/order", "um": "/fapi/v1/order"}
WS_PATHS = {"spot": "/ws/", "um": "/public/ws/"}

Source = Iterator[bytes]


def signed(venue: str, account: int, verb: str, query: str) -> bytes:
    """A signed request as it leaves the client."""
    key, secret = KEYS[account]
    query = f"{query}&timestamp={int(time.time() * 1000)}"
    signature = hmac.digest(secret.encode(), query.encode(), "sha256").hex()
    return (
        f"{verb} {PATHS[venue]}?{query}&signature={signature} HTTP/1.1\r\n"
        f"Host: x\r\nX-MBX-APIKEY: {key}\r\n\r\n"
    ).encode()


def place(venue: str, account: int, name: str, side: str, price: float | None, qty: str = "0.001") -> bytes:
    """A new order: LIMIT at a price, MARKET without one."""
    kind = "type=MARKET" if price is None else f"type=LIMIT&timeInForce=GTC&price={price:.1f}"
    query = f"symbol=BTCUSDT&side={side}&{kind}&quantity={qty}&newClientOrderId={name}"
    return signed(venue, account, "POST", query + "&newOrderRespType=RESULT")


def cancel(venue: str, account: int, name: str) -> bytes:
    """A cancellation by client id."""
    return signed(venue, account, "DELETE", f"symbol=BTCUSDT&origClientOrderId={name}")


def place_and_cancel(venue: str, lane: int, count: int, run: str) -> Source:
    """Resting orders, each cancelled by the next request: what a maker does all day."""
    for step in range(count // 2):
        name = f"{run}-{lane}-{step}"
        yield place(venue, lane % len(KEYS), name, "BUY", TRADE_PRICE * 0.97 - step % 5000 / 10)
        yield cancel(venue, lane % len(KEYS), name)


def mixed(venue: str, lane: int, count: int, run: str) -> Source:
    """Resting orders cancelled, market orders both ways, and limit orders that cross."""
    account = lane % len(KEYS)
    for step in range(count // 6):
        name = f"{run}-{lane}-{step}"
        yield place(venue, account, name, "BUY", TRADE_PRICE * 0.97 - step % 5000 / 10)
        yield cancel(venue, account, name)
        yield place(venue, account, f"{name}b", "BUY", None)
        yield place(venue, account, f"{name}s", "SELL", None)
        yield place(venue, account, f"{name}B", "BUY", TRADE_PRICE * 1.03)
        yield place(venue, account, f"{name}S", "SELL", TRADE_PRICE * 0.97)


class Client(asyncio.Protocol):
    """One keep-alive connection that sends the next request when the answer has come."""

    def __init__(self, source: Source, took: Callable[[float], None]) -> None:
        self.source = source
        self.finished = asyncio.get_running_loop().create_future()
        self.failures = 0
        self.paced = False
        self._took = took
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
        length = int(head.lower().rpartition(b"content-length: ")[2].split(b"\r\n")[0])
        if len(rest) < length:
            return
        self._buffer = b""
        self._took(time.perf_counter() - self._sent)
        if not head.startswith(b"HTTP/1.1 200"):
            if not self.failures:
                print(head, rest)
            self.failures += 1
        if not self.paced:
            self.next()


async def connect(port: int, sources: list[Source], took: Callable[[float], None]) -> list[Client]:
    """One connection per source."""
    loop = asyncio.get_running_loop()
    return [
        (await loop.create_connection(lambda s=source: Client(s, took), "127.0.0.1", port))[1]
        for source in sources
    ]


async def throughput(port: int, sources: list[Source]) -> tuple[float, int]:
    """Requests a second and failures when every connection always has one request under way."""
    answered: list[float] = []
    clients = await connect(port, sources, answered.append)
    started = time.perf_counter()
    for client in clients:
        client.next()
    await asyncio.gather(*(client.finished for client in clients))
    elapsed = time.perf_counter() - started
    for client in clients:
        client.transport.close()
    return len(answered) / elapsed, sum(client.failures for client in clients)


async def latency(port: int, venue: str, rate: int, seconds: float, run: str) -> np.ndarray:
    """Acknowledgement latencies in ms at a steady rate over 8 connections."""
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    sources = [place_and_cancel(venue, lane, int(rate * seconds), run) for lane in range(8)]
    lanes = await connect(port, sources, latencies.append)
    for client in lanes:
        client.paced = True
    started = loop.time()
    for i in range(int(rate * seconds)):
        delay = started + i / rate - loop.time()
        if delay > 0:
            await asyncio.sleep(delay)
        lanes[(i // 2) % 8].next()
    await asyncio.sleep(0.2)
    for client in lanes:
        client.transport.close()
    return np.array(latencies) * 1000


class Reader(asyncio.Protocol):
    """A WebSocket that counts the trades it receives."""

    def __init__(self, path: str) -> None:
        self.count = 0
        self.opened = asyncio.get_running_loop().create_future()
        self._path = path
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self.transport: Any = transport
        self.transport.write(
            f"GET {self._path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Count."""
        if not self.opened.done():
            self.opened.set_result(None)
        else:
            self.count += (self._tail + data).count(b'"e":"trade"')
            self._tail = data[-10:]


async def readers(port: int, path: str, clients: int) -> list[Reader]:
    """Open sockets on one stream."""
    loop = asyncio.get_running_loop()
    found = [
        (await loop.create_connection(lambda: Reader(path), "127.0.0.1", port))[1] for _ in range(clients)
    ]
    for reader in found:
        await reader.opened
    return found


async def fan_out(port: int, path: str, clients: int, messages: int, publish: Callable[[int], Any]) -> float:
    """Messages a second that arrive at every one of `clients` sockets."""
    opened = await readers(port, path, clients)
    started = time.perf_counter()
    for _ in range(messages // 500):
        await asyncio.to_thread(publish, 500)
    while sum(reader.count for reader in opened) < clients * messages:
        await asyncio.sleep(0.001)
        if time.perf_counter() - started > 60:
            raise TimeoutError(f"{sum(r.count for r in opened):,} of {clients * messages:,} messages arrived")
    elapsed = time.perf_counter() - started
    for reader in opened:
        reader.transport.close()
    return messages / elapsed

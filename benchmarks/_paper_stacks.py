"""HTTP and WebSocket servers compared on the same tiny work: which one the exchange's edge is built on.

Every stack answers `GET /time`, and sends one message to all open WebSockets when it is asked to.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import uvloop

from benchmarks._paper_clients import Client, connect, fan_out
from benchmarks._paper_server import cpu_s, pin
from qtm.paper.http import HttpConnection, Request, Response
from qtm.paper.websocket import WebSocket, text_frame

ANSWER = b'{"serverTime":1717200000000}'
MESSAGE = (
    b'{"e":"trade","E":1717200000000,"s":"BTCUSDT","t":12345,"p":"60000.01000000","q":"0.01000000",'
    b'"T":1717200000000,"m":true,"M":true}'
)
Publish = Callable[[int], Any]


class _Edge:
    """The exchange's own edge with one answer and one stream."""

    def __init__(self) -> None:
        self.sockets: list[WebSocket] = []

    def handle(self, request: Request) -> Response:
        return Response(200, ANSWER)

    def accept(self, request: Request, socket: WebSocket) -> Response | None:
        self.sockets.append(socket)
        return None

    def publish(self, count: int) -> None:
        for _ in range(count):
            ready = text_frame(MESSAGE)
            for socket in self.sockets:
                socket.send(ready)


async def own_edge() -> tuple[int, Publish]:
    """Our edge: httptools and our WebSocket framing under asyncio protocols."""
    edge = _Edge()
    server = await asyncio.get_running_loop().create_server(
        lambda: HttpConnection(edge, set()), "127.0.0.1", 0
    )
    _keep.append(server)
    return server.sockets[0].getsockname()[1], edge.publish


async def aiohttp_server() -> tuple[int, Publish]:
    """aiohttp.web."""
    from aiohttp import web

    sockets: list[web.WebSocketResponse] = []

    async def clock(request: web.Request) -> web.Response:
        return web.Response(body=ANSWER, content_type="application/json")

    async def stream(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        sockets.append(socket)
        async for _ in socket:
            pass
        return socket

    async def publish(count: int) -> None:
        text = MESSAGE.decode()
        for _ in range(count):
            for socket in sockets:
                await socket.send_str(text)

    app = web.Application()
    app.router.add_get("/time", clock)
    app.router.add_get("/ws", stream)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner.addresses[0][1], publish


async def uvicorn_server() -> tuple[int, Publish]:
    """A bare ASGI application under uvicorn with httptools and websockets."""
    import uvicorn

    senders: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]
            await send({"type": "http.response.start", "status": 200, "headers": head})
            await send({"type": "http.response.body", "body": ANSWER})
        elif scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            senders.append(send)
            while (await receive())["type"] != "websocket.disconnect":
                pass

    async def publish(count: int) -> None:
        message = {"type": "websocket.send", "text": MESSAGE.decode()}
        for _ in range(count):
            for send in senders:
                await send(message)

    config = uvicorn.Config(
        app, port=0, log_level="error", access_log=False, lifespan="off", http="httptools",
        ws_per_message_deflate=False,
    )  # fmt: skip
    server = uvicorn.Server(config)
    _keep.append(asyncio.create_task(server.serve()))
    while not server.started:
        await asyncio.sleep(0.01)
    return server.servers[0].sockets[0].getsockname()[1], publish


async def websockets_server() -> tuple[int, Publish]:
    """The websockets library with its own broadcast (no HTTP beside it)."""
    from websockets.asyncio.server import ServerConnection, broadcast, serve

    sockets: set[ServerConnection] = set()

    async def stream(socket: ServerConnection) -> None:
        sockets.add(socket)
        await socket.wait_closed()
        sockets.discard(socket)

    server = await serve(stream, "127.0.0.1", 0, compression=None)
    _keep.append(server)

    def publish(count: int) -> None:
        text = MESSAGE.decode()
        for _ in range(count):
            broadcast(sockets, text)

    return next(iter(server.sockets)).getsockname()[1], publish


async def picows_server() -> tuple[int, Publish]:
    """The picows library (Cython) with a frame per client (no HTTP beside it)."""
    from picows import WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

    transports: list[WSTransport] = []

    class Stream(WSListener):
        def on_ws_connected(self, transport: WSTransport) -> None:
            transports.append(transport)

    def factory(request: WSUpgradeRequest) -> WSListener:
        return Stream()

    server = await ws_create_server(factory, "127.0.0.1", 0)
    _keep.append(server)

    def publish(count: int) -> None:
        for _ in range(count):
            for transport in transports:
                transport.send(WSMsgType.TEXT, MESSAGE)

    return server.sockets[0].getsockname()[1], publish


STACKS: dict[str, Callable[[], Any]] = {
    "own edge (httptools)": own_edge,
    "aiohttp": aiohttp_server,
    "uvicorn (bare ASGI)": uvicorn_server,
    "websockets": websockets_server,
    "picows": picows_server,
}
WITHOUT_HTTP = ("websockets", "picows")
_keep: list[Any] = []


def serve_stack(pipe: Connection, stack: str) -> None:
    """Serve one stack; every number received publishes so many messages, "cpu" asks, "stop" ends."""
    pin(0)

    async def main() -> None:
        port, publish = await STACKS[stack]()
        pipe.send(port)
        loop = asyncio.get_running_loop()
        asked: asyncio.Queue[Any] = asyncio.Queue()
        loop.add_reader(pipe.fileno(), lambda: asked.put_nowait(pipe.recv()))
        while (question := await asked.get()) != "stop":
            if question == "cpu":
                pipe.send(cpu_s())
                continue
            done = publish(question)
            if done is not None:
                await done
            pipe.send(None)
        loop.remove_reader(pipe.fileno())

    uvloop.run(main())


def compare_stacks(requests: int) -> None:
    """Requests a second, fan-out to ten clients, and the server's CPU for each."""
    for stack in STACKS:
        pipe, theirs = multiprocessing.Pipe()
        child = multiprocessing.get_context("spawn").Process(
            target=serve_stack, args=(theirs, stack), daemon=True
        )
        child.start()
        port = pipe.recv()

        def ask(question: Any, pipe: Connection = pipe) -> Any:
            pipe.send(question)
            return pipe.recv()

        line = f"{stack}:"
        if stack not in WITHOUT_HTTP:
            before = ask("cpu")
            rate = uvloop.run(_requests(port, requests))
            line += f" {rate:,.0f} requests/s, {1e6 * (ask('cpu') - before) / requests:.0f} us of CPU each;"
        before, messages = ask("cpu"), 20_000
        rate = uvloop.run(fan_out(port, "/ws", 10, messages, ask))
        each = 1e6 * (ask("cpu") - before) / messages / 10
        print(f"{line} fan-out {rate:,.0f} messages/s to each of 10, {each:.1f} us of CPU a frame")
        pipe.send("stop")
        child.join(10)
        if child.is_alive():
            child.terminate()


async def _requests(port: int, requests: int) -> float:
    answered: list[float] = []
    message = b"GET /time HTTP/1.1\r\nHost: x\r\n\r\n"
    clients: list[Client] = await connect(
        port, [iter([message] * (requests // 16)) for _ in range(16)], answered.append
    )
    started = time.perf_counter()
    for client in clients:
        client.next()
    await asyncio.gather(*(client.finished for client in clients))
    elapsed = time.perf_counter() - started
    for client in clients:
        client.transport.close()
    return len(answered) / elapsed

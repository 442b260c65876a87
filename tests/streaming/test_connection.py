"""A connection that comes back: what it brings at once is neither lost nor taken for what is known."""

import asyncio

from aiohttp import web

from streaming.connection import keep_connected


async def test_a_frame_that_comes_with_the_connection_comes_after_its_opening() -> None:
    happened: list[str] = []

    async def speaks_at_once(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("frame")
        await socket.close()
        return socket

    application = web.Application()
    application.router.add_get("/", speaks_at_once)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    staying = asyncio.create_task(
        keep_connected(
            f"ws://127.0.0.1:{port}/",
            lambda frame: happened.append(frame.decode()),
            on_opened=lambda: happened.append("opened"),
        )
    )
    async with asyncio.timeout(30):
        while happened.count("frame") < 2:
            await asyncio.sleep(0.01)
    staying.cancel()
    await asyncio.gather(staying, return_exceptions=True)
    await runner.cleanup()
    assert happened[:4] == ["opened", "frame", "opened", "frame"]

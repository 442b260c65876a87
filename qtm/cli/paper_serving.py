"""A paper exchange while it serves: what it says of itself, and how it is stopped."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from qtm.paper.exchange import AccountSpec, LoopbackExchange


def serve_until_stopped(
    exchange: LoopbackExchange, account: AccountSpec, ready_file: Path | None, *, waits: bool
) -> None:
    """Serve until SIGINT or SIGTERM; `waits` when time begins with the first subscription."""
    import uvloop

    from qtm.paper.exchange import quiet_collector

    async def serve() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        async with exchange:
            _introduce(exchange, account, waits=waits)
            if ready_file is not None:
                _announce(exchange, ready_file)
            await exchange.serve_until(stop)
            logging.getLogger(__name__).info("stopping")

    quiet_collector()
    uvloop.run(serve())


def _introduce(exchange: LoopbackExchange, account: AccountSpec, *, waits: bool) -> None:
    """Say how to reach the exchange; its log goes to the error stream, so this can be read by itself."""
    spot = exchange.metrics.market == "spot"
    funds = ", ".join(f"{amount} {asset}" for asset, amount in account.balances.items())
    lines = [
        f"{'Spot' if spot else 'USD-M futures'} paper exchange, {exchange.feed.status()['market']} market: "
        + ", ".join(sorted(exchange.feed.instruments())),
        f"  REST           {exchange.url}{'/api/v3' if spot else '/fapi/v1'}",
        f"  streams        {exchange.ws_url}/stream, {exchange.ws_url}/ws",
        f"  WebSocket API  {exchange.ws_url}{'/ws-api/v3' if spot else '/ws-fapi/v1'}",
        f"  admin, metrics {exchange.url}/paper/status, {exchange.url}/metrics",
        f"  account        {account.name}: {funds}; API key {account.api_key}",
        "  secret         paper.api_secret of the settings (paper-secret unless you changed it)",
        "  ccxt and SDKs  set these addresses: docs/how-to/paper-trade.md",
    ]
    if waits:
        lines.append("  Time begins with the first market-data subscription (or POST /paper/begin).")
    lines.append("  Ctrl-C stops it.")
    typer.echo("\n".join(lines))


def _announce(exchange: LoopbackExchange, ready_file: Path) -> None:
    """Tell whoever waits for the file where the exchange listens."""
    facts = {"url": exchange.url, "ws_url": exchange.ws_url, "port": exchange.port, "pid": os.getpid()}
    partial = ready_file.with_suffix(ready_file.suffix + ".partial")
    partial.write_text(json.dumps(facts))
    partial.replace(ready_file)

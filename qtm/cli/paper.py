"""`qtm paper serve`: the paper exchange on loopback."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from qtm.paper.exchange import LoopbackExchange
    from qtm.paper.feed import MarketFeed

paper = typer.Typer(help="The paper exchange: Binance's protocol on loopback.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add `qtm paper`."""
    app.add_typer(paper, name="paper")


@paper.command()
def serve(
    venue: Annotated[
        str, typer.Option(help="`spot` or `um` (USD-M futures): one process serves one market on its port.")
    ] = "spot",
    market: Annotated[
        str, typer.Option(help="`replay` of lake bars, `synthetic`, or `frames` (recorded).")
    ] = "replay",
    lake: Annotated[str, typer.Option(help="Lake to replay from; empty means the configured one.")] = "",
    symbols: Annotated[str, typer.Option(help="Symbols, separated by commas.")] = "BTCUSDT",
    interval: Annotated[str, typer.Option(help="Interval of the replayed bars.")] = "1m",
    from_: Annotated[
        str, typer.Option("--from", help="First moment, UTC (2024-01-31 or 2024-01-31T12:00).")
    ] = "",
    to: Annotated[str, typer.Option("--to", help="Moment after the last bar, UTC.")] = "",
    speed: Annotated[
        str, typer.Option(help="Market seconds per second, `max`, or `step` (POST /paper/advance).")
    ] = "1",
    history: Annotated[int, typer.Option(help="Bars before --from that clients may ask for.", min=0)] = 1500,
    port: Annotated[int, typer.Option(help="Port; 0 picks a free one.", min=-1, max=65535)] = -1,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "",
    slippage_bps: Annotated[float, typer.Option(help="Half spread around the replayed price.", min=0)] = 1.0,
    begin: Annotated[
        str, typer.Option(help="`subscribed`: time runs from the first subscription; `now`: at once.")
    ] = "subscribed",
    seed: Annotated[int, typer.Option(help="Seed of faults and synthetic markets.")] = 7,
    ready_file: Annotated[
        Path | None, typer.Option(help="Write {url, ws_url, port, pid} here once it listens.")
    ] = None,
    recording: Annotated[
        Path | None, typer.Option(help="Recorded frames for --market frames (plain or .gz).")
    ] = None,
    scenario: Annotated[Path | None, typer.Option(help="File of faults and events to play.")] = None,
    state: Annotated[
        Path | None, typer.Option(help="Keep accounts, orders and trades here over restarts.")
    ] = None,
    limits: Annotated[bool, typer.Option(help="Enforce request weights and order counts.")] = True,
    legacy_listen_key: Annotated[
        bool, typer.Option(help="Serve the listenKey user stream the venue has retired.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every order.")] = False,
) -> None:
    """Serve the paper exchange until stopped (Ctrl-C or SIGTERM).

    Example: qtm paper serve --symbols BTCUSDT,ETHUSDT --from 2025-06-01 --to 2025-06-02 --speed 600
    """
    from qtm.errors import ConfigError
    from qtm.market.instruments import Market
    from qtm.paper import sources
    from qtm.paper.limits import without_limits
    from qtm.paper.scenario import load_scenario
    from qtm.paper.server import AccountSpec, PaperExchange
    from qtm.paper.spot.venue import RATE_LIMITS
    from qtm.settings import settings
    from qtm.trading.costs import SPOT_COSTS, UM_COSTS

    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    if ready_file is not None:
        ready_file.unlink(missing_ok=True)
    config = settings()
    if venue not in ("spot", "um"):
        raise ConfigError(f"unknown venue {venue!r}", where="--venue", remedy="use spot or um")
    traded = Market(venue)
    if traded is Market.UM and (market == "frames" or state is not None):
        raise ConfigError(
            "the futures venue plays no recordings and keeps no state file",
            where="--venue um",
            remedy="use --market replay or synthetic without --state",
        )
    costs = (SPOT_COSTS if traded is Market.SPOT else UM_COSTS)._replace(slippage_bps=slippage_bps)
    names = tuple(name.strip().upper() for name in symbols.split(",") if name.strip())
    feed: MarketFeed
    if market == "replay":
        feed = sources.replay_from_lake(
            lake or config.lake_uri,
            names,
            interval,
            start=from_,
            end=to,
            speed=speed,
            history=history,
            costs=costs,
            venue=traded,
        )
    elif market == "synthetic":
        feed = sources.synthetic_market(
            names, start=from_, end=to, speed=speed, history=history, seed=seed, venue=traded
        )
    elif market == "frames" and recording is not None:
        feed = sources.recorded_market(recording, names, lake or config.lake_uri, speed=speed)
    elif market == "frames":
        raise ConfigError(
            "no recording to play", where="--recording", remedy="name a file of recorded frames"
        )
    else:
        raise ConfigError(
            f"unknown market {market!r}", where="--market", remedy="use replay, synthetic or frames"
        )
    quotes = {instrument.quote for instrument in feed.instruments().values()}
    account = AccountSpec(
        "paper",
        config.paper.api_key,
        config.paper.api_secret.get_secret_value(),
        dict.fromkeys(sorted(quotes), str(config.paper.quote_balance)),
    )
    if traded is Market.UM:
        from qtm.paper.replay import BarReplay
        from qtm.paper.um.server import UmPaperExchange
        from qtm.paper.um.venue import RATE_LIMITS as UM_LIMITS

        futures = UmPaperExchange(
            feed,
            accounts=[account],
            funding=sources.funding_from_lake(lake or config.lake_uri, feed)
            if isinstance(feed, BarReplay)
            else None,
            host=host or config.paper.host,
            port=config.paper.um_port if port < 0 else port,
            costs=costs,
            seed=seed,
            begin=begin,
            rate_limits=UM_LIMITS if limits else without_limits(UM_LIMITS),
            scenario=load_scenario(scenario) if scenario is not None else None,
        )
        _run(futures, ready_file)
        return
    exchange = PaperExchange(
        feed,
        accounts=[account],
        host=host or config.paper.host,
        port=config.paper.spot_port if port < 0 else port,
        costs=costs,
        seed=seed,
        begin=begin,
        legacy_listen_key=legacy_listen_key,
        rate_limits=RATE_LIMITS if limits else without_limits(RATE_LIMITS),
        state=state,
        scenario=load_scenario(scenario) if scenario is not None else None,
    )
    _run(exchange, ready_file)


def _run(exchange: LoopbackExchange, ready_file: Path | None) -> None:
    async def serve_until_stopped() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        async with exchange:
            if ready_file is not None:
                _announce(exchange, ready_file)
            await stop.wait()
            logging.getLogger(__name__).info("stopping")

    import gc

    import uvloop

    gc.collect()
    gc.freeze()  # what was loaded at the start is never garbage; scanning it would only delay orders
    uvloop.run(serve_until_stopped())


def _announce(exchange: LoopbackExchange, ready_file: Path) -> None:
    import os

    facts = {"url": exchange.url, "ws_url": exchange.ws_url, "port": exchange.port, "pid": os.getpid()}
    partial = ready_file.with_suffix(ready_file.suffix + ".partial")
    partial.write_text(json.dumps(facts))
    partial.replace(ready_file)

"""`qtm paper serve`: the paper exchange on loopback."""

from __future__ import annotations

import logging
import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qtm.cli.paper_exchange import account_spec, open_feed, spot_exchange, um_exchange
from qtm.cli.paper_serving import serve_until_stopped
from qtm.cli.series_arguments import split_symbols

if TYPE_CHECKING:
    from qtm.market.instruments import Market
    from qtm.paper.exchange import LoopbackExchange, Serving

paper = typer.Typer(help="The paper exchange: Binance's protocol on loopback.", no_args_is_help=True)

MARKETS = ("replay", "synthetic", "frames", "mirror")

_MARKET, _TIME, _ACCOUNT, _ADDRESS, _BEHAVIOUR = (
    "Market", "Time", "Account and costs", "Address", "Behaviour",
)  # fmt: skip

_MEANT_FOR = {
    "lake": {"replay", "frames"},
    "interval": {"replay"},
    "from_": {"replay", "synthetic"},
    "to": {"replay", "synthetic"},
    "speed": {"replay", "synthetic", "frames"},
    "history": {"replay", "synthetic", "mirror"},
    "slippage_bps": {"replay"},
    "participation": {"replay"},
    "recording": {"frames"},
    "mirror_url": {"mirror"},
    "mirror_rest_url": {"mirror"},
    "begin": {"replay", "synthetic", "frames"},
}
"""Options that mean something to some markets only."""

_SPOT_ONLY = ("legacy_listen_key", "bnb_price")
_UM_ONLY = ("brackets",)


def register(app: typer.Typer) -> None:
    """Add `qtm paper`."""
    app.add_typer(paper, name="paper")


@paper.command()
def serve(
    context: typer.Context,
    venue: Annotated[
        str,
        typer.Option(
            help="`spot` or `um` (USD-M futures): one process serves one market on its port.",
            rich_help_panel=_MARKET,
        ),
    ] = "spot",
    market: Annotated[
        str,
        typer.Option(
            help="`replay` of lake bars, `synthetic`, `frames` (recorded), or `mirror` of Binance's public "
            "streams.",
            rich_help_panel=_MARKET,
        ),
    ] = "replay",
    symbols: Annotated[
        str, typer.Option(help="Symbols, separated by commas.", rich_help_panel=_MARKET)
    ] = "BTCUSDT",
    lake: Annotated[
        str,
        typer.Option(help="Lake to replay from; empty means the configured one.", rich_help_panel=_MARKET),
    ] = "",
    interval: Annotated[
        str, typer.Option(help="Interval of the replayed bars.", rich_help_panel=_MARKET)
    ] = "1m",
    from_: Annotated[
        str,
        typer.Option(
            "--from", help="First moment, UTC (2024-01-31 or 2024-01-31T12:00).", rich_help_panel=_TIME
        ),
    ] = "",
    to: Annotated[
        str, typer.Option("--to", help="Moment after the last bar, UTC.", rich_help_panel=_TIME)
    ] = "",
    speed: Annotated[
        str,
        typer.Option(
            help="Market seconds per second, `max`, or `step` (POST /paper/advance).", rich_help_panel=_TIME
        ),
    ] = "1",
    history: Annotated[
        int,
        typer.Option(help="Bars before the start that clients may ask for.", min=0, rich_help_panel=_MARKET),
    ] = 1500,
    recording: Annotated[
        Path | None,
        typer.Option(help="Recorded frames for --market frames (plain or .gz).", rich_help_panel=_MARKET),
    ] = None,
    mirror_url: Annotated[
        str,
        typer.Option(
            help="Streams to mirror; empty means Binance's public market data.", rich_help_panel=_MARKET
        ),
    ] = "",
    mirror_rest_url: Annotated[
        str,
        typer.Option(
            help="REST interface beside them; empty means Binance's public market data.",
            rich_help_panel=_MARKET,
        ),
    ] = "",
    begin: Annotated[
        str,
        typer.Option(
            help="`subscribed`: time runs from the first subscription; `now`: at once.", rich_help_panel=_TIME
        ),
    ] = "subscribed",
    port: Annotated[
        int,
        typer.Option(
            help="Port; 0 picks a free one, -1 the configured one (18080, um 18081).",
            min=-1,
            max=65535,
            rich_help_panel=_ADDRESS,
        ),
    ] = -1,
    host: Annotated[
        str,
        typer.Option(help="Address to listen on; empty means the configured one.", rich_help_panel=_ADDRESS),
    ] = "",
    balances: Annotated[
        str,
        typer.Option(
            help="What the account starts with: USDT=100000,BNB=5; empty funds every quote asset.",
            rich_help_panel=_ACCOUNT,
        ),
    ] = "",
    vip: Annotated[
        int, typer.Option(help="Fee tier, 0 for a regular user.", min=0, max=9, rich_help_panel=_ACCOUNT)
    ] = 0,
    bnb_price: Annotated[
        float,
        typer.Option(
            help="Pay commission in BNB at the discount; a BNB costs this where no BNB market is listed.",
            min=0,
            rich_help_panel=_ACCOUNT,
        ),
    ] = 0.0,
    slippage_bps: Annotated[
        float, typer.Option(help="Half spread around the replayed price.", min=0, rich_help_panel=_ACCOUNT)
    ] = 1.0,
    participation: Annotated[
        float,
        typer.Option(
            help="Largest share of a bar's volume an order may take; 0: no bound.",
            min=0,
            max=1,
            rich_help_panel=_ACCOUNT,
        ),
    ] = 0.0,
    seed: Annotated[
        int, typer.Option(help="Seed of faults and synthetic markets.", rich_help_panel=_BEHAVIOUR)
    ] = 7,
    scenario: Annotated[
        Path | None, typer.Option(help="File of faults and events to play.", rich_help_panel=_BEHAVIOUR)
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(help="Keep accounts, orders and trades here over restarts.", rich_help_panel=_ACCOUNT),
    ] = None,
    brackets: Annotated[
        Path | None,
        typer.Option(
            help="Leverage brackets (um): an answer of GET /fapi/v1/leverageBracket, JSON or .gz.",
            rich_help_panel=_ACCOUNT,
        ),
    ] = None,
    limits: Annotated[
        bool, typer.Option(help="Enforce request weights and order counts.", rich_help_panel=_BEHAVIOUR)
    ] = True,
    legacy_listen_key: Annotated[
        bool,
        typer.Option(
            help="Serve the listenKey user stream the venue has retired.", rich_help_panel=_BEHAVIOUR
        ),
    ] = False,
    ready_file: Annotated[
        Path | None,
        typer.Option(help="Write {url, ws_url, port, pid} here once it listens.", rich_help_panel=_ADDRESS),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log every order.", rich_help_panel=_BEHAVIOUR)
    ] = False,
) -> None:
    """Serve the paper exchange until stopped (Ctrl-C or SIGTERM).

    Example: qtm paper serve --symbols BTCUSDT,ETHUSDT --from 2025-06-01 --to 2025-06-02 --speed 600
    """
    from qtm.errors import ConfigError
    from qtm.market.instruments import Market
    from qtm.paper.scenario import load_scenario
    from qtm.settings import settings
    from qtm.trading.fee_tiers import fee_schedule

    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for noisy in ("httpx", "httpcore", "asyncio", "picows"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if venue not in ("spot", "um"):
        raise ConfigError(f"unknown venue {venue!r}", where="--venue", remedy="use spot or um")
    traded = Market(venue)
    _refuse_what_means_nothing(context, traded, market)
    if ready_file is not None:
        ready_file.unlink(missing_ok=True)
    config = settings()
    costs = fee_schedule(
        traded, vip, bnb=bnb_price or None, slippage_bps=slippage_bps, participation=participation
    )
    funds = _parse_balances(balances)
    names = tuple(split_symbols(symbols))
    feed = open_feed(
        market, names, traded, costs, lake=lake or config.lake_uri, interval=interval, start=from_, end=to,
        speed=speed, history=history, recording=recording, seed=seed, mirror_url=mirror_url,
        mirror_rest_url=mirror_rest_url,
    )  # fmt: skip
    account = account_spec(config, feed, funds)
    played = load_scenario(scenario) if scenario is not None else None
    begin = "now" if market == "mirror" else begin
    usual_port = config.paper.um_port if traded is Market.UM else config.paper.spot_port
    serving: Serving = {
        "accounts": [account], "host": host or config.paper.host, "port": usual_port if port < 0 else port,
        "seed": seed, "begin": begin, "scenario": played,
    }  # fmt: skip
    exchange: LoopbackExchange
    if traded is Market.UM:
        exchange = um_exchange(
            feed, costs=costs, limits=limits, state=state, lake=lake or config.lake_uri, brackets=brackets,
            **serving,
        )  # fmt: skip
    else:
        exchange = spot_exchange(
            feed, costs=costs, limits=limits, state=state, legacy_listen_key=legacy_listen_key, **serving
        )
    waits = begin == "subscribed" and speed != "step"
    serve_until_stopped(exchange, account, ready_file, waits=waits)


def _refuse_what_means_nothing(context: typer.Context, venue: Market, market: str) -> None:
    """Raise ConfigError for an option that was given and would be passed over."""
    from qtm.errors import ConfigError

    if market not in MARKETS:
        raise ConfigError(
            f"unknown market {market!r}", where="--market", remedy=f"use {', '.join(MARKETS[:-1])} or mirror"
        )
    sources = {name: context.get_parameter_source(name) for name in context.params}
    given = {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}
    for name in sorted(given):
        option = "--" + name.strip("_").replace("_", "-")
        if venue.value == "um" and name in _SPOT_ONLY:
            raise ConfigError(
                f"{option} means nothing to the futures venue", where="--venue um", remedy="leave it out"
            )
        if venue.value == "spot" and name in _UM_ONLY:
            raise ConfigError(
                f"{option} means nothing to the spot venue", where="--venue spot", remedy="leave it out"
            )
        if market not in _MEANT_FOR.get(name, set(MARKETS)):
            wanted = " or ".join(sorted(_MEANT_FOR[name]))
            raise ConfigError(
                f"{option} means nothing to --market {market}",
                where=option,
                remedy=f"leave it out, or use --market {wanted}",
            )


def _parse_balances(text: str) -> dict[str, str]:
    from qtm.errors import ConfigError

    funds: dict[str, str] = {}
    for part in text.split(",") if text else ():
        asset, _, amount = part.strip().partition("=")
        try:
            good = asset.isalnum() and Decimal(amount).is_finite() and Decimal(amount) >= 0
        except InvalidOperation:
            good = False
        if not good:
            raise ConfigError(
                f"{part.strip()!r} is no balance", where="--balances", remedy="write USDT=100000,BNB=5"
            )
        funds[asset.upper()] = amount
    return funds

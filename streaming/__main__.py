"""`python -m streaming`: run one strategy live, against the paper exchange unless told otherwise."""

from __future__ import annotations

import json
import logging
import signal
import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any

import typer

from qtm.errors import ConfigError, QtmError
from qtm.execution.access import venue_access
from qtm.market.intervals import Interval
from qtm.settings import Settings, settings
from qtm.trading.book import SIZE_BY_UNITS, SIZE_BY_WEIGHT, Sizing
from streaming.config import StreamConfig
from streaming.summary import print_table

log = logging.getLogger("streaming")

HELP = """Stream a strategy: market data -> strategy -> gate -> orders.

\b
Examples:
  python -m streaming --strategy trend --symbols BTCUSDT
  python -m streaming --strategy trend --symbols BTCUSDT,ETHUSDT --param fast=10 --param slow=40
  python -m streaming --strategy trend --symbols BTCUSDT --replay --lockstep --bars 1440

Stop it with Ctrl-C or SIGTERM; start it again and it continues. The summary is one JSON object on stdout.
"""

app = typer.Typer(add_completion=False, help=HELP, pretty_exceptions_enable=False)


@app.command(help=HELP)
def stream(
    strategy: Annotated[str, typer.Option(help="Name or path of the strategy.")],
    symbols: Annotated[str, typer.Option(help="Comma-separated, for example BTCUSDT,ETHUSDT.")],
    interval: Annotated[str, typer.Option(help="Bar interval.")] = "1m",
    param: Annotated[
        list[str] | None, typer.Option(help="Strategy parameter NAME=VALUE; repeatable.")
    ] = None,
    spot_url: Annotated[str, typer.Option(help="REST address; default: the paper exchange.")] = "",
    stream_url: Annotated[str, typer.Option(help="Websocket streams; default: beside --spot-url.")] = "",
    ws_api_url: Annotated[str, typer.Option(help="Websocket API; default: beside --spot-url.")] = "",
    account: Annotated[str, typer.Option(help="Name of the account in our journal.")] = "",
    cash: Annotated[str, typer.Option(help="Quote currency per symbol; default: an equal share.")] = "",
    units: Annotated[float, typer.Option(help="Fixed base units per target of 1; 0 sizes by equity.")] = 0.0,
    weight: Annotated[float, typer.Option(help="Share of the strategy's equity per target of 1.")] = 1.0,
    rule: Annotated[
        str, typer.Option("--sizing", help="Sizing rule instead, such as volatility:target=0.001.")
    ] = "",
    band: Annotated[float, typer.Option(help="Distance of the protective limit from the close.")] = 0.01,
    warmup: Annotated[int, typer.Option(help="Bars of history first; -1: what the strategy needs.")] = -1,
    bars: Annotated[
        int, typer.Option(help="Stop after this many closed bars, warm-up not counted; 0: run on.")
    ] = 0,
    replay: Annotated[bool, typer.Option(help="The venue replays a recorded market.")] = False,
    lockstep: Annotated[bool, typer.Option(help="Move the replay bar by bar; implies --replay.")] = False,
    fresh: Annotated[bool, typer.Option(help="Start a new run instead of continuing.")] = False,
    limits: Annotated[Path | None, typer.Option(help="Limit file (TOML or YAML).")] = None,
    recv_window_ms: Annotated[int, typer.Option(help="The venue's receive window for our requests.")] = 5000,
    timeout_s: Annotated[float, typer.Option(help="Longest wait for one answer of the venue.")] = 10.0,
    epoch_s: Annotated[float, typer.Option(help="Seconds between snapshots of the state.")] = 1.0,
    verbose: Annotated[bool, typer.Option(help="Log every detail.")] = False,
    table: Annotated[
        bool, typer.Option("--table", help="Print the summary as a table, not as JSON.")
    ] = False,
) -> None:
    """See `HELP`."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)-8s %(name)s %(message)s",
        stream=sys.stderr,
    )
    for noisy in ("alembic", "picows"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    sizing = Sizing(SIZE_BY_UNITS, units) if units else Sizing(SIZE_BY_WEIGHT, weight)
    try:
        have = settings()
        access = venue_access(have, spot_url=spot_url, account=account)
        config = StreamConfig(
            strategy=strategy,
            symbols=tuple(name.strip().upper() for name in symbols.split(",") if name.strip()),
            interval=Interval.parse(interval),
            rest_url=access.rest_url,
            stream_url=stream_url or access.stream_url,
            ws_api_url=ws_api_url or access.ws_api_url,
            api_key=access.api_key,
            api_secret=access.api_secret,
            account=access.account,
            venue=have.live.venue,
            state_dir=have.state_dir,
            database_url=have.database,
            params=_params(param or []),
            sizing=sizing,
            sizer=rule,
            cash=_amount(cash) if cash else None,
            band=band,
            warmup=None if warmup < 0 else warmup,
            bars=bars or None,
            replay=replay or lockstep,
            lockstep=lockstep,
            fresh=fresh,
            limits_file=limits,
            timeout_s=timeout_s,
            recv_window_ms=recv_window_ms,
            epoch_s=epoch_s,
        )
        summary = _run(config, have)
    except QtmError as error:
        log.error("%s", error)
        raise typer.Exit(error.exit_code) from None
    if table:
        print_table(summary)
    else:
        print(json.dumps(summary))  # noqa: T201


def _run(config: StreamConfig, have: Settings) -> dict[str, Any]:
    from streaming.flow import run_flow
    from streaming.session import Session

    session = Session(config, have)
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: session.stop())
        run_flow(session)
        return session.finish()
    finally:
        session.close()


def _params(pairs: list[str]) -> dict[str, float]:
    values = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        try:
            values[name] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise ConfigError(f"--param {pair!r} is not NAME=NUMBER")
    return values


def _amount(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ConfigError(f"--cash {text!r} is no amount") from None


if __name__ == "__main__":
    app()

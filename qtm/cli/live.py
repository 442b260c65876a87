"""`qtm stream | status | explain | kill`: trade, look, understand, stop."""

from __future__ import annotations

import asyncio
import getpass
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from qtm.cli.arguments import print_json
from qtm.clock import SystemClock
from qtm.errors import ConfigError
from qtm.settings import Settings, settings

if TYPE_CHECKING:
    from qtm.execution.journal import Journal

AccountOption = Annotated[str, typer.Option(help="Account in our journal; default: that of the settings.")]
UrlOption = Annotated[str, typer.Option(help="REST address of the paper exchange, if not the settings'.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def register(app: typer.Typer) -> None:
    """Add the live commands to the command line."""
    forwarding = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command("stream", context_settings=forwarding, add_help_option=False)(stream)
    app.command("status")(status)
    app.command("explain")(explain)
    app.command("kill")(kill)


def stream(context: typer.Context) -> None:
    """Stream a strategy through the gate to the venue; `qtm stream --help` lists every option.

    Example: [bold]qtm stream --strategy trend --symbols BTCUSDT[/bold]
    """
    words = [word for word in context.args if word != "--json"]
    shape = () if "--json" in context.args else ("--table",)
    # This process becomes the stream: whoever kills it, even with -9, leaves none behind that trades on.
    os.execv(sys.executable, [sys.executable, "-m", "streaming", *words, *shape])


def status(account: AccountOption = "", as_json: JsonOption = False) -> None:
    """Show runs, kills in force, orders and the gate's counters, from the store alone.

    Example: [bold]qtm status --json[/bold]
    """
    from qtm.execution.status import account_status

    have = settings()
    content = account_status(_journal(have, account or _account(have)), SystemClock())
    if as_json:
        print_json(content)
    else:
        _print_status(content)


def explain(
    client_order_id: Annotated[str, typer.Argument(help="For example trend-BTCUSDT-0000001.")],
    account: AccountOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show why an order exists and what became of it: signal, sizing, every check, every state, every fill.

    Example: [bold]qtm explain trend-BTCUSDT-0000001[/bold]
    """
    from qtm.execution.explain import explain as explain_order

    have = settings()
    content = explain_order(_journal(have, account or _account(have)), client_order_id)
    if as_json:
        print_json(content)
    else:
        _print_explanation(content)


def kill(
    scope: Annotated[str, typer.Argument(help="firm, strategy or symbol.")] = "firm",
    target: Annotated[str, typer.Argument(help="Which strategy or symbol; nothing for firm.")] = "",
    reason: Annotated[str, typer.Option(help="Why; it stays in the record.")] = "stopped by hand",
    actor: Annotated[str, typer.Option(help="Who; default: the user of this session.")] = "",
    account: AccountOption = "",
    spot_url: UrlOption = "",
    release: Annotated[bool, typer.Option("--release", help="Re-arm: lift every kill in force.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Stop trading now: latch, cancel every open order in scope, wait for the venue to confirm zero.

    Works with the stream hung or dead. Positions are left as they are. Nothing re-arms but a person.

    Example: [bold]qtm kill strategy trend --reason "quotes look wrong"[/bold]
    """
    have = settings()
    who = actor or getpass.getuser()
    if release:
        released = _journal(have, account or _account(have)).latches.release(actor=who)
        print_json({"released": released, "by": who})
        return
    report = asyncio.run(_kill(have, scope, target, reason, who, account, spot_url))
    if as_json:
        print_json(report)
    else:
        Console(stderr=True).print(
            f"[bold red]killed[/bold red] {report['scope']} {report['target']}: {report['cancelled']} orders "
            f"cancelled, venue shows none open, {report['zero_ms']:.0f} ms. Re-arm: qtm kill --release"
        )


async def _kill(
    have: Settings, scope: str, target: str, reason: str, who: str, account: str, spot_url: str
) -> dict[str, Any]:
    """Latch first, with as little loaded as possible; then connect, cancel and wait for zero."""
    from dataclasses import asdict

    from qtm.execution.access import venue_access
    from qtm.execution.kill import checked_scope
    from qtm.execution.kill import kill as kill_now

    access = venue_access(have, spot_url=spot_url, account=account)
    journal = _journal(have, access.account)
    journal.latches.hold(checked_scope(scope, target), actor=who, reason=reason)

    from qtm.execution.venue import BinanceSpot

    venue = BinanceSpot(access.rest_url, access.api_key, access.api_secret)
    try:
        report = await kill_now(
            journal, venue, SystemClock(), scope=scope, target=target, actor=who, reason=reason, held=True
        )
    finally:
        await venue.close()
    return asdict(report)


def _journal(have: Settings, account: str) -> Journal:
    from qtm.execution.journal import Journal
    from qtm.store.database import open_database

    return Journal(open_database(have.database), account, SystemClock(), have.state_dir)


def _account(have: Settings) -> str:
    from qtm.execution.access import venue_access

    try:
        return venue_access(have).account
    except ConfigError:
        return f"binance-{have.live.api_key[:8]}"


def _print_status(content: dict[str, Any]) -> None:
    console = Console()
    console.print(f"[bold]{content['account']}[/bold]  {content['time']}")
    for kill_ in content["kills"]:
        confirmed = "venue confirmed" if kill_["venue_confirmed_zero"] else "NOT CONFIRMED"
        console.print(
            f"[bold red]KILL[/bold red] {kill_['scope']} {kill_['target']} by {kill_['actor']} "
            f"at {kill_['latched']}: {kill_['reason']} ({confirmed})"
        )
    table = Table("run", "strategy", "symbols", "state", "alive", "heartbeat", title="Runs")
    for run in content["runs"]:
        alive = "[green]yes[/green]" if run["alive"] else "no"
        table.add_row(
            run["run_id"][:8],
            run["strategy"],
            " ".join(run["symbols"]),
            run["state"],
            alive,
            run["heartbeat"],
        )
    console.print(table)
    for limited in content["limited"]:
        console.print(_caps(limited))
    counts = ", ".join(f"{name} {count}" for name, count in content["orders"].items()) or "none"
    gate = content["gate"]
    by_control = ", ".join(f"{name} {count}" for name, count in gate["by_control"].items())
    console.print(f"Orders: {counts}")
    console.print(f"Gate: approved {gate['approved']}, refused {gate['refused']} {by_control}")
    for order in content["open_orders"]:
        console.print(
            f"Open: {order['client_order_id']} {order['side']} {order['qty']} {order['status']}"
            + _levels(order)
        )
    for symbol, traded in content["traded"].items():
        console.print(f"{symbol}: net {traded['net_qty']} over {traded['fills']} fills")


def _caps(limited: dict[str, Any]) -> Table:
    """Used and allowed of a run at LIVE_LIMITED."""
    title = f"{limited['strategy']} at LIVE_LIMITED until {limited['until']}"
    table = Table("cap (TD-07)", "used", "allowed", title=title)
    for name, use in limited.items():
        if isinstance(use, dict):
            table.add_row(name, use["used"], use["allowed"])
    return table


def _levels(order: dict[str, Any]) -> str:
    """The stop and take-profit of a protective order, in words."""
    levels = {"stop": order["stop_price"], "take-profit": order["take_profit"]}
    return "".join(f", {name} {level}" for name, level in levels.items() if level is not None)


def _print_explanation(content: dict[str, Any]) -> None:
    console = Console()
    order, signal_ = content["order"], content["signal"]
    price = order["price"] or "market"
    console.print(f"[bold]{content['client_order_id']}[/bold]  {content['verdict']}  {content['decided']}")
    console.print(
        f"{order['side']} {order['qty']} {order['symbol']} {order['type']} at {price}{_levels(order)}"
    )
    inputs = ", ".join(f"{name} {value}" for name, value in signal_.items())
    console.print(f"Signal: {inputs}")
    console.print(f"Reference: {content['reference']['price']} seen {content['reference']['seen']}")
    table = Table(
        "control", "passed", "measured", "bound", "set by", title=f"Limits {content['limits_version']}"
    )
    for finding in content["findings"]:
        passed = "[green]yes[/green]" if finding["passed"] else "[bold red]NO[/bold red]"
        table.add_row(finding["control"], passed, finding["measured"], finding["bound"], finding["set_by"])
    console.print(table)
    for state in content["states"]:
        console.print(f"{state['time']}  {state['state']}  {state['why']}")
    for fill in content["fills"]:
        console.print(f"{fill['time']}  fill {fill['qty']} at {fill['price']}, fee {fill['fee']}")
    intact = "intact" if content["chain_intact"] else "[bold red]BROKEN: the record was altered[/bold red]"
    console.print(f"Decision chain: {intact}")

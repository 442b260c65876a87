"""`qtm compile`, and the word on the terminal when a command has to wait for the compiler."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from qtm.cli.arguments import JsonOption, print_json
from qtm.cli.progress import progress
from qtm.compile_notice import told_of_compiling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtm.ahead.plan import Done


def register(app: typer.Typer) -> None:
    """Add `compile` to the command line."""
    app.command("compile")(compile_)


@contextmanager
def compiling_shown() -> Iterator[None]:
    """Say on the terminal what is being compiled while the block runs; without a terminal nobody waits."""
    if not sys.stderr.isatty():
        yield
        return

    def tell(what: str) -> None:
        Console(stderr=True).print(f"[dim]compiling {what}, once: a few seconds[/dim]", soft_wrap=True)

    with told_of_compiling(tell):
        yield


def compile_(
    strategies: Annotated[
        list[str] | None,
        typer.Argument(metavar="[STRATEGY]...", help="Bundled names or .py files; all bundled ones if none."),
    ] = None,
    shared: Annotated[
        bool, typer.Option("--shared", help="Only what all strategies share, and no strategy.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Compile ahead what a first run would wait for: the engines, and strategies for each engine they run in.

    Needed once for each version of the platform and each edit of a strategy; what is there already costs
    nothing. `make setup` does it for the engines.

    Example: [bold]qtm compile[/bold]
    Example: [bold]qtm compile my_strategy.py[/bold]
    Example: [bold]qtm compile --shared[/bold]
    """
    from qtm.ahead.plan import compile_ahead, everything, folder_in_use

    with progress("compiling") as tell:
        done = compile_ahead(
            everything(() if shared else strategies or None),
            on_progress=lambda done, total: tell("compiling", done, total),
        )
    if as_json:
        rows = [{"job": one.job, "compiled": one.compiled, "seconds": one.seconds} for one in done]
        print_json({"done": rows, "cache": str(folder_in_use())})
        return
    _print(done, str(folder_in_use()))


def _print(done: Sequence[Done], cache: str) -> None:
    console = Console()
    if not done:
        console.print(f"everything is compiled already, in {cache}", soft_wrap=True)
        return
    table = Table("What", "Compiled", "Seconds")
    for one in done:
        table.add_row(one.job, "; ".join(one.compiled) or "was there", f"{one.seconds:.1f}")
    console.print(table)
    console.print(f"kept in {cache}", soft_wrap=True)

"""`qtm doctor` tells whether this installation can run and what it is set to."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from qtm.errors import ConfigError
from qtm.settings import Settings, settings

_PACKAGES = (
    "numpy",
    "numba",
    "polars",
    "duckdb",
    "deltalake",
    "cvxpy",
    "great-expectations",
    "dagster",
    "bytewax",
    "ccxt",
)
_MIN_FREE_GIB = 2.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing the doctor looked at."""

    check: str
    ok: bool
    observed: str
    remedy: str = ""


def register(app: typer.Typer) -> None:
    """Add `doctor` to the command line."""
    app.command("doctor")(doctor)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check the installation and print the effective settings with secrets masked.

    Example: [bold]qtm doctor --json[/bold]
    """
    config = settings()
    findings = list(examine(config))
    failed = [finding for finding in findings if not finding.ok]
    if as_json:
        body = {"ok": not failed, "findings": [asdict(f) for f in findings], "settings": masked(config)}
        typer.echo(json.dumps(body, indent=2))
    else:
        _print(findings, config)
    if failed:
        raise ConfigError(
            f"{len(failed)} of {len(findings)} checks failed", where=failed[0].check, remedy=failed[0].remedy
        )


def examine(config: Settings) -> Iterator[Finding]:
    """Look at interpreter, packages, disk, ports and the live-trading gates, cheapest first."""
    python = sys.version_info
    yield Finding(
        "python",
        python[:2] in ((3, 11), (3, 12)),
        f"{python[0]}.{python[1]}.{python[2]}",
        "use Python 3.11 or 3.12",
    )
    for package in _PACKAGES:
        yield _package(package)
    yield _writable(config.home)
    yield _disk(config.home)
    yield _port("paper spot port", config.paper.host, config.paper.spot_port)
    yield _archive(config.market.archive)
    live = config.live.venue != "paper" and config.live.armed
    yield Finding("live trading", True, "ARMED" if live else "off (paper)")


def masked(config: Settings) -> dict[str, object]:
    """The effective settings as JSON values; every secret shows as asterisks or stays empty."""
    body: dict[str, object] = json.loads(config.model_dump_json())
    return body


def _package(name: str) -> Finding:
    try:
        return Finding(f"package {name}", True, version(name))
    except PackageNotFoundError:
        return Finding(f"package {name}", False, "not installed", "run `make setup`")


def _writable(home: Path) -> Finding:
    existing = next(p for p in (home.absolute(), *home.absolute().parents) if p.exists())
    ok = os.access(existing, os.W_OK)
    return Finding("home writable", ok, str(home), f"make {existing} writable or set QTM_HOME")


def _disk(home: Path) -> Finding:
    existing = next(p for p in (home.absolute(), *home.absolute().parents) if p.exists())
    free = shutil.disk_usage(existing).free / 2**30
    return Finding(
        "disk free",
        free >= _MIN_FREE_GIB,
        f"{free:.1f} GiB",
        f"free at least {_MIN_FREE_GIB:g} GiB or set QTM_HOME",
    )


def _port(name: str, host: str, port: int) -> Finding:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return Finding(
                name,
                False,
                f"{host}:{port} {error.strerror}",
                "stop what uses it or set QTM_PAPER__SPOT_PORT",
            )
    return Finding(name, True, f"{host}:{port} free")


def _archive(archive: str) -> Finding:
    if "://" in archive:
        return Finding("archive", True, f"{archive} (asked when ingesting)")
    return Finding(
        "archive",
        Path(archive).is_dir(),
        archive,
        "set QTM_MARKET__ARCHIVE to an existing folder or an https URL",
    )


def _print(findings: list[Finding], config: Settings) -> None:
    console = Console()
    table = Table(title="qtm doctor", title_justify="left")
    table.add_column("check")
    table.add_column("")
    table.add_column("observed")
    table.add_column("remedy", style="yellow")
    for finding in findings:
        mark = "[green]ok[/green]" if finding.ok else "[red]FAIL[/red]"
        table.add_row(finding.check, mark, finding.observed, "" if finding.ok else finding.remedy)
    console.print(table)
    console.print("effective settings (secrets masked):")
    console.print_json(json.dumps(masked(config)))

"""`qtm model-backtest | roll-up`: whether the models held, and how risk went."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from qtm.cli.books import AsJson, AsOf, Held, day_of, read_book
from qtm.clock import SystemClock, iso_utc
from qtm.errors import ConfigError
from qtm.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtm.risk.rolling_backtest import EngineVerdict

_COLOURS = {"green": "green", "yellow": "yellow", "red": "bold red"}


def register(app: typer.Typer) -> None:
    """Add `model-backtest` and `roll-up` to the command line."""
    app.command("model-backtest")(model_backtest)
    app.command("roll-up")(roll_up)


def model_backtest(
    held: Held = None,
    engine: Annotated[
        list[str] | None, typer.Option(help="VaR engine; repeat for several; else all but garch.")
    ] = None,
    window: Annotated[int, typer.Option(min=60, help="Daily returns each forecast looks at.")] = 500,
    trials: Annotated[int, typer.Option(min=10_000, help="Simulated histories behind Z2.")] = 20_000,
    page: Annotated[Path | None, typer.Option(help="Write the trial as an HTML page to this file.")] = None,
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """Roll VaR engines through the history of a book; their exceptions, lights and what they ask for.

    Example: [bold]qtm model-backtest --engine filtered --engine historical --json[/bold]
    """
    from qtm.reports.model_trial import model_trial_page
    from qtm.reports.page import write_report
    from qtm.risk.back_cast import back_cast
    from qtm.risk.engines import DEFAULT_ENGINE, ENGINES, engine_named
    from qtm.risk.rolling_backtest import judge_engine, roll

    engines = [engine_named(name) for name in engine or [name for name in ENGINES if name != "garch"]]
    book = read_book(held, as_of)
    path, rows = back_cast(book.prices.closes, book.weights)
    with _progress(len(engines) * max(path.shape[0] - window, 0)) as advance:
        rolled = [roll(chosen, path, window, progress=advance) for chosen in engines]
        verdicts = [judge_engine(forecasts, trials=trials) for forecasts in rolled]
    days = book.history.open_time_ms[rows[window:]]
    first, last = iso_utc(int(days[0]))[:10], iso_utc(int(days[-1]))[:10]
    if page is not None:
        write_report(page, model_trial_page(book.title, days, rolled, verdicts, used=DEFAULT_ENGINE))
    if as_json:
        body = {
            "book": book.title,
            "window": window,
            "first_forecast": first,
            "last_forecast": last,
            "page": None if page is None else str(page),
            "engines": [verdict.body() for verdict in verdicts],
            "lake": book.history.lake,
            "lake_version": book.history.version,
        }
        typer.echo(json.dumps(body))
        return
    console = Console()
    console.print(
        f"[bold]Model back-test[/bold] of {book.title}: forecasts {first} to {last}, window {window}"
    )
    _print_verdicts(console, verdicts)
    if page is not None:
        console.print(f"page: {page}", soft_wrap=True)


def roll_up(
    period: Annotated[str, typer.Option(help="weekly (seven days) or monthly (from the first).")] = "weekly",
    as_of: Annotated[
        str | None, typer.Option(help="Last day, YYYY-MM-DD; else that of the newest daily report.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Folder of the daily reports; else the settings' one.")
    ] = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="Print it too, beside the page.")] = False,
    as_json: AsJson = False,
) -> None:
    """Sum up the daily risk reports of a week or a month: CVaR, P&L, breaches, lights, positions.

    Example: [bold]qtm roll-up --period monthly --as-of 2025-06-30[/bold]
    """
    from qtm.reports.pdf import write_pdf
    from qtm.reports.risk_roll_up import Period, newest_report
    from qtm.reports.risk_roll_up_page import roll_up_document, write_roll_up

    try:
        covered = Period(period)
    except ValueError:
        raise ConfigError(
            f"unknown period {period!r}", where="--period", remedy="use weekly or monthly"
        ) from None
    reports = settings().risk_reports_dir if folder is None else folder
    last = newest_report(reports) if as_of is None else day_of(as_of)
    page, summed = write_roll_up(reports, last, covered)
    files = {"page": page}
    if pdf:
        document = roll_up_document(summed)
        files["pdf"] = write_pdf(page.with_suffix(".pdf"), document, made_ms=SystemClock().now_ms())
    if as_json:
        typer.echo(json.dumps({**{name: str(path) for name, path in files.items()}, **summed.body()}))
        return
    body = summed.body()
    console = Console()
    console.print(
        f"{covered.value} to {last}: {body['reports']} reports, CVaR {body['cvar']['last']:.2%} "
        f"(highest {body['cvar']['highest']:.2%}), P&L {body['pnl']:+.2%}, "
        f"breaches: {', '.join(body['breaches']) or 'none'}"
    )
    for name, path in files.items():
        console.print(f"{name}: {path}", soft_wrap=True)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Forecasting", total=total)
        yield lambda: bar.advance(task)


def _print_verdicts(console: Console, verdicts: list[EngineVerdict]) -> None:
    table = Table(title="VaR 99 % and ES 97.5 %; lights on the newest 250 forecasts")
    for heading in (
        "engine",
        "exceptions",
        "Kupiec p",
        "clustering p",
        "joint p",
        "Z2",
        "Z2 p",
        "VaR",
        "ES",
        "asks for",
    ):
        table.add_column(heading, justify="left" if heading in ("engine", "asks for") else "right")
    for verdict in verdicts:
        table.add_row(
            verdict.engine,
            f"{verdict.exceptions} of {verdict.expected:.1f}",
            f"{verdict.coverage.p_value:.3f}",
            f"{verdict.clustering.p_value:.3f}",
            f"{verdict.joint.p_value:.3f}",
            f"{verdict.z2:+.3f}",
            f"{verdict.z2_p_value:.3f}",
            _light(verdict.var_light.light.name),
            _light(verdict.shortfall_light.name),
            _asks(verdict),
        )
    console.print(table)


def _light(name: str) -> str:
    colour = _COLOURS[name.lower()]
    return f"[{colour}]{name.lower()}[/{colour}]"


def _asks(verdict: EngineVerdict) -> str:
    action = verdict.action
    if action.review:
        return "reduce only, review the model"
    return "" if action.limit_multiplier == 1 else f"limits x {action.limit_multiplier}"

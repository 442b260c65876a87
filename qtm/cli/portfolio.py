"""`qtm optimize` and `qtm report`: the daily book and what it risks."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress, TaskID

from qtm.cli.book_output import book_body, lots_body, print_book, print_lots, walk_table
from qtm.cli.books import day_ms, read_weights
from qtm.cli.series_arguments import choice
from qtm.clock import SystemClock
from qtm.errors import ConfigError
from qtm.settings import settings

if TYPE_CHECKING:
    from qtm.market.instruments import Market
    from qtm.portfolio.daily import DailyAllocation
    from qtm.portfolio.lots import LotBook
    from qtm.portfolio.mandate import Mandate
    from qtm.portfolio.problem import TailCap
    from qtm.store.database import Database

Alpha = Annotated[float | None, typer.Option(help="Confidence level of CVaR (default: settings).")]
Cap = Annotated[
    float | None, typer.Option(help="Daily CVaR cap as a fraction of capital (default: settings).")
]
MaxWeight = Annotated[float | None, typer.Option(help="Most weight of one symbol (default: settings).")]
Window = Annotated[int, typer.Option(help="Daily returns looked at.")]
AsOf = Annotated[str | None, typer.Option(help="Last day used, YYYY-MM-DD (default: the newest).")]
Held = Annotated[
    Path | None, typer.Option(help="JSON file of weights held now, {symbol: weight} or what --json printed.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def register(app: typer.Typer) -> None:
    """Add `optimize` and `report` to the command line."""
    app.command("optimize")(optimize)
    app.command("report")(report)


def optimize(
    alpha: Alpha = None,
    cap: Cap = None,
    max_weight: MaxWeight = None,
    window: Window = 730,
    objective: Annotated[str, typer.Option(help="max-return, min-cvar or max-utility.")] = "max-return",
    risk_aversion: Annotated[
        float, typer.Option(help="Return given up per unit of CVaR; for max-utility.")
    ] = 0.05,
    scenarios: Annotated[
        str,
        typer.Option(
            help="historical, weighted, filtered (volatility-scaled), garch, bootstrap or t-copula."
        ),
    ] = "historical",
    half_life: Annotated[
        float, typer.Option(help="Days after which a day counts half; for weighted.")
    ] = 180.0,
    draws: Annotated[int, typer.Option(help="Scenarios drawn; for bootstrap and t-copula.")] = 5000,
    seed: Annotated[int, typer.Option(help="Seed of the draw.")] = 0,
    margins: Annotated[
        str, typer.Option(help="Margins of the t copula: empirical, student-t or pareto-tails.")
    ] = "pareto-tails",
    stressed_days: Annotated[
        int, typer.Option(help="Append so many of the worst consecutive days of all history.")
    ] = 0,
    also: Annotated[
        list[str] | None,
        typer.Option("--also", help="A further scenario model under which every cap must hold; repeatable."),
    ] = None,
    cap_at: Annotated[
        list[str] | None,
        typer.Option("--cap-at", help="A further cap as LEVEL:CAP, e.g. 0.99:0.07; repeatable."),
    ] = None,
    radius: Annotated[
        float,
        typer.Option(help="Wasserstein distance by which the scenarios may be wrong, in daily return."),
    ] = 0.0,
    mean: Annotated[
        str,
        typer.Option(
            help="Expected returns: shrunk (Bayes-Stein), james-stein, equilibrium, sample or zero."
        ),
    ] = "shrunk",
    view: Annotated[
        list[str] | None,
        typer.Option(
            "--view",
            help="A belief about a day's return, LONG[-SHORT]:RETURN[@CONFIDENCE]; repeatable.",
        ),
    ] = None,
    spread: Annotated[
        str, typer.Option("--covariance", help="Covariance: ledoit-wolf, oas or sample.")
    ] = "ledoit-wolf",
    fully_invested: Annotated[bool, typer.Option(help="Forbid cash.")] = False,
    held: Held = None,
    turnover_cap: Annotated[float | None, typer.Option(help="Most sum of absolute weight changes.")] = None,
    cost_bps: Annotated[float, typer.Option(help="Trading cost in basis points of the weight traded.")] = 0.0,
    market: Annotated[
        str, typer.Option(help="spot, or um: perpetuals, with their funding as carry and cost.")
    ] = "spot",
    as_of: AsOf = None,
    walk: Annotated[
        bool, typer.Option("--walk-forward", help="Rebalance through all history beside two benchmarks.")
    ] = False,
    lots: Annotated[
        bool,
        typer.Option("--lots", help="Round to the venue's lots at the last close; caps are checked again."),
    ] = False,
    every: Annotated[
        int, typer.Option(min=1, help="Days until the next rebalance: trading costs are spread over them.")
    ] = 30,
    as_json: AsJson = False,
) -> None:
    """CVaR-constrained weights for the daily universe in the lake.

    Example: [bold]qtm optimize --cap 0.03 --max-weight 0.2 --json[/bold]

    Example: [bold]qtm optimize --scenarios t-copula --cap-at 0.99:0.07 --also filtered[/bold]

    Example: [bold]qtm optimize --walk-forward --window 365 --cost-bps 10[/bold]
    """
    from qtm.market.instruments import Market
    from qtm.portfolio.covariance import CovarianceModel
    from qtm.portfolio.mandate import MeanModel
    from qtm.portfolio.problem import Objective
    from qtm.portfolio.scenarios.margins import Margins
    from qtm.portfolio.scenarios.recipe import ScenarioModel, ScenarioRecipe
    from qtm.portfolio.views import View

    traded = choice(Market, market, "--market")
    recipe = ScenarioRecipe(
        model=choice(ScenarioModel, scenarios, "--scenarios"),
        half_life=half_life,
        draws=draws,
        seed=seed,
        margins=choice(Margins, margins, "--margins"),
        stressed_rows=stressed_days,
    )
    mandate = replace(
        _mandate(alpha, cap, max_weight, window),
        allow_cash=not fully_invested,
        objective=choice(Objective, objective, "--objective"),
        risk_aversion=risk_aversion,
        scenarios=recipe,
        mean=choice(MeanModel, mean, "--mean"),
        cost_rate=cost_bps / 10_000,
        turnover_cap=turnover_cap,
        further_caps=tuple(_level_cap(text) for text in cap_at or ()),
        rivals=tuple(replace(recipe, model=choice(ScenarioModel, text, "--also")) for text in also or ()),
        radius=radius,
        views=tuple(View.parse(text) for text in view or ()),
        covariance=choice(CovarianceModel, spread, "--covariance"),
    )
    if walk:
        _walk_forward(mandate, every, as_of, as_json, traded)
        return
    answer = _allocate(replace(mandate, cost_rate=mandate.cost_rate / every), held, as_of, traded)
    rounded = _lot_book(answer, traded) if lots else None
    if as_json:
        typer.echo(json.dumps(book_body(answer) | ({} if rounded is None else lots_body(rounded))))
        return
    print_book(answer)
    if rounded is not None:
        print_lots(rounded)


def report(
    alpha: Alpha = None,
    cap: Cap = None,
    max_weight: MaxWeight = None,
    window: Window = 730,
    held: Held = None,
    as_of: AsOf = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the report (default: settings).")] = None,
    limits: Annotated[
        Path | None, typer.Option(help="Limit file of the running accounts (default: settings).")
    ] = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="Print it too, beside the page.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the daily risk report (HTML, JSON and, if asked, PDF) of the optimised book.

    Example: [bold]qtm report --as-of 2025-06-30 --pdf[/bold]
    """
    from qtm.market.lake import Lake
    from qtm.portfolio.daily import allocate_daily
    from qtm.portfolio.history import daily_history
    from qtm.reports.pdf import write_pdf
    from qtm.reports.risk_report import risk_report_document, verdict, write_risk_report
    from qtm.reports.surroundings import read_surroundings
    from qtm.risk.limits import load_limits

    config = settings()
    mandate = _mandate(alpha, cap, max_weight, window)
    lake = Lake.from_settings(config)
    history = daily_history(lake, config.market.daily_universe, as_of_ms=day_ms(as_of))
    answer = allocate_daily(history, mandate, None if held is None else read_weights(held))
    tree = load_limits(config.risk, path=limits or config.risk.limits_file)
    around = read_surroundings(lake, answer, _database(), tree)
    folder = config.risk_reports_dir if out is None else out
    written = write_risk_report(history, answer, config.risk, folder, around)
    files = {"page": written.page, "data": written.data}
    if pdf:
        document = risk_report_document(written.figures)
        files["pdf"] = write_pdf(written.page.with_suffix(".pdf"), document, made_ms=SystemClock().now_ms())
    if as_json:
        typer.echo(json.dumps({**{name: str(path) for name, path in files.items()}, **written.body}))
        return
    console = Console()
    console.print(verdict(written.figures))
    for name, path in files.items():
        console.print(f"{name}: {path}", soft_wrap=True)


def _mandate(alpha: float | None, cap: float | None, max_weight: float | None, window: int) -> Mandate:
    """The settings' mandate over `window` days, but for what the command line gives."""
    from qtm.portfolio.mandate import Mandate

    base = Mandate.from_settings(settings().risk)
    return Mandate(
        alpha=base.alpha if alpha is None else alpha,
        cvar_cap=base.cvar_cap if cap is None else cap,
        max_weight=base.max_weight if max_weight is None else max_weight,
        window=window,
        least_history=min(base.least_history, window),
    )


def _database() -> Database | None:
    """The operational database; None while no stream has made its file."""
    from sqlalchemy import make_url

    from qtm.store.database import open_database

    url = make_url(settings().database)
    exists = url.get_backend_name() != "sqlite" or Path(url.database or "").is_file()
    return open_database(settings().database) if exists else None


def _allocate(mandate: Mandate, held: Path | None, as_of: str | None, market: Market) -> DailyAllocation:
    from qtm.market.lake import Lake
    from qtm.portfolio.daily import allocate_daily
    from qtm.portfolio.history import daily_history

    config = settings()
    history = daily_history(
        Lake.from_settings(config), config.market.daily_universe, as_of_ms=day_ms(as_of), market=market
    )
    return allocate_daily(history, mandate, None if held is None else read_weights(held))


def _lot_book(answer: DailyAllocation, market: Market) -> LotBook:
    """The book in lots at the closes it was measured at."""
    from decimal import Decimal

    from qtm.market.intervals import Interval
    from qtm.market.lake import Lake
    from qtm.portfolio.lots import to_lots

    config = settings()
    lake = Lake.from_settings(config)
    symbols = answer.scenarios.symbols
    closes = lake.closes(market, Interval.D1, symbols, start_ms=answer.as_of_ms, end_ms=answer.as_of_ms + 1)
    prices = {symbol: Decimal(repr(float(closes[symbol][0]))) for symbol in symbols}
    instruments = {entry.symbol: entry for entry in lake.instruments(market)}
    return to_lots(answer.allocation, config.risk.capital, prices, instruments)


def _walk_forward(
    mandate: Mandate, every_days: int, as_of: str | None, as_json: bool, market: Market
) -> None:
    from qtm.market.lake import Lake
    from qtm.portfolio.history import daily_history
    from qtm.portfolio.walk_forward import Book, walk_forward

    config = settings()
    history = daily_history(
        Lake.from_settings(config), config.market.daily_universe, as_of_ms=day_ms(as_of), market=market
    )
    runs = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        for book in Book:
            task = progress.add_task(book.value, total=None)
            moved = partial(_advance, progress, task)
            runs.append(walk_forward(history, mandate, book, every_days=every_days, progress=moved).summary())
    if as_json:
        typer.echo(json.dumps({"alpha": mandate.alpha, "every_days": every_days, "books": runs}))
        return
    Console().print(walk_table(runs, every_days))


def _advance(progress: Progress, task: TaskID, done: int, total: int) -> None:
    progress.update(task, completed=done, total=total)


def _level_cap(text: str) -> TailCap:
    from qtm.portfolio.problem import TailCap

    level, _, cap = text.partition(":")
    try:
        return TailCap(float(level), float(cap))
    except ValueError:
        raise ConfigError(
            f"{text!r} is not a cap at a level", where="--cap-at", remedy="write it as 0.99:0.07"
        ) from None

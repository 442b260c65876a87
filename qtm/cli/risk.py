"""`qtm stress | model-backtest | roll-up`: what could happen, whether the models held, and how risk went."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from qtm.clock import SystemClock, iso_utc
from qtm.errors import ConfigError
from qtm.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtm.portfolio.daily import DailyHistory
    from qtm.risk.composite_stress import ScenarioLoss
    from qtm.risk.measures import Floats
    from qtm.risk.reverse_stress import Breach
    from qtm.risk.rolling_backtest import EngineVerdict
    from qtm.risk.stress import DailyPrices, StressLoss

Held = Annotated[
    Path | None,
    typer.Option(
        help="JSON file of weights, {symbol: weight}; negative is a short perpetual; else equal weights."
    ),
]
AsOf = Annotated[str | None, typer.Option(help="Last day used, YYYY-MM-DD; else the newest.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

_COLOURS = {"green": "green", "yellow": "yellow", "red": "bold red"}


def register(app: typer.Typer) -> None:
    """Add `stress`, `model-backtest` and `roll-up` to the command line."""
    app.command("stress")(stress)
    app.command("model-backtest")(model_backtest)
    app.command("roll-up")(roll_up)


@dataclass(frozen=True, slots=True)
class _Book:
    """Weights over the symbols that have a bar on the last day."""

    history: DailyHistory
    symbols: tuple[str, ...]
    weights: Floats
    prices: DailyPrices
    marks: DailyPrices | None
    title: str


def stress(
    held: Held = None,
    scenarios: Annotated[Path | None, typer.Option(help="TOML file of your own scenarios.")] = None,
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """Replay crypto events, composite shocks and your own scenarios on a book; find what breaks a limit.

    Losses are fractions of capital; the history comes from the daily bars in the lake.

    Example: [bold]qtm stress --held weights.json --scenarios stress.toml[/bold]
    """
    from qtm.risk.back_cast import back_cast
    from qtm.risk.composite_stress import (
        COMPOSITES,
        Holding,
        StressBook,
        apply_all,
        read_scenarios,
    )
    from qtm.risk.reverse_stress import smallest_breaches
    from qtm.risk.stress import CRYPTO_DAYS, CRYPTO_EVENTS, replay_all
    from qtm.trading.costs import SPOT_COSTS

    own = read_scenarios(scenarios) if scenarios else ()
    book = _book(held, as_of)
    path, _ = back_cast(book.prices.closes, book.weights)
    exit_cost = SPOT_COSTS.taker_rate + SPOT_COSTS.slippage_bps * 1e-4
    put_through = StressBook(
        holdings=tuple(
            Holding(symbol, float(weight), perpetual=weight < 0.0, exit_cost=exit_cost)
            for symbol, weight in zip(book.symbols, book.weights, strict=True)
        ),
        cash=1.0 - float(book.weights[book.weights > 0.0].sum()),
        hourly_deviation=float(path[-250:].std()) / 24**0.5,
    )
    limits = settings().risk
    headroom = {"daily loss": float(limits.daily_loss), "drawdown": float(limits.max_drawdown)}
    known = (*CRYPTO_EVENTS, *CRYPTO_DAYS)
    events = replay_all(book.symbols, book.weights, book.prices, book.marks, known)
    covered = {event.name for event in events}
    losses = apply_all(put_through, (*COMPOSITES, *own))
    breaches = smallest_breaches(put_through, headroom)
    by_beta = smallest_breaches(put_through, headroom, _betas(book))
    missing = [event.name for event in known if event.name not in covered]
    if as_json:
        body = {
            "as_of": iso_utc(book.history.as_of_ms),
            "book": book.title,
            "weights": dict(zip(book.symbols, (float(w) for w in book.weights), strict=True)),
            "events": [asdict(event) for event in events],
            "events_without_prices": missing,
            "scenarios": [{**asdict(loss), "total": loss.total} for loss in losses],
            "reverse": {
                "uniform": [asdict(breach) for breach in breaches],
                "beta": [asdict(breach) for breach in by_beta],
            },
            "lake": book.history.lake,
            "lake_version": book.history.version,
        }
        typer.echo(json.dumps(body))
        return
    console = Console()
    console.print(f"[bold]Stress[/bold] of {book.title}, prices to {iso_utc(book.history.as_of_ms)[:10]}")
    _print_events(console, events, missing)
    _print_scenarios(console, losses)
    _print_breaches(console, breaches, by_beta)


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
    book = _book(held, as_of)
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
    from qtm.reports.risk_roll_up import Period, newest_report, roll_up_document, write_roll_up

    try:
        covered = Period(period)
    except ValueError:
        raise ConfigError(
            f"unknown period {period!r}", where="--period", remedy="use weekly or monthly"
        ) from None
    reports = settings().reports_dir if folder is None else folder
    last = newest_report(reports) if as_of is None else _day(as_of)
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


def _book(held: Path | None, as_of: str | None) -> _Book:
    from qtm.market.lake import Lake
    from qtm.portfolio.daily import daily_history
    from qtm.risk.mark_prices import daily_marks
    from qtm.risk.stress import DailyPrices

    config = settings()
    asked = None if held is None else _weights(held)
    symbols = config.market.daily_universe if asked is None else tuple(asked)
    lake = Lake.from_settings(config)
    history = daily_history(lake, symbols, as_of_ms=_day_ms(as_of))
    priced = [i for i in range(len(history.symbols)) if np.isfinite(history.closes[-1, i])]
    present = tuple(history.symbols[i] for i in priced)
    if asked is None:
        weights = np.full(len(present), 1.0 / len(present))
        title = f"equal weights of {len(present)} symbols"
    else:
        unpriced = [symbol for symbol in asked if symbol not in present]
        if unpriced:
            raise ConfigError(
                "a held symbol has no price on the last day",
                where=", ".join(unpriced),
                remedy="ingest its daily bars, or take it out of the weights",
            )
        weights = np.array([asked[symbol] for symbol in present])
        title = f"{held}"
    days = history.open_time_ms
    tables = (table[:, priced] for table in (history.closes, history.lows, history.highs))
    marks = daily_marks(lake, present, days) if (weights < 0.0).any() else None
    return _Book(history, present, weights, DailyPrices(days, *tables), marks, title)


def _betas(book: _Book) -> dict[str, float]:
    """Slope of each symbol's last 730 returns against BTCUSDT's, or the mean's where the book has no BTC."""
    from qtm.risk.concentration import betas

    returns = book.prices.closes[1:] / book.prices.closes[:-1] - 1.0
    if "BTCUSDT" in book.symbols:
        market = returns[:, book.symbols.index("BTCUSDT")]
    else:
        market = np.nanmean(returns, axis=1)
    slopes = {}
    for column, symbol in enumerate(book.symbols):
        both = np.isfinite(returns[:, column]) & np.isfinite(market)
        both[:-730] = False
        slopes[symbol] = float(betas(returns[both, column : column + 1], market[both])[0])
    return slopes


def _weights(path: Path) -> dict[str, float]:
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        weights = {str(symbol): float(weight) for symbol, weight in body.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"weights cannot be read: {error}", where=str(path), remedy='write JSON like {"BTCUSDT": 0.25}'
        ) from None
    if not weights or not all(np.isfinite(list(weights.values()))):
        raise ConfigError("weights must be numbers, at least one", where=str(path), remedy="mend the file")
    return weights


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{text!r} is not a day", where="--as-of", remedy="write it as YYYY-MM-DD"
        ) from None


def _day_ms(text: str | None) -> int | None:
    if text is None:
        return None
    return int(datetime.combine(_day(text), time(), UTC).timestamp() * 1000)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Forecasting", total=total)
        yield lambda: bar.advance(task)


def _print_events(console: Console, events: tuple[StressLoss, ...], missing: list[str]) -> None:
    table = Table(title="Dated events: loss of capital")
    ways = ("on closes", "on lows", "lows, hedges gone", "shorts at highs", "on marks")
    for heading in ("event", *ways, "worst symbol"):
        table.add_column(heading, justify="left" if heading in ("event", "worst symbol") else "right")
    for event in events:
        table.add_row(
            event.name,
            f"{event.on_closes:.1%}",
            f"{event.on_lows:.1%}",
            f"{event.on_lows_longs_only:.1%}",
            f"{event.on_extremes:.1%}",
            "" if event.on_marks is None else f"{event.on_marks:.1%}",
            f"{event.worst_symbol} {event.worst_symbol_loss:.1%}",
        )
    console.print(table)
    if missing:
        console.print(f"[dim]no prices in the lake for: {'; '.join(missing)}[/dim]")


def _print_scenarios(console: Console, losses: tuple[ScenarioLoss, ...]) -> None:
    parts = ("price", "funding", "basis", "exit_cost", "stablecoin", "outage", "venue", "total")
    table = Table(title="Composite and own scenarios: loss of capital")
    table.add_column("scenario")
    for part in parts:
        table.add_column(part.replace("_", " "), justify="right")
    for loss in losses:
        cells = (getattr(loss, part) for part in parts)
        table.add_row(loss.name, *(f"{value:.1%}" if value else "" for value in cells))
    console.print(table)


def _print_breaches(console: Console, uniform: tuple[Breach, ...], by_beta: tuple[Breach, ...]) -> None:
    table = Table(title="Smallest market move that breaches a limit")
    for heading in ("limit", "all move alike", "BTC, others by beta", "alike, hedges gone"):
        table.add_column(heading, justify="left" if heading == "limit" else "right")
    by_limit = {breach.limit: breach for breach in by_beta}
    for breach in uniform:
        moves = (breach.move, by_limit[breach.limit].move, breach.move_without_hedges)
        table.add_row(breach.limit, *("none can" if move is None else f"{move:+.1%}" for move in moves))
    console.print(table)


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

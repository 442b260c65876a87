"""The tables of the daily risk report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qtm.clock import iso_utc
from qtm.reports.blocks import Block, Cell, Section, Tone, columns, definitions, paragraph, table
from qtm.reports.formats import MISSING, money, percent, ratio
from qtm.reports.limit_use import LimitUse
from qtm.reports.risk_charts import DUST
from qtm.reports.risk_figures import KeyFigure, RiskFigures
from qtm.risk.tails import HORIZONS, LEVELS

NEAR = 0.8
"""Share of a limit from which its use is shown as a warning."""


def limits_table(limits: Sequence[LimitUse]) -> Block:
    """Every limit with its use as a bar; yardsticks last, in grey words."""
    rows: list[tuple[str | Cell, ...]] = []
    for limit in sorted(limits, key=lambda one: one.advisory):
        tone = _tone(limit)
        colour = {"bad": "#f6d5d3", "warn": "#f7e6c8"}.get(tone, "#dbe7f7")
        show = money if limit.money else percent
        rows.append(
            (
                limit.name,
                Cell(limit.set_by, "muted"),
                show(limit.value),
                show(limit.limit),
                Cell(_use(limit), tone, colour, min(max(limit.use, 0.0), 1.0)),
                Cell(_state(limit), tone),
            )
        )
    return table(("Limit", "Set by", "Measure", "Bound", "Use", "State"), rows, text_columns=2)


def _use(limit: LimitUse) -> str:
    return percent(limit.use, 0) if np.isfinite(limit.use) else "unknown"


def _state(limit: LimitUse) -> str:
    if limit.exceeded:
        return "above" if limit.advisory else "breached"
    if limit.use >= 1.0 - 1e-6:
        return "at its bound"
    return "near" if limit.use >= NEAR else "within"


def _tone(limit: LimitUse) -> Tone:
    return "warn" if limit.advisory and limit.exceeded else use_tone(limit.use)


def holdings_table(figures: RiskFigures) -> Block:
    """The holdings and their parts of the CVaR."""
    allocation = figures.answer.allocation
    total = allocation.cvar
    held = sorted((e for e in figures.exposures if abs(e.weight) > DUST), key=lambda e: -e.component)
    rows = [
        (
            e.symbol,
            percent(e.weight, 1),
            money(e.value),
            percent(e.component),
            percent(e.component / total, 0) if total > 0.0 else "",
            percent(e.marginal, 1),
        )
        for e in held
    ]
    cash = 1.0 - float(allocation.weights.sum())
    rows.append(("cash", percent(cash, 1), money(cash * figures.capital), percent(0.0), percent(0.0, 0), ""))
    return table(("Position", "Weight", "USDT", "CVaR", "Share", "Marginal"), rows)


def change_section(figures: RiskFigures) -> Section:
    """What moved since the last report: key figures, CVaR split into market and trading, P&L by position."""
    change = figures.change
    if change is None:
        first = paragraph("This is the first report in its folder.", "muted")
        return Section("Since the last report", [first])
    moved = sorted(change.weights.items(), key=lambda item: -abs(item[1][1] - item[1][0]))
    rows = [
        (
            symbol,
            percent(before, 1),
            percent(now, 1),
            percent(now - before, 1, signed=abs(now - before) > DUST),
            percent(change.pnl_by_symbol.get(symbol, 0.0), 2, signed=symbol in change.pnl_by_symbol),
        )
        for symbol, (before, now) in moved
    ]
    steps = {
        "CVaR in the last report": percent(change.cvar_before),
        "Change from the market, old weights": percent(change.from_market, signed=True),
        "Change from trading": percent(change.from_trading, signed=True),
        "CVaR now": percent(change.cvar_before + change.from_market + change.from_trading),
        "P&L of the old weights since": f"{percent(change.pnl, signed=True)} "
        f"({money(change.pnl * figures.capital, signed=True)} USDT)",
    }
    blocks: list[Block] = [
        columns(_headline_table(change.headline), definitions(steps)),
        table(("Position", "Then", "Now", "Change", "P&L"), rows),
    ]
    turned = [
        *(Cell(f"New breach: {name}.", "bad") for name in change.new_breaches),
        *(Cell(f"No longer breached: {name}.", "good") for name in change.cleared_breaches),
        *(Cell(f"Risk model {line}.", "warn") for line in change.lights),
    ]
    blocks[1:1] = [paragraph(cell.text, cell.tone) for cell in turned]
    return Section(f"Since the report of {day_of(change.previous_day_ms)}", blocks)


def _headline_table(headline: Sequence[KeyFigure]) -> Block:
    rows = []
    for one in headline:
        show = money if one.money else percent
        known = one.before is not None
        then = 0.0 if one.before is None else one.before
        rows.append(
            (
                one.name,
                show(then) if known else MISSING,
                show(one.now),
                show(one.now - then, signed=one.now != then) if known else MISSING,
            )
        )
    return table(("Key figure", "Then", "Now", "Change"), rows)


def tails_tables(figures: RiskFigures) -> list[Block]:
    """VaR and CVaR of every engine, one table a horizon."""
    return [_tails_table(figures, horizon) for horizon in HORIZONS]


def _tails_table(figures: RiskFigures, horizon: str) -> Block:
    engines = list(dict.fromkeys(one.engine for one in figures.tails if one.horizon == horizon))
    rows: list[tuple[str | Cell, ...]] = []
    for engine in engines:
        cells = [figures.tail(engine, alpha) for alpha in LEVELS]
        known = not all(np.isnan(cell.var) for cell in cells)
        shown = [text for cell in cells for text in (percent(cell.var), percent(cell.cvar))]
        name = engine.removesuffix(f", {horizon}")
        rows.append((name, Cell(cells[0].note, "muted" if known else "warn"), *shown))
    headers = [f"Next {horizon.removeprefix('1 ')}", ""]
    for alpha in LEVELS:
        headers += [f"VaR {alpha * 100:g} %", f"CVaR {alpha * 100:g} %"]
    return table(headers, rows, text_columns=2)


def stress_table(figures: RiskFigures) -> Block:
    """The dated events, every way to look at them that concerns the book; the worst in red."""
    short = bool((figures.answer.allocation.weights < -DUST).any())
    rows: list[tuple[str | Cell, ...]] = []
    for loss in figures.stress:
        ways: list[float | None] = [loss.on_closes, loss.on_lows]
        ways += [loss.on_lows_longs_only, loss.on_extremes, loss.on_marks] if short else []
        worst = f"{loss.worst_symbol.removesuffix('USDT')} {percent(loss.worst_symbol_loss, 1)}"
        proxied = ", ".join(symbol.removesuffix("USDT") for symbol in loss.proxied)
        rows.append(
            (
                loss.name,
                *(_way(way, loss.worst) for way in ways),
                money(loss.worst * figures.capital),
                worst,
                proxied,
            )
        )
    hedged = ("Lows, hedges gone", "Shorts at highs", "Marks") if short else ()
    return table(("Dated event", "Closes", "Lows", *hedged, "USDT", "Largest part", "Not listed then"), rows)


def _way(loss: float | None, worst: float) -> Cell:
    if loss is None:
        return Cell("")
    return Cell(percent(loss, 1), "bad" if loss > 0.0 and abs(loss - worst) < 1e-9 else "")


def composite_table(figures: RiskFigures) -> Block:
    """The made-up scenarios, part by part."""
    parts = ("price", "funding", "basis", "exit_cost", "stablecoin", "outage", "venue")
    rows: list[tuple[str | Cell, ...]] = [
        (
            loss.name,
            *(percent(getattr(loss, part), 1) if getattr(loss, part) else "" for part in parts),
            Cell(percent(loss.total, 1), "bad" if loss.total > 0.0 else "good"),
            money(loss.total * figures.capital),
        )
        for loss in figures.composite
    ]
    headers = ("Composite scenario", "Price", "Funding", "Basis", "Exit", "Stablecoin", "Outage", "Venue")
    return table((*headers, "Total", "USDT"), rows)


def reverse_stress_table(figures: RiskFigures) -> Block:
    """The smallest market move that breaches each limit."""
    rows = [
        (
            breach.limit.capitalize(),
            percent(breach.headroom, 1),
            *(
                "none can" if move is None else percent(move, 1, signed=True)
                for move in (alike.move, breach.move, alike.move_without_hedges)
            ),
        )
        for alike, breach in zip(figures.reverse_alike, figures.reverse, strict=True)
    ]
    headers = (
        "Reverse stress: limit",
        "At",
        "All move alike",
        "Bitcoin, others by beta",
        "Alike, hedges gone",
    )
    return table(headers, rows)


def reverse_stress_words(figures: RiskFigures) -> Block:
    """How far out the nearest breach is, and how missing coins are treated."""
    return paragraph(
        "Reverse stress is the smallest market move that breaches a limit. The least unlikely way to the "
        f"daily loss limit is {ratio(figures.deviations, 1)} standard deviations out. Coins not listed at "
        "an event take the median move of those that were.",
        "muted",
    )


def worst_days_table(figures: RiskFigures) -> Block:
    """The worst days of the window for this book."""
    rows = [
        (
            day_of(bad.day_ms),
            percent(bad.loss),
            money(bad.loss * figures.capital),
            f"{bad.worst_symbol.removesuffix('USDT')} {percent(bad.worst_symbol_loss)}",
        )
        for bad in figures.worst_days
    ]
    return table(("Worst days of the window", "Loss", "USDT", "Largest part"), rows)


def exposure_table(figures: RiskFigures) -> Block:
    """Every symbol of the universe."""
    rows = [
        (
            e.symbol,
            percent(e.weight, 1),
            money(e.value),
            Cell(percent(e.last_return, 1, signed=True), "good" if e.last_return > 0 else "bad"),
            percent(e.volatility, 0),
            ratio(e.beta),
            percent(e.marginal, 1),
            _exit_time(e.days_to_exit) if e.value else "",
        )
        for e in sorted(figures.exposures, key=lambda e: -abs(e.weight))
    ]
    headers = (
        "Symbol", "Weight", "USDT", "Last day", "Volatility, year", "Beta to BTC", "Marginal CVaR",
        "Exit at 10 % of volume",
    )  # fmt: skip
    return table(headers, rows, tall=True)


def _exit_time(days: float) -> str:
    if not np.isfinite(days):
        return "no volume"
    minutes = days * 24 * 60
    return f"{minutes:,.0f} min" if minutes < 600 else f"{days:,.1f} days"


def lineage(figures: RiskFigures) -> Block:
    """What the figures were made from."""
    answer = figures.answer
    scenarios = answer.scenarios
    first, last = day_of(int(scenarios.open_time_ms[0])), day_of(int(scenarios.open_time_ms[-1]))
    filled = (
        f"{b.symbol}: {b.rows} days before {day_of(b.listed_ms)}, beta {b.beta:.2f}"
        for b in scenarios.backfilled
    )
    items = {
        "Lake": answer.lake,
        "Version of the daily bars": str(answer.lake_version),
        "Scenarios": f"{scenarios.returns.shape[0]} days, {first} to {last}, {scenarios.model}",
        "Expected returns": answer.mandate.mean.value,
        "Left out": "; ".join(f"{e.symbol}: {e.reason}" for e in scenarios.excluded) or "none",
        "Filled before listing": "; ".join(filled) or "none",
    }
    return definitions(items)


def optimiser_trail(figures: RiskFigures) -> Block:
    """How the weights came about."""
    allocation = figures.answer.allocation
    proven = np.isfinite(allocation.gap)
    items = {
        "Outcome": f"{allocation.outcome.value}, {allocation.problem.objective.value}",
        "Solver": allocation.solver,
        "Proven gap": f"{allocation.gap:.1e}" if proven else "none: a fallback is not optimal",
        "Expected return": f"{percent(allocation.expected_return, 3)} a day after costs",
        "Turnover": percent(allocation.turnover, 1),
        "Tried": "; ".join(f"{a.step}: {a.outcome} ({a.seconds:.2f} s)" for a in allocation.attempts),
    }
    return definitions(items)


def use_tone(use: float) -> Tone:
    """Colour of a limit's use."""
    return "bad" if use > 1.0 + 1e-6 else "warn" if use >= NEAR else "good"


def day_of(ts_ms: int) -> str:
    """The UTC day, `2025-12-31`."""
    return iso_utc(ts_ms)[:10]

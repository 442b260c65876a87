"""The daily risk report: one page a partner reads, then the detail; the same figures as JSON beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qtm.portfolio.allocation import Outcome
from qtm.portfolio.daily import DailyAllocation
from qtm.portfolio.history import DailyHistory
from qtm.reports.blocks import Block, Card, Document, Section, cards, columns, paragraph
from qtm.reports.exposure_facts import exposure_facts
from qtm.reports.formats import money, percent
from qtm.reports.live_section import account_cards, breaches_section, funding_section, live_section
from qtm.reports.model_lights import LIGHT_TONES, engines_section
from qtm.reports.page import render_page, write_report
from qtm.reports.risk_charts import (
    component_bars,
    correlation_heatmap,
    drawdown_figure,
    forecast_figure,
    stress_bars,
    tail_histogram,
)
from qtm.reports.risk_figures import RiskFigures, figures_body
from qtm.reports.risk_measurement import JUDGED_ENGINES, measure_book
from qtm.reports.risk_tables import (
    change_section,
    composite_table,
    day_of,
    exposure_table,
    holdings_table,
    limits_table,
    lineage,
    optimiser_trail,
    reverse_stress_table,
    reverse_stress_words,
    stress_table,
    tails_tables,
    use_tone,
    worst_days_table,
)
from qtm.reports.surroundings import Surroundings
from qtm.settings import RiskSettings

_FILE = re.compile(r"risk-(\d{4}-\d{2}-\d{2})\.json")


@dataclass(frozen=True, slots=True)
class RiskReport:
    """Where the report went and the figures it shows."""

    page: Path
    data: Path
    figures: RiskFigures

    @property
    def body(self) -> dict[str, Any]:
        """The figures as plain data, as in the JSON file."""
        return figures_body(self.figures)


def write_risk_report(
    history: DailyHistory,
    answer: DailyAllocation,
    settings: RiskSettings,
    folder: Path,
    around: Surroundings | None = None,
) -> RiskReport:
    """Measure the book and write `risk-YYYY-MM-DD.html` and `.json` into `folder`, each atomically.

    The newest earlier report in `folder` is what "since the last report" compares with.

    Raises
    ------
    StoreError
        When the folder cannot be written.
    RiskError
        When the book cannot be measured.
    """
    day = day_of(answer.as_of_ms)
    figures = measure_book(history, answer, settings, _previous_body(folder, day), around)
    data = write_report(folder / f"risk-{day}.json", json.dumps(figures_body(figures), indent=1) + "\n")
    page = write_report(folder / f"risk-{day}.html", render_page(risk_report_document(figures)))
    return RiskReport(page, data, figures)


def risk_report_document(figures: RiskFigures) -> Document:
    """The report before it becomes a page or a PDF."""
    mandate = figures.answer.mandate
    level = f"{mandate.alpha * 100:g}"
    sections = [
        Section(
            "Today",
            [cards([*_cards(figures), *account_cards(figures)]), *_reasons(figures)],
            verdict(figures),
        ),
        Section(
            "Limits",
            [limits_table(figures.all_limits)],
            "Every limit of the book and of the running accounts, the measure held against it, and its use.",
        ),
        breaches_section(figures),
        change_section(figures),
        Section(
            f"Where the risk sits: CVaR {level} % by position",
            [columns(component_bars(figures), holdings_table(figures))],
            "Components sum to the CVaR; where blue outreaches grey, a position is riskier than its size.",
            new_page=True,
        ),
        live_section(figures),
        Section(
            "Tail",
            [columns(tail_histogram(figures), worst_days_table(figures)), *tails_tables(figures)],
            "One book, every engine; where an engine does not apply, it says why instead of guessing.",
        ),
        Section(
            "Stress",
            [
                stress_bars(figures),
                stress_table(figures),
                composite_table(figures),
                reverse_stress_table(figures),
                reverse_stress_words(figures),
            ],
            "Dated events replayed on today's weights; on lows, every coin is at its worst moment at once.",
        ),
        Section(
            "Drawdown of today's weights",
            [drawdown_figure(figures)],
            "A back-cast: today's weights held through the window. It is not a track record.",
        ),
        Section(
            "Model back-tests",
            [
                forecast_figure(figures),
                *engines_section(figures.verdicts, used=JUDGED_ENGINES).blocks,
            ],
            "VaR and CVaR as each evening would have forecast them; red days lost more than the forecast.",
        ),
        Section(
            "Exposures",
            [exposure_facts(figures), exposure_table(figures)],
            "How many bets the book is, what leaving it costs, and every symbol of the universe.",
        ),
        funding_section(figures.funding),
        Section("Correlation", [correlation_heatmap(figures)]),
        Section("Made from", [columns(lineage(figures), optimiser_trail(figures))]),
    ]
    return Document(
        "Daily risk report",
        f"Close of {day_of(figures.answer.as_of_ms)} UTC · capital {money(figures.capital)} USDT · mandate: "
        f"CVaR {level} % within {percent(mandate.cvar_cap)}, "
        f"no weight above {percent(mandate.max_weight, 0)}",
        sections,
        footer="Losses are positive. Measures are per day unless said, on simple returns, with the "
        "fractional tail of Rockafellar and Uryasev (2002). A day is named by its open, all times UTC.",
        lineage=f"daily bars version {figures.answer.lake_version}",
    )


def verdict(figures: RiskFigures) -> str:
    """The report in three sentences."""
    allocation, mandate = figures.answer.allocation, figures.answer.mandate
    breached = [limit.name for limit in figures.all_limits if limit.breached]
    sentences = [
        f"In the worst {100 - mandate.alpha * 100:g} % of days this book loses {percent(allocation.cvar)} on "
        f"average, {money(allocation.cvar * figures.capital)} USDT (CVaR {mandate.alpha * 100:g} %; "
        f"{percent(allocation.cvar / mandate.cvar_cap, 0)} of its cap).",
        f"Breached: {'; '.join(breached)}." if breached else "No limit is breached.",
    ]
    if figures.stress:
        worst = figures.stress[0]
        sentences.append(
            f"The worst dated event on record, {worst.name}, would cost {percent(worst.on_lows, 1)} on lows."
        )
    return " ".join(sentences)


def _cards(figures: RiskFigures) -> list[Card]:
    allocation, mandate = figures.answer.allocation, figures.answer.mandate
    use = allocation.cvar / mandate.cvar_cap
    stressed = figures.tail("Historical, stressed", 0.975)
    filtered = figures.tail("Filtered historical", 0.975)
    worst = figures.stress[0] if figures.stress else None
    light = max((v.light for v in figures.verdicts), default=None)
    invested = float(np.abs(allocation.weights).sum())
    return [
        Card(
            f"CVaR {mandate.alpha * 100:g} %, 1 day",
            percent(allocation.cvar),
            f"{money(allocation.cvar * figures.capital)} USDT, {percent(use, 0)} of cap",
            use_tone(use),
        ),
        Card("CVaR 97.5 %, filtered", percent(filtered.cvar), "at tomorrow's volatility"),
        Card("CVaR 97.5 %, stressed", percent(stressed.cvar), "worst 250 days on record"),
        Card(
            "Worst event, on lows",
            percent(worst.on_lows, 1) if worst else "none covered",
            worst.name if worst else "",
        ),
        Card("Invested", percent(invested, 1), f"cash {percent(1.0 - float(allocation.weights.sum()), 1)}"),
        Card(
            "Risk models",
            light.name.lower() if light is not None else "not judged",
            "worst of the back-tests",
            LIGHT_TONES[light] if light is not None else "muted",
        ),
    ]


def _reasons(figures: RiskFigures) -> list[Block]:
    """What the optimiser has to say for itself: a fallback, or the constraints that hold the book back."""
    allocation = figures.answer.allocation
    if allocation.outcome is Outcome.FALLBACK:
        return [paragraph(f"The mandate could not be met: {allocation.reason}.", "bad")]
    held_back = [f"{b.name} ({percent(b.bound, 2)})" for b in allocation.binding[:5]]
    if not held_back:
        return []
    return [
        paragraph(f"What holds the expected return back, dearest first: {', '.join(held_back)}.", "muted")
    ]


def _previous_body(folder: Path, day: str) -> Mapping[str, Any] | None:
    """The newest report of an earlier day in `folder`; one that cannot be read is passed over."""
    named = [(match[1], path) for path in folder.glob("risk-*.json") if (match := _FILE.fullmatch(path.name))]
    for _, path in sorted((entry for entry in named if entry[0] < day), reverse=True):
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(body, dict) and {"weights", "as_of_ms", "cvar"} <= body.keys():
            return body
    return None

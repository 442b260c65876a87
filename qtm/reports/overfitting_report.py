"""The overfitting report: the verdict of an examination, the trials behind it, and how luck would look."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl

from qtm.backtest.overfitting.assessment import Assessment
from qtm.backtest.overfitting.monte_carlo import Distribution
from qtm.backtest.overfitting.stability import stability_map
from qtm.backtest.overfitting.trials import Trials, sharpe_ratios
from qtm.backtest.statistics import DAYS_PER_YEAR
from qtm.clock import iso_utc
from qtm.reports.blocks import (
    ACCENT,
    BAD,
    NEUTRAL,
    Block,
    Document,
    Section,
    columns,
    definitions,
    figure,
    numbers,
    paragraph,
    table,
)
from qtm.reports.formats import percent
from qtm.reports.page import render_page
from qtm.reports.verdict_section import verdict_section

_YEAR = math.sqrt(DAYS_PER_YEAR)


def overfitting_page(assessment: Assessment) -> str:
    """The examination as one self-contained HTML page."""
    subject = assessment.verdict.subject
    chosen = ", ".join(f"{name} {value:g}" for name, value in subject.params.items())
    sections = [
        verdict_section(assessment.verdict),
        Section(
            "The trials",
            [columns(_sharpe_histogram(assessment), _halves_figure(assessment))],
            "Left: how the chosen trial stands among all that were run. Right: the Sharpe ratio of the best "
            "trial of each half of the history, and what it became in the other half.",
        ),
        *_parameter_sections(assessment.trials),
        Section("Other lives", [_paths(assessment)], _paths_note(assessment)),
        Section("Stress events", [_stress_table(assessment)]),
        Section("Made from", [_made_from(assessment)]),
    ]
    document = Document(
        f"Overfitting report: {subject.strategy} on {subject.symbol} {subject.interval}",
        f"{iso_utc(subject.first_ms)[:10]} to {iso_utc(subject.last_ms)[:10]} · {chosen}",
        sections,
        footer="Sharpe ratios are of net daily returns, per year of 365 days. All times UTC.",
    )
    return render_page(document)


def _sharpe_histogram(assessment: Assessment) -> Block:
    ratios = sharpe_ratios(assessment.trials.returns) * _YEAR
    counted = assessment.measured.counted
    by_luck = counted.best_by_luck * _YEAR
    picked = assessment.measured.sample.ratio * _YEAR if assessment.measured.sample else 0.0
    return figure(
        [_histogram(ratios, "Trials")],
        {
            "xaxis": {"title": {"text": "Sharpe ratio a year"}},
            "shapes": [_upright(picked, ACCENT), _upright(by_luck, BAD)],
            "annotations": [_note(picked, "chosen", ACCENT, 1.0), _note(by_luck, "best by luck", BAD, 0.9)],
        },
    )


def _halves_figure(assessment: Assessment) -> Block:
    found = assessment.measured.overfitting
    if found is None:
        return paragraph(assessment.measured.unmeasured["overfitting"], "muted")
    step = max(1, found.splits // 2000)
    inside, outside = found.in_sample[::step] * _YEAR, found.out_of_sample[::step] * _YEAR
    points = {
        "type": "scatter", "mode": "markers", "x": numbers(inside), "y": numbers(outside),
        "marker": {"size": 4, "opacity": 0.35, "color": ACCENT}, "hoverinfo": "skip",
    }  # fmt: skip
    return figure(
        [points],
        {
            "xaxis": {"title": {"text": "Sharpe where it was chosen"}},
            "yaxis": {"title": {"text": "Sharpe in the other half"}},
            "shapes": [{"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 0, "y1": 0,
                        "line": {"color": BAD, "width": 1}}],
        },
    )  # fmt: skip


def _parameter_sections(trials: Trials) -> list[Section]:
    """A heat map over the two parameters with the most values; nothing for fewer than two."""
    frame = pl.DataFrame([params._asdict() for params in trials.params]).with_columns(
        pl.Series("sharpe", sharpe_ratios(trials.returns) * _YEAR)
    )
    varied = sorted(
        (name for name in frame.columns if name != "sharpe" and frame[name].n_unique() > 1),
        key=lambda name: -frame[name].n_unique(),
    )
    if len(varied) < 2:
        return []
    cells = stability_map(frame, varied[0], varied[1])
    heat = {
        "type": "heatmap", "colorscale": [[0, BAD], [0.5, "#ffffff"], [1, ACCENT]], "zmid": 0,
        "x": [f"{float(name):g}" for name in cells.columns[1:]],
        "y": [f"{value:g}" for value in cells[varied[1]].to_list()],
        "z": cells.drop(varied[1]).to_numpy().tolist(),
        "colorbar": {"title": {"text": "Sharpe"}, "thickness": 12},
    }  # fmt: skip
    layout = {
        "xaxis": {"title": {"text": varied[0]}, "type": "category"},
        "yaxis": {"title": {"text": varied[1]}, "type": "category"},
        "hovermode": "closest",
    }
    note = "Sharpe ratio a year over the grid, the median over all other parameters. Look for a plateau."
    return [Section("Parameters", [figure([heat], layout, height=360)], note)]


def _paths(assessment: Assessment) -> Block:
    measured = assessment.measured
    if measured.resampled is None:
        return paragraph(measured.unmeasured["resampled"], "muted")
    right = (
        paragraph(measured.unmeasured["shuffled"], "muted")
        if measured.shuffled is None
        else _distribution(measured.shuffled.max_drawdown, "Drawdown with the trades in another order")
    )
    return columns(_distribution(measured.resampled.total_return, "Total return, days resampled"), right)


def _paths_note(assessment: Assessment) -> str:
    measured = assessment.measured
    words = []
    if measured.resampled is not None:
        words.append(
            f"{percent(measured.resampled.probability_of_loss, 1)} of resampled histories lose money."
        )
    if measured.shuffled is not None and measured.shuffled.max_drawdown.lucky:
        words.append(
            "The order of the trades was kind: nine in ten other orders have a deeper drawdown, expect worse."
        )
    if measured.signal is not None:
        words.append(
            f"Slid along the market, the signal earns as much in {percent(measured.signal.p_value, 1)} of "
            "all positions: small means that its timing matters."
        )
    return " ".join(words)


def _distribution(found: Distribution, title: str) -> Block:
    return figure(
        [_histogram(found.simulated, title)],
        {
            "xaxis": {"title": {"text": title}, "tickformat": ".0%"},
            "shapes": [_upright(found.actual, ACCENT)],
            "annotations": [_note(found.actual, "actual", ACCENT, 1.0)],
        },
    )


def _histogram(values: Any, name: str) -> dict[str, Any]:
    counts, edges = np.histogram(values, bins=min(60, max(10, len(values) // 10)))
    return {
        "type": "bar", "name": name, "x": numbers((edges[1:] + edges[:-1]) / 2), "y": numbers(counts),
        "marker": {"color": NEUTRAL},
    }  # fmt: skip


def _upright(at: float, colour: str) -> dict[str, Any]:
    return {
        "type": "line", "x0": at, "x1": at, "yref": "paper", "y0": 0, "y1": 1,
        "line": {"color": colour, "width": 2},
    }  # fmt: skip


def _note(at: float, text: str, colour: str, height: float) -> dict[str, Any]:
    return {
        "x": at, "yref": "paper", "y": height, "text": text, "showarrow": False, "xanchor": "left",
        "font": {"color": colour},
    }  # fmt: skip


def _stress_table(assessment: Assessment) -> Block:
    events = assessment.measured.stress
    if not events:
        return paragraph("The history covers none of the dated stress events.", "muted")
    rows = [
        (
            event.name,
            event.first_day,
            event.last_day,
            percent(event.market_return, 1, signed=True),
            percent(event.strategy_return, 1, signed=True),
            percent(-event.worst_fall, 1),
        )
        for event in events
    ]
    heads = ("Event", "From", "To", "Market", "Strategy", "Worst fall, at lows")
    return table(heads, rows, text_columns=3)


def _made_from(assessment: Assessment) -> Block:
    subject, trials = assessment.verdict.subject, assessment.trials
    return definitions(
        {
            "Strategy": f"{subject.strategy} {subject.strategy_version}",
            "Market": f"{subject.market} {subject.symbol} {subject.interval}",
            "Data version": "not from a lake" if subject.data_version is None else str(subject.data_version),
            "Trials of this examination": f"{len(trials):,}",
            "Trials of this strategy ever recorded": f"{subject.trials:,}",
            "Days": f"{trials.days.size:,}",
        }
    )

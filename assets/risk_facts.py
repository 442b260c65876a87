"""The figures of a risk report and of the risk tables as an asset page shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg
import numpy as np

from assets.presentation import INK, LOSS, MUTED, figure, plot, table, utc

if TYPE_CHECKING:
    from qtm.reports.risk_figures import RiskFigures

STRESS_SHOWN = 8
HEADLINE_ENGINES = ("Historical", "Filtered historical", "Historical, stressed")
"""Engines whose CVaR is a line over the days."""


def report_metadata(figures: RiskFigures) -> dict[str, dg.MetadataValue]:
    """Numbers Dagster plots over the days, the verdict in words, and tables."""
    from qtm.reports.risk_report import verdict

    allocation = figures.answer.allocation
    return {
        "verdict": dg.MetadataValue.md(verdict(figures)),
        "CVaR % of capital a day": dg.MetadataValue.float(round(100 * allocation.cvar, 4)),
        "VaR % of capital a day": dg.MetadataValue.float(round(100 * allocation.var, 4)),
        "drawdown now %": dg.MetadataValue.float(round(100 * float(figures.falls[-1]), 3)),
        "limits breached": dg.MetadataValue.int(sum(limit.breached for limit in figures.all_limits)),
        "limits": table(
            [
                {
                    "limit": limit.name,
                    "set by": limit.set_by,
                    "measured": _amount(limit.value, money=limit.money),
                    "bound": _amount(limit.limit, money=limit.money),
                    "use %": round(100 * limit.use, 1),
                    "breached": limit.breached,
                }
                for limit in figures.all_limits
            ]
        ),
        "risk models": table(
            [
                {
                    "model": verdict_.engine,
                    "days": verdict_.forecasts,
                    "exceptions": verdict_.exceptions,
                    "expected": round(verdict_.expected, 1),
                    "VaR light": verdict_.var_light.light.name.lower(),
                    "ES light": verdict_.shortfall_light.name.lower(),
                }
                for verdict_ in figures.verdicts
            ]
        ),
    }


def report_plots(figures: RiskFigures) -> dict[str, dg.MetadataValue]:
    """The day's return distribution and what dated events would cost."""
    return {"tail, % of capital": _tail_plot(figures), "stress": _stress_plot(figures)}


def measures_metadata(figures: RiskFigures, *, pictures: bool) -> dict[str, dg.MetadataValue]:
    """CVaR 97.5 % to plot over the days, and the day's engines by horizon."""
    from qtm.risk.tails import HORIZONS

    shown: dict[str, dg.MetadataValue] = {
        f"{one.engine} CVaR 97.5, %": figure(100 * one.cvar)
        for one in figures.tails
        if one.engine in HEADLINE_ENGINES and one.alpha == 0.975
    }
    for horizon in HORIZONS:
        if any(one.cvar == one.cvar for one in figures.tails if one.horizon == horizon):
            shown[f"next {horizon.removeprefix('1 ')}, %"] = table(_engine_rows(figures, horizon))
    refused = {one.engine: one.note for one in figures.tails if one.cvar != one.cvar}
    if refused:
        shown["refused"] = dg.MetadataValue.md("\n".join(f"- {name}: {why}" for name, why in refused.items()))
    return {**shown, "engines": _engines_plot(figures)} if pictures else shown


def stress_metadata(figures: RiskFigures, *, pictures: bool) -> dict[str, dg.MetadataValue]:
    """The worst event to plot over the days, and every event of the day."""
    if not figures.stress:
        return {"dated events": dg.MetadataValue.md("the bars in the lake cover none")}
    worst = figures.stress[0]
    shown: dict[str, dg.MetadataValue] = {
        "worst event": dg.MetadataValue.text(worst.name),
        "worst loss, %": figure(100 * worst.worst),
        "events, %": table(
            [
                {
                    "event": loss.name,
                    "closes": round(100 * loss.on_closes, 1),
                    "lows": round(100 * loss.on_lows, 1),
                    "hedges gone": round(100 * loss.on_lows_longs_only, 1),
                    "shorts at highs": round(100 * loss.on_extremes, 1),
                    "largest part": loss.worst_symbol,
                }
                for loss in figures.stress
            ]
        ),
    }
    return {**shown, "picture": _stress_plot(figures)} if pictures else shown


def models_metadata(figures: RiskFigures, *, pictures: bool) -> dict[str, dg.MetadataValue]:
    """Exceptions to plot over the days, every test, and what the lights ask for."""
    from qtm.reports.model_lights import lights_paragraph

    shown: dict[str, dg.MetadataValue] = {
        f"exceptions of VaR 99 %, {v.engine}": dg.MetadataValue.int(v.exceptions) for v in figures.verdicts
    }
    shown["the lights ask for"] = dg.MetadataValue.text(
        lights_paragraph([v.light for v in figures.verdicts]).text
    )
    shown["tests"] = table(
        [
            {
                "model": v.engine,
                "exceptions": f"{v.exceptions} of {v.expected:.1f}",
                "Kupiec p": f"{v.coverage.p_value:.3f}",
                "joint p": f"{v.joint.p_value:.3f}",
                "Z1": "" if v.z1 is None else f"{v.z1:.2f}",
                "Z2": f"{v.z2:.2f}",
                "VaR light": v.var_light.light.name.lower(),
                "ES light": v.shortfall_light.name.lower(),
            }
            for v in figures.verdicts
        ]
    )
    return {**shown, "forecasts": _forecast_plot(figures)} if pictures else shown


def _amount(value: float, *, money: bool) -> str:
    return f"{value:,.0f}" if money else f"{100 * value:.2f} %"


def _engine_rows(figures: RiskFigures, horizon: str) -> list[dict[str, str]]:
    rows: dict[str, dict[str, str]] = {}
    for one in figures.tails:
        if one.horizon == horizon:
            row = rows.setdefault(one.engine, {"engine": one.engine.removesuffix(f", {horizon}")})
            level = f"{100 * one.alpha:g}"
            row[f"VaR {level}"] = "" if one.var != one.var else f"{100 * one.var:.2f}"
            row[f"CVaR {level}"] = "" if one.cvar != one.cvar else f"{100 * one.cvar:.2f}"
    return list(rows.values())


def _engines_plot(figures: RiskFigures) -> dg.MarkdownMetadataValue:
    from qtm.risk.tails import DAY

    day = [one for one in figures.tails if (one.horizon, one.alpha) == (DAY, 0.975) and one.cvar == one.cvar]
    height = 0.9 + 0.32 * len(day)
    with plot("One day at 97.5 %, % of capital", height=height) as (picture, axis):
        places = np.arange(len(day))[::-1]
        axis.barh(places + 0.2, [100 * one.cvar for one in day], height=0.38, color=LOSS, label="CVaR")
        axis.barh(places - 0.2, [100 * one.var for one in day], height=0.38, color=INK, label="VaR")
        axis.set_yticks(places, [one.engine for one in day])
        axis.legend(fontsize=7, frameon=False)
    return picture.markdown


def _forecast_plot(figures: RiskFigures) -> dg.MarkdownMetadataValue:
    rolled = figures.forecasts
    if rolled is None:
        return dg.MetadataValue.md("too little history to roll a forecast through a year")
    days = utc(figures.forecast_days_ms)
    with plot("Returns of the day's book and the VaR 99 % forecast the evening before, %") as (picture, axis):
        colours = [LOSS if hit else MUTED for hit in rolled.exceptions]
        axis.bar(days, 100 * rolled.returns, width=1.0, color=colours)
        axis.plot(days, -100 * rolled.var, color=INK, linewidth=1.2, label=f"-VaR 99 %, {rolled.engine}")
        axis.legend(fontsize=7, frameon=False)
    return picture.markdown


def _tail_plot(figures: RiskFigures) -> dg.MarkdownMetadataValue:
    allocation = figures.answer.allocation
    with plot("One day's return of the book over the scenarios, %") as (picture, axis):
        axis.hist(100 * figures.path, bins=60, color=INK, alpha=0.55)
        for name, loss, colour in (("VaR", allocation.var, MUTED), ("CVaR", allocation.cvar, LOSS)):
            axis.axvline(-100 * loss, color=colour, linewidth=1.4, label=f"{name}: {100 * loss:.2f} %")
        axis.legend(fontsize=7, frameon=False)
    return picture.markdown


def _stress_plot(figures: RiskFigures) -> dg.MarkdownMetadataValue:
    worst = list(figures.stress[:STRESS_SHOWN])[::-1]
    if not worst:
        return dg.MetadataValue.md("no dated event is covered by the bars in the lake")
    height = 0.9 + 0.32 * len(worst)
    with plot("Loss in dated events, % of capital", height=height) as (picture, axis):
        places = np.arange(len(worst))
        axis.barh(places + 0.2, [100 * e.on_lows for e in worst], height=0.38, color=LOSS, label="on lows")
        axis.barh(places - 0.2, [100 * e.on_closes for e in worst], height=0.38, color=INK, label="on closes")
        axis.set_yticks(places, [event.name for event in worst])
        axis.legend(fontsize=7, frameon=False)
    return picture.markdown

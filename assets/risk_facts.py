"""The figures of a risk report as an asset page shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg
import numpy as np

from assets.presentation import INK, LOSS, MUTED, plot, table

if TYPE_CHECKING:
    from qtm.reports.risk_figures import RiskFigures

STRESS_SHOWN = 8


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
                    "measured": limit.value,
                    "bound": limit.limit,
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

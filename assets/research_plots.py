"""Plots of a backtest for its asset page; the tear sheet has the interactive ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np
import polars as pl

from assets.presentation import GAIN, INK, LOSS, MUTED, plot, thinned, utc

if TYPE_CHECKING:
    from qtm.backtest.conditions.contract import Result
    from qtm.backtest.overfitting.assessment import Assessment
    from qtm.backtest.overfitting.walk_forward import WalkForward


def equity_plot(result: Result) -> dg.MarkdownMetadataValue:
    """Equity beside holding the symbol, and the drawdown below it."""
    equity, close = result.equity, result.bars.close
    keep = thinned(len(equity))
    times = utc(result.bars.open_time_ms[keep])
    fall = 100 * (equity / np.maximum.accumulate(equity) - 1)
    lineage = result.lineage
    title = f"{lineage.strategy} on {lineage.symbol} {lineage.interval}: equity in quote currency"
    with plot(title, height=3.6, panels=2) as (picture, axes):
        top, bottom = axes
        top.plot(times, equity[keep], color=INK, linewidth=1.2, label="strategy, after costs")
        held = result.cash * close / close[0]
        top.plot(times, held[keep], color=MUTED, linewidth=0.8, label=f"holding {lineage.symbol}")
        top.legend(fontsize=7, frameon=False)
        bottom.fill_between(times, fall[keep], 0, color=LOSS, alpha=0.35, linewidth=0)
        bottom.set_ylabel("drawdown %", fontsize=8)
    return picture.markdown


def daily_returns_plot(result: Result) -> dg.MarkdownMetadataValue:
    """Histogram of daily returns with 95 % VaR and CVaR marked."""
    from qtm.backtest.statistics import daily_returns

    daily = 100 * daily_returns(result.bars.open_time_ms, result.equity, result.cash)
    figures = result.statistics
    with plot("Daily returns, %") as (picture, axis):
        axis.hist(daily, bins=min(80, max(10, len(daily) // 4)), color=GAIN, alpha=0.6)
        for name, loss, colour in (("VaR", figures.var_95, MUTED), ("CVaR", figures.cvar_95, LOSS)):
            axis.axvline(-100 * loss, color=colour, linewidth=1.2, label=f"{name} 95 %: {100 * loss:.2f}")
        axis.legend(fontsize=7, frameon=False)
    return picture.markdown


def walk_plot(walked: WalkForward, strategy: str) -> dg.MarkdownMetadataValue:
    """Out-of-sample equity, with a line where the parameters were chosen again."""
    keep = thinned(len(walked.equity))
    with plot(f"{strategy}, out of sample: equity in quote currency", height=2.8) as (picture, axis):
        axis.plot(utc(walked.open_time_ms[keep]), walked.equity[keep], color=INK, linewidth=1.2)
        for step in walked.steps:
            axis.axvline(utc(step.train_to_ms), color=MUTED, linewidth=0.6, linestyle=":")
    return picture.markdown


def sharpe_plot(found: Assessment) -> dg.MarkdownMetadataValue:
    """Sharpe ratios of all trials, the judged one, and what the luckiest of so many would show."""
    from qtm.backtest.overfitting.trials import sharpe_ratios

    year = float(np.sqrt(365.0))
    counted, sample = found.measured.counted, found.measured.sample
    by_luck = counted.best_by_luck * year
    with plot(f"Sharpe ratios a year of {len(found.trials)} trials") as (picture, axis):
        axis.hist(sharpe_ratios(found.trials.returns) * year, bins=30, color=INK, alpha=0.6)
        axis.yaxis.get_major_locator().set_params(integer=True)
        axis.axvline(by_luck, color=LOSS, linewidth=1.2, label=f"luckiest of {counted.trials} recorded")
        if sample is not None:
            axis.axvline(sample.ratio * year, color=GAIN, linewidth=1.2, label="judged")
        axis.legend(fontsize=7, frameon=False)
    return picture.markdown


def sweep_plot(found: pl.DataFrame, names: Sequence[str]) -> dg.MarkdownMetadataValue:
    """Sharpe ratio over the grid: a map for two parameters, a line for one, a histogram for more."""
    title = f"Sharpe ratio over {' and '.join(names)}"
    with plot(title, height=3.2) as (picture, axis):
        if len(names) == 1:
            ordered = found.sort(names[0])
            axis.plot(ordered[names[0]], ordered["sharpe"], marker="o", color=INK, linewidth=1.0)
            axis.set_xlabel(names[0], fontsize=8)
        elif len(names) == 2:
            wide = found.pivot(on=names[0], index=names[1], values="sharpe").sort(names[1])
            columns = sorted(wide.columns[1:], key=float)
            grid = wide.select(columns).to_numpy().astype(float)
            largest = float(np.nanmax(np.abs(grid))) if np.isfinite(grid).any() else 1.0
            image = axis.imshow(
                grid, aspect="auto", origin="lower", cmap="RdYlGn", vmin=-largest, vmax=largest
            )
            axis.set_xticks(range(len(columns)), [f"{float(c):g}" for c in columns])
            axis.set_yticks(range(len(wide)), [f"{v:g}" for v in wide[names[1]]])
            axis.set_xlabel(names[0], fontsize=8)
            axis.set_ylabel(names[1], fontsize=8)
            axis.grid(visible=False)
            axis.figure.colorbar(image, ax=axis)
        else:
            axis.hist(found["sharpe"].drop_nulls().drop_nans(), bins=40, color=INK, alpha=0.7)
    return picture.markdown

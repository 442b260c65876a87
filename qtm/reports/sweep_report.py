"""A sweep on one page: heat maps of pairs of parameters with the plateaus marked, and the best rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from qtm.backtest.search.robust import Surface, surfaces
from qtm.backtest.search.space import Space
from qtm.reports.blocks import (
    ACCENT,
    INK,
    NEUTRAL,
    Block,
    Card,
    Document,
    Section,
    cards,
    figure,
    numbers,
    paragraph,
    table,
)
from qtm.reports.formats import money, percent, ratio

BEST_ROWS = 25


def sweep_document(found: pl.DataFrame, space: Space, *, symbol: str, interval: str, method: str) -> Document:
    """The page of a finished sweep."""
    maps = surfaces(found, space.axes)
    sections = [
        Section("In short", [_cards(found, space, maps)], _warning(found)),
        *(_map_section(one) for one in maps),
        Section("Sharpe ratios", [_histogram(found)], "One count each combination."),
        Section("Best combinations", [_best(found, space)], "The first of many may be luck."),
    ]
    return Document(
        f"Sweep: {space.strategy.name} on {symbol} {interval}",
        f"{len(found):,} of {space.size:,} combinations, {method} search · version {space.strategy.version}",
        sections,
        footer="Sharpe ratios are of net daily returns, per year of 365 days.",
    )


def _cards(found: pl.DataFrame, space: Space, maps: list[Surface]) -> Block:
    best = found.sort("sharpe", descending=True, nulls_last=True).row(0, named=True)
    positive = float((found["sharpe"].fill_null(0.0) > 0.0).mean())  # type: ignore[arg-type]
    centre = maps[0].centre if maps else None
    items = [
        Card("Combinations", f"{len(found):,}", f"of {space.size:,}"),
        Card("Best Sharpe", ratio(best["sharpe"] or 0.0), _words(best, list(space.axes))),
        Card("Median Sharpe", ratio(float(found["sharpe"].fill_null(0.0).median() or 0.0))),  # type: ignore[arg-type]
        Card("Positive Sharpe", percent(positive, 0), "of all combinations"),
    ]
    if maps:
        words = (
            "no plateau"
            if centre is None
            else f"{maps[0].rows} {centre[0]:g}, {maps[0].columns} {centre[1]:g}"
        )
        share = f"{percent(float(maps[0].robust.mean()), 0)} of the map"
        items.append(Card("Middle of the plateau", words, share, "" if centre else "warn"))
    return cards(items)


def _words(row: dict[str, Any], names: list[str]) -> str:
    return ", ".join(f"{name} {row[name]:g}" for name in names)


def _warning(found: pl.DataFrame) -> str:
    return (
        f"Every one of these {len(found):,} combinations is counted as a trial: the deflated Sharpe ratio of "
        "whichever is chosen knows of all of them."
    )


def _map_section(one: Surface) -> Section:
    note = (
        "Outlined: cells that earn, whose neighbours earn too (80 % of them), and whose typical neighbour "
        "keeps half of the Sharpe ratio. Other parameters at their median."
    )
    return Section(f"{one.rows} and {one.columns}", [_heat_map(one)], note)


def _heat_map(one: Surface) -> Block:
    limit = float(np.nanmax(np.abs(one.sharpe))) if np.isfinite(one.sharpe).any() else 1.0
    columns = [f"{value:g}" for value in one.column_values]
    rows = [f"{value:g}" for value in one.row_values]
    heat = {
        "type": "heatmap", "x": columns, "y": rows, "z": one.sharpe.round(4).tolist(),
        "zmin": -limit, "zmax": limit, "colorscale": [[0, "#b93a32"], [0.5, "#f7f9fb"], [1, "#17795a"]],
        "hovertemplate": f"{one.rows} %{{y}}, {one.columns} %{{x}}: Sharpe %{{z:.2f}}<extra></extra>",
        "colorbar": {"title": {"text": "Sharpe"}, "thickness": 12},
    }  # fmt: skip
    at = np.argwhere(one.robust)
    outline = {
        "type": "scatter", "mode": "markers", "name": "plateau", "x": [columns[j] for _, j in at],
        "y": [rows[i] for i, _ in at], "hoverinfo": "skip", "showlegend": False,
        "marker": {"symbol": "square-open", "size": 13, "color": INK, "line": {"width": 1.2}},
    }  # fmt: skip
    traces = [heat, outline]
    if one.centre is not None:
        traces.append({
            "type": "scatter", "mode": "markers", "name": "middle", "x": [f"{one.centre[1]:g}"],
            "y": [f"{one.centre[0]:g}"], "hoverinfo": "skip", "showlegend": False,
            "marker": {"symbol": "x", "size": 11, "color": ACCENT},
        })  # fmt: skip
    return figure(
        traces,
        {
            "xaxis": {"type": "category", "title": {"text": one.columns}},
            "yaxis": {"type": "category", "title": {"text": one.rows}},
            "hovermode": "closest",
        },
        height=max(320, min(720, 90 + 22 * len(rows))),
    )


def _histogram(found: pl.DataFrame) -> Block:
    ratios = found["sharpe"].drop_nulls().to_numpy()
    if ratios.size == 0:
        return paragraph("No combination traded.", "muted")
    counts, edges = np.histogram(ratios, bins=min(40, max(5, ratios.size // 8)))
    bars = {
        "type": "bar", "x": numbers(0.5 * (edges[1:] + edges[:-1])), "y": numbers(counts.astype(np.float64)),
        "width": float(edges[1] - edges[0]), "marker": {"color": NEUTRAL}, "showlegend": False,
        "hovertemplate": "%{y} combinations",
    }  # fmt: skip
    return figure([bars], {"xaxis": {"title": {"text": "Sharpe ratio a year"}}}, height=260)


def _best(found: pl.DataFrame, space: Space) -> Block:
    best = found.sort("sharpe", descending=True, nulls_last=True).head(BEST_ROWS)
    names = list(space.axes)
    rows = [
        (
            *(f"{row[name]:g}" for name in names),
            ratio(row["sharpe"]) if row["sharpe"] is not None else "-",
            percent(row["total_return"], signed=True),
            percent(row["max_drawdown"]),
            f"{row['trades']:,}",
            percent(row["win_rate"], 1) if row["win_rate"] is not None else "-",
            money(row["fees"], 0),
        )
        for row in best.iter_rows(named=True)
    ]
    headers = (*names, "Sharpe", "Return", "Max drawdown", "Trades", "Win rate", "Fees")
    return table(headers, rows, text_columns=0)

"""The figures of the daily risk report."""

from __future__ import annotations

import numpy as np

from qtm.reports.blocks import ACCENT, BAD, NEUTRAL, SERIES, WARN, Block, figure, numbers, paragraph, times
from qtm.reports.risk_figures import RiskFigures

DUST = 5e-5
"""Weights below half a basis point are not drawn."""


def component_bars(figures: RiskFigures) -> Block:
    """Weight beside share of CVaR for every holding, the largest contributor on top."""
    total = figures.answer.allocation.cvar
    held = sorted(
        (line for line in figures.exposures if abs(line.weight) > DUST), key=lambda line: line.component
    )
    if not held or total <= 0.0:
        return paragraph("The book holds no risk: everything is cash.", "muted")
    names = [line.symbol for line in held]
    bars = (
        ("Weight", [line.weight for line in held], NEUTRAL),
        ("Share of CVaR", [line.component / total for line in held], ACCENT),
    )
    return figure(
        [
            {
                "type": "bar", "orientation": "h", "name": name, "y": names, "x": values,
                "marker": {"color": colour}, "hovertemplate": "%{x:.1%}",
                "text": [f"{value:.0%}" for value in values], "textposition": "outside", "cliponaxis": False,
            }
            for name, values, colour in bars
        ],
        {
            "barmode": "group", "hovermode": "y unified", "bargap": 0.28,
            "legend": {"traceorder": "reversed"},
            "xaxis": {"tickformat": ".0%", "rangemode": "tozero"},
            "yaxis": {"showgrid": False},
            "margin": {"r": 40},
        },
        height=max(220, 70 + 44 * len(held)),
    )  # fmt: skip


def tail_histogram(figures: RiskFigures) -> Block:
    """The book's daily returns with VaR and CVaR at the mandate's level."""
    path = figures.path
    level = figures.answer.mandate.alpha
    lines = []
    for name, value, colour, side in (
        (f"VaR {level * 100:g} %", figures.answer.allocation.var, WARN, "left"),
        (f"CVaR {level * 100:g} %", figures.answer.allocation.cvar, BAD, "right"),
    ):
        lines.append(
            {
                "x": -value, "colour": colour, "side": side, "text": f"{name}<br>{value:.2%}",
            }
        )  # fmt: skip
    return figure(
        [
            {
                "type": "histogram", "x": numbers(path), "nbinsx": 80, "marker": {"color": "#b9cbe6"},
                "hovertemplate": "%{x}: %{y} days", "name": "Days",
            }
        ],
        {
            "showlegend": False, "bargap": 0.03,
            "xaxis": {"tickformat": ".0%"}, "yaxis": {"title": {"text": "Days"}},
            "shapes": [
                {
                    "type": "line", "x0": line["x"], "x1": line["x"], "y0": 0, "y1": 1, "yref": "paper",
                    "line": {"color": line["colour"], "width": 1.6, "dash": "dot"},
                }
                for line in lines
            ],
            "annotations": [
                {
                    "x": line["x"], "y": 1.0, "yref": "paper", "text": line["text"], "showarrow": False,
                    "xanchor": line["side"], "yanchor": "top", "align": line["side"],
                    "xshift": 4 if line["side"] == "left" else -4, "bgcolor": "rgba(255,255,255,0.8)",
                    "font": {"size": 11, "color": line["colour"]},
                }
                for line in lines
            ],
        },
        height=300,
    )  # fmt: skip


def drawdown_figure(figures: RiskFigures) -> Block:
    """Today's weights held through the window, and how far they fell below their peak."""
    days = times(figures.open_time_ms)
    return figure(
        [
            {
                "type": "scatter", "mode": "lines", "name": "Value", "x": days,
                "y": numbers(figures.equity[1:] * figures.capital), "line": {"color": ACCENT, "width": 1.6},
                "hovertemplate": "%{y:,.0f}",
            },
            {
                "type": "scatter", "mode": "lines", "name": "Drawdown", "x": days, "yaxis": "y2",
                "y": numbers(-figures.falls[1:]), "line": {"color": BAD, "width": 1},
                "fill": "tozeroy", "fillcolor": "rgba(185,58,50,0.14)", "hovertemplate": "%{y:.1%}",
            },
        ],
        {
            "showlegend": False,
            "xaxis": {"type": "date", "anchor": "y2"},
            "yaxis": {"domain": [0.38, 1], "title": {"text": "Back-cast value, USDT"}},
            "yaxis2": {"domain": [0, 0.3], "title": {"text": "Drawdown"}, "tickformat": ".0%"},
        },
        height=380,
    )  # fmt: skip


def stress_bars(figures: RiskFigures) -> Block:
    """Loss of the book in every dated event, on closes and on lows."""
    if not figures.stress:
        return paragraph("The lake's daily bars cover none of the dated events.", "muted")
    events = list(reversed(figures.stress))
    names = [loss.name for loss in events]
    bars = (
        ("On closes", [loss.on_closes for loss in events], NEUTRAL),
        ("On lows", [loss.on_lows for loss in events], BAD),
    )
    return figure(
        [
            {
                "type": "bar", "orientation": "h", "name": name, "y": names, "x": values,
                "marker": {"color": colour}, "hovertemplate": "%{x:.1%}",
            }
            for name, values, colour in bars
        ],
        {
            "barmode": "group", "hovermode": "y unified", "bargap": 0.3,
            "legend": {"traceorder": "reversed"},
            "xaxis": {"tickformat": ".0%", "title": {"text": "Loss, share of capital"}},
            "yaxis": {"showgrid": False},
        },
        height=max(240, 90 + 38 * len(events)),
    )  # fmt: skip


def forecast_figure(figures: RiskFigures) -> Block:
    """Daily back-cast returns against the VaR that was forecast the evening before."""
    forecasts = figures.forecasts
    if forecasts is None:
        return paragraph("Too little history to roll a forecast through a year.", "muted")
    days = figures.forecast_days_ms
    colours = [BAD if exceeded else "#b9cbe6" for exceeded in forecasts.exceptions]
    return figure(
        [
            {
                "type": "bar", "name": "Return", "x": times(days), "y": numbers(forecasts.returns),
                "marker": {"color": colours}, "hovertemplate": "%{y:.2%}",
            },
            {
                "type": "scatter", "mode": "lines", "name": "VaR 99 % forecast",
                "x": times(days), "y": numbers(-forecasts.var), "line": {"color": WARN, "width": 1.4},
                "hovertemplate": "%{y:.2%}",
            },
            {
                "type": "scatter", "mode": "lines", "name": "CVaR 97.5 % forecast", "x": times(days),
                "y": numbers(-forecasts.es), "line": {"color": BAD, "width": 1.2, "dash": "dot"},
                "hovertemplate": "%{y:.2%}",
            },
        ],
        {"xaxis": {"type": "date"}, "yaxis": {"tickformat": ".0%"}, "bargap": 0.1},
        height=300,
    )  # fmt: skip


def correlation_heatmap(figures: RiskFigures) -> Block:
    """Correlation of daily returns over the universe, largest weight first."""
    order = sorted(range(len(figures.exposures)), key=lambda i: -abs(figures.exposures[i].weight))
    names = [figures.exposures[i].symbol.removesuffix("USDT") for i in order]
    matrix = figures.correlation[np.ix_(order, order)]
    return figure(
        [
            {
                "type": "heatmap", "x": names, "y": names, "z": np.round(matrix, 2).tolist(),
                "zmin": -0.2, "zmax": 1, "xgap": 1, "ygap": 1,
                "colorscale": [[0, "#f6efe6"], [0.17, "#ffffff"], [0.6, "#a9c3e8"], [1, SERIES[0]]],
                "hovertemplate": "%{x} and %{y}: %{z:.2f}<extra></extra>", "colorbar": {"thickness": 10},
            }
        ],
        {
            "hovermode": "closest",
            "xaxis": {"tickangle": -60, "showgrid": False},
            "yaxis": {"autorange": "reversed", "showgrid": False},
        },
        height=max(260, 90 + 17 * len(names)),
    )  # fmt: skip

"""Several runs on one page: equity overlaid, figures side by side, what differs, and how alike they move."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from qtm.backtest.session import DAY_MS
from qtm.backtest.statistics import daily_equity
from qtm.clock import iso_utc
from qtm.errors import DataError
from qtm.reports.backtest_figures import thinned
from qtm.reports.blocks import SERIES, Block, Cell, Document, Section, figure, numbers, table, times
from qtm.reports.formats import MISSING, SHARES, SUMS, money, percent, price, ratio
from qtm.reports.run_folder import SavedRun

Floats = npt.NDArray[np.float64]

_MORE_IS_BETTER = frozenset(
    {"final_equity", "total_return", "annual_return", "sharpe", "sortino", "calmar", "win_rate",
     "profit_factor", "average_trade"}
)  # fmt: skip
_LESS_IS_BETTER = frozenset({"max_drawdown", "max_drawdown_days", "volatility", "var_95", "cvar_95", "fees"})


def compare(runs: Sequence[SavedRun]) -> dict[str, Any]:
    """The comparison as plain values: statistics, differences, correlation of daily returns on common days.

    Raises
    ------
    DataError
        For fewer than two runs.
    """
    if len(runs) < 2:
        raise DataError("a comparison needs at least two runs", remedy="name two folders or more")
    return {
        "runs": [
            {
                "name": one.name,
                "title": one.title,
                **one.statistics,
                "standstill": None if one.standstill is None else one.standstill._asdict(),
            }
            for one in runs
        ],
        "differences": differences(runs),
        "correlation": correlation(runs).tolist(),
    }


def differences(runs: Sequence[SavedRun]) -> dict[str, list[Any]]:
    """What the runs were made from where they differ: name to one value each, None where a run has none."""
    flat = [_flat(one.lineage) for one in runs]
    names = list(dict.fromkeys(name for one in flat for name in one))
    values = {name: [one.get(name) for one in flat] for name in names}
    return {name: found for name, found in values.items() if any(value != found[0] for value in found)}


def correlation(runs: Sequence[SavedRun]) -> Floats:
    """Correlation of daily returns on the days both have, shape (N, N); NaN where there is too little."""
    daily = [_daily_returns(one) for one in runs]
    found = np.eye(len(runs))
    for i, first in enumerate(daily):
        for j, second in enumerate(daily[:i]):
            common = sorted(set(first) & set(second))
            a, b = np.array([first[d] for d in common]), np.array([second[d] for d in common])
            alike = math.nan
            if len(common) > 2 and a.std() > 0.0 and b.std() > 0.0:
                alike = float(np.corrcoef(a, b)[0, 1])
            found[i, j] = found[j, i] = alike
    return found


def comparison_document(runs: Sequence[SavedRun]) -> Document:
    """The page; raises DataError as `compare`."""
    compare(runs)
    labels = _labels(runs)
    first, last = (f(int(one.time_ms[at]) for one in runs) for f, at in ((min, 0), (max, -1)))
    sections = [
        Section("Equity", [_equity_figure(runs, labels)], "Each run's worth over its starting capital."),
        Section("Figures", [_figures_table(runs, labels)], _figures_note(runs)),
        Section("What differs", [_differences_table(runs, labels)], "Everything else is the same."),
        Section(
            "How alike they move", [_correlation_table(runs, labels)],
            "Correlation of daily returns on the days two runs have in common.",
        ),
    ]  # fmt: skip
    title = f"Comparison of {len(runs)} runs"
    footer = "Net of fees, slippage and funding. All times UTC."
    return Document(title, f"{iso_utc(first)[:10]} to {iso_utc(last)[:10]}", sections, footer=footer)


def _figures_note(runs: Sequence[SavedRun]) -> str:
    same = len({(int(one.time_ms[0]) // DAY_MS, int(one.time_ms[-1]) // DAY_MS) for one in runs}) == 1
    return "The best of each row is green." + ("" if same else " The runs do not cover the same days.")


def _labels(runs: Sequence[SavedRun]) -> list[str]:
    """Short names that tell the runs apart."""
    names = [one.name for one in runs]
    return names if len(set(names)) == len(names) else [f"{i + 1} {name}" for i, name in enumerate(names)]


def _equity_figure(runs: Sequence[SavedRun], labels: Sequence[str]) -> Block:
    lines: list[dict[str, Any]] = []
    for at, (one, label) in enumerate(zip(runs, labels, strict=True)):
        growth = one.equity / one.cash
        kept = thinned(growth)
        lines.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": label,
                "x": times(one.time_ms[kept]),
                "y": numbers(growth[kept]),
                "line": {"color": SERIES[at % len(SERIES)], "width": 1.6},
                "hovertemplate": "%{y:.3f}",
            }
        )
    return figure(
        lines, {"xaxis": {"type": "date"}, "yaxis": {"title": {"text": "Worth / capital"}}}, height=420
    )


def _figures_table(runs: Sequence[SavedRun], labels: Sequence[str]) -> Block:
    names = dict.fromkeys(name for one in runs for name in one.statistics)
    rows = _standstill_rows(runs)
    for name in names:
        values = np.array([one.statistics.get(name, math.nan) for one in runs])
        known = values[np.isfinite(values)]
        best = math.nan
        if known.size > 1 and known.min() < known.max():
            if name in _MORE_IS_BETTER:
                best = float(known.max())
            elif name in _LESS_IS_BETTER:
                best = float(known.min())
        cells = [Cell(_shown(name, float(v)), "good" if v == best else "") for v in values]
        words = name.replace("var_95", "VaR 95 %").replace("cVaR", "CVaR").replace("_", " ")
        rows.append((words[0].upper() + words[1:], *cells))
    return table(("", *labels), rows)


def _standstill_rows(runs: Sequence[SavedRun]) -> list[tuple[str | Cell, ...]]:
    """Where loss limits stopped any of the runs: since when, and what they were while they traded."""
    stops = [one.standstill for one in runs]
    if not any(stops):
        return []
    return [
        ("Trading stopped by a loss limit", *(Cell(s.since, "bad") if s else Cell("no") for s in stops)),
        ("Nothing traded since", *(s.aftermath if s else MISSING for s in stops)),
        (
            "Sharpe while it traded",
            *(ratio(s.sharpe if s else one.statistics["sharpe"]) for s, one in zip(stops, runs, strict=True)),
        ),
    ]


def _differences_table(runs: Sequence[SavedRun], labels: Sequence[str]) -> Block:
    rows = [(name, *(_word(name, value) for value in found)) for name, found in differences(runs).items()]
    return table(("", *labels), rows, text_columns=1 + len(labels))


def _correlation_table(runs: Sequence[SavedRun], labels: Sequence[str]) -> Block:
    rows: list[tuple[str | Cell, ...]] = [
        (label, *(Cell(ratio(float(value)), colour=_shade(float(value))) for value in line))
        for label, line in zip(labels, correlation(runs), strict=True)
    ]
    return table(("", *labels), rows)


def _shade(value: float) -> str:
    return f"#1f5fbf{round(90 * min(1.0, abs(value))):02x}" if math.isfinite(value) else ""


def _shown(name: str, value: float) -> str:
    if name in SHARES:
        return percent(value)
    if name in SUMS:
        return money(value, 2)
    return price(value) if value.is_integer() else ratio(value)


def _word(name: str, value: Any) -> str:
    if value is None:
        return MISSING
    if name in ("first_ms", "last_ms"):
        return iso_utc(int(value))[:16].replace("T", " ")
    return f"{value:g}" if isinstance(value, float) else str(value)


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def _daily_returns(one: SavedRun) -> dict[int, float]:
    # The moment a bar closes belongs to the day it was traded on.
    days, worth = daily_equity(one.time_ms - 1, one.equity)
    before = np.concatenate(([one.cash], worth[:-1]))
    with np.errstate(divide="ignore", invalid="ignore"):
        returns = np.where(before > 0.0, worth / before - 1.0, 0.0)
    return dict(zip(days.tolist(), returns.tolist(), strict=True))

"""The page of a model back-test: every engine's forecasts against what happened, its tests and its lights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from qtm.clock import iso_utc
from qtm.reports.blocks import BAD, NEUTRAL, SERIES, Block, Document, Section, figure, numbers, times
from qtm.reports.model_lights import engines_section
from qtm.reports.page import render_page
from qtm.risk.rolling_backtest import YEAR, EngineVerdict, RolledEngine


def model_trial_page(
    book: str,
    open_time_ms: npt.NDArray[np.int64],
    rolled: Sequence[RolledEngine],
    verdicts: Sequence[EngineVerdict],
    *,
    used: str,
) -> str:
    """One self-contained HTML page.

    Parameters
    ----------
    book
        What the book is, in words.
    open_time_ms
        Day of every forecast, shape (D,), the same for all engines.
    rolled, verdicts
        One of each per engine, in the same order.
    used
        Engine whose lights act on the desk; shown with its exceptions marked.
    """
    shown = next((one for one in rolled if one.engine == used), rolled[0])
    first, last = iso_utc(int(open_time_ms[0]))[:10], iso_utc(int(open_time_ms[-1]))[:10]
    sections = [
        engines_section(verdicts, used={shown.engine}),
        Section(
            "Forecasts",
            [_forecasts(open_time_ms, rolled, shown)],
            f"VaR 99 % as each evening forecast it; red days lost more than {shown.engine} said.",
        ),
        Section(
            "Exceptions in the year before",
            [_counts(open_time_ms, rolled)],
            f"Exceptions of VaR 99 % in the last {YEAR} forecasts: yellow from 5, red from 10.",
        ),
    ]
    document = Document(
        "Model back-test",
        f"{book} · {len(open_time_ms)} forecasts from {first} to {last} · window {shown.window}",
        sections,
        footer="Losses are positive; a model is tested on returns it had not seen. All times UTC.",
    )
    return render_page(document)


def _forecasts(days: npt.NDArray[np.int64], rolled: Sequence[RolledEngine], shown: RolledEngine) -> Block:
    bars = {
        "type": "bar", "name": "Return", "x": times(days), "y": numbers(shown.returns),
        "marker": {"color": [BAD if hit else NEUTRAL for hit in shown.exceptions]},
    }  # fmt: skip
    lines = [
        {
            "type": "scatter", "mode": "lines", "name": one.engine, "x": times(days), "y": numbers(-one.var),
            "line": {"color": colour, "width": 2 if one is shown else 1},
            "visible": True if one is shown else "legendonly",
        }
        for one, colour in zip(rolled, SERIES, strict=False)
    ]  # fmt: skip
    layout = {"xaxis": {"type": "date"}, "yaxis": {"tickformat": ".0%"}}
    return figure([bars, *lines], layout, height=360)


def _counts(days: npt.NDArray[np.int64], rolled: Sequence[RolledEngine]) -> Block:
    lines = [
        {
            "type": "scatter", "mode": "lines", "name": one.engine, "x": times(days[YEAR - 1 :]),
            "y": numbers(np.convolve(one.exceptions.astype(np.float64), np.ones(YEAR), mode="valid")),
            "line": {"color": colour, "shape": "hv", "width": 1.4},
        }
        for one, colour in zip(rolled, SERIES, strict=False)
    ]  # fmt: skip
    return figure(lines, {"xaxis": {"type": "date"}, "yaxis": {"rangemode": "tozero"}})

"""Results as Dagster metadata: small plots inlined as pictures, frames as tables, times as text."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import polars as pl

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#1f3a5f"
LOSS = "#b3362b"
GAIN = "#2d7d5a"
MUTED = "#8a94a3"
MAX_POINTS = 1_500
MAX_ROWS = 60


class Picture:
    """A plot being drawn; `markdown` holds it once the `plot` block ends."""

    def __init__(self) -> None:
        self.markdown: dg.MarkdownMetadataValue = dg.MetadataValue.md("")


@contextmanager
def plot(
    title: str, *, height: float = 2.4, panels: int = 1
) -> Iterator[tuple[Picture, Axes | Sequence[Axes]]]:
    """Draw a 760 pixel wide plot: yields the `Picture` and its axes (one, or `panels` stacked).

    matplotlib is imported here, inside the step that draws, because every run would pay for it otherwise.
    """
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(9.5, height), dpi=80, layout="constrained")
    axes = canvas.subplots(panels, 1, sharex=True, squeeze=False)[:, 0]
    for each in axes:
        each.grid(alpha=0.25, linewidth=0.6)
        each.spines[["top", "right"]].set_visible(False)
        each.tick_params(labelsize=8)
    axes[0].set_title(title, fontsize=10, loc="left", color=INK)
    picture = Picture()
    yield picture, axes[0] if panels == 1 else list(axes)
    buffer = io.BytesIO()
    canvas.savefig(buffer, format="png")
    encoded = base64.b64encode(buffer.getvalue()).decode()
    picture.markdown = dg.MetadataValue.md(f"![{title}](data:image/png;base64,{encoded})")


def legend_below(axis: Axes) -> None:
    """Name the lines under the plot, where they cannot cover it."""
    axis.figure.legend(fontsize=7, ncols=8, frameon=False, loc="outside lower center")  # type: ignore[union-attr]


def thinned(length: int, limit: int = MAX_POINTS) -> slice:
    """A slice that keeps at most about `limit` of `length` points."""
    return slice(None, None, max(1, length // limit))


def utc(ts_ms: Any) -> Any:
    """Times in milliseconds as numpy datetimes for an axis."""
    return np.asarray(ts_ms, dtype="datetime64[ms]")


def table(
    rows: pl.DataFrame | Sequence[Mapping[str, Any]], *, limit: int = MAX_ROWS
) -> dg.MarkdownMetadataValue:
    """Rows as a markdown table; long ones end in a line that says how many were left out."""
    frame = rows if isinstance(rows, pl.DataFrame) else pl.DataFrame(rows, infer_schema_length=None)
    if frame.is_empty():
        return dg.MetadataValue.md("none")
    lines = [f"| {' | '.join(frame.columns)} |", f"|{'|'.join(_rule(dtype) for dtype in frame.dtypes)}|"]
    lines += [f"| {' | '.join(_cell(value) for value in row)} |" for row in frame.head(limit).iter_rows()]
    if len(frame) > limit:
        lines.append(f"\n{len(frame) - limit} more rows")
    return dg.MetadataValue.md("\n".join(lines))


def figure(value: Any) -> dg.MetadataValue:
    """A number Dagster plots over time; one that does not exist is said so, never NaN."""
    if value is None or not math.isfinite(value):
        return dg.MetadataValue.text("not measurable")
    return dg.MetadataValue.float(round(float(value), 6))


def page_path(path: Path) -> dg.PathMetadataValue:
    """Where an HTML report is, to copy: a browser follows no link from Dagster's page to a local file."""
    return dg.MetadataValue.path(path.resolve())


def _rule(dtype: pl.DataType) -> str:
    return "--:" if dtype.is_numeric() else ":--"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and math.isnan(value):
        return "-"
    if isinstance(value, float):
        return f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value).replace("|", "\\|").replace("\n", " ")

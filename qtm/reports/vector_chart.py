"""Draw a report's figure as SVG for print, from the very traces the page shows.

Known is what the reports use of plotly's vocabulary: traces `scatter`, `scattergl`, `bar`, `histogram` and
`heatmap`; axes by `domain` (panels one above the other) or `overlaying` (a second scale); `tickformat`,
`title`, `type`, `range`, `autorange`; `barmode`; shapes of type `line` and annotations. A trace of another
kind is an error rather than a picture that says less than the page.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qtm.errors import DataError
from qtm.reports.blocks import GRID, INK, MUTED, NEUTRAL, SERIES, Figure
from qtm.reports.chart_traces import (
    DASHES,
    colour_of,
    coordinates,
    draw_bars,
    draw_heatmap,
    draw_line,
    values_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MM_PER_INCH = 25.4
_MM_PER_PIXEL = 0.2
"""Height in print of one pixel of the page."""
_STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "qtm", "font.family": "DejaVu Sans", "font.size": 6.2,
    "axes.edgecolor": GRID, "axes.labelcolor": MUTED, "axes.linewidth": 0.6, "axes.grid": True,
    "axes.axisbelow": True, "axes.spines.top": False, "axes.spines.right": False,
    "grid.color": GRID, "grid.linewidth": 0.5, "text.color": INK, "text.parse_math": False,
    "xtick.color": INK, "ytick.color": INK, "xtick.major.size": 0, "ytick.major.size": 0,
    "axes.xmargin": 0.02, "axes.ymargin": 0.06, "path.simplify": True,
    "legend.frameon": False, "legend.fontsize": 6.2, "legend.handlelength": 1.4,
}  # fmt: skip


def chart_svg(figure: Figure, width_mm: float) -> bytes:
    """The figure as SVG, `width_mm` wide; the same figure gives the same bytes.

    Raises
    ------
    DataError
        When a trace is of a kind this module does not draw.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Canvas

    height_mm = max(38.0, figure.height * _MM_PER_PIXEL)
    with mpl.rc_context(_STYLE):
        canvas = Canvas(figsize=(width_mm / _MM_PER_INCH, height_mm / _MM_PER_INCH), layout="constrained")
        FigureCanvasSVG(canvas)
        panels = _panels(canvas, figure.layout)
        drawn = [trace for trace in figure.data if trace.get("visible", True) is True]
        for name, axes in panels.items():
            layout = figure.layout.get("yaxis" + name[1:], {})
            _draw_panel(axes, [trace for trace in drawn if trace.get("yaxis", "y") == name], figure, layout)
        _finish(panels, figure)
        written = io.BytesIO()
        canvas.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    return written.getvalue()


def _panels(canvas: Any, layout: Mapping[str, Any]) -> dict[str, Axes]:
    """Axes by plotly's name, `y`, `y2` ...; panels by their domains, highest first."""
    names = ["y", *sorted("y" + key[5:] for key in layout if key.startswith("yaxis") and key != "yaxis")]
    options = {name: layout.get("yaxis" + name[1:], {}) for name in names}
    overlaid = {name: found["overlaying"] for name, found in options.items() if "overlaying" in found}
    stacked = sorted(
        (n for n in names if n not in overlaid),
        key=lambda n: -float(options[n].get("domain", (0, 1))[0]),
    )
    heights = [float(np.ptp(options[n].get("domain", (0, 1)))) for n in stacked]
    rows = canvas.add_gridspec(len(stacked), 1, height_ratios=heights)
    panels: dict[str, Axes] = {}
    for row, name in enumerate(stacked):
        panels[name] = canvas.add_subplot(rows[row], sharex=next(iter(panels.values()), None))
        if row < len(stacked) - 1:
            panels[name].tick_params(labelbottom=False)
    for name, below in overlaid.items():
        panels[name] = panels[str(below)].twinx()
        panels[name].grid(visible=False)
    return panels


def _draw_panel(
    axes: Axes, traces: Sequence[Mapping[str, Any]], figure: Figure, layout: Mapping[str, Any]
) -> None:
    dated = figure.layout.get("xaxis", {}).get("type") == "date"
    grouped = figure.layout.get("barmode", "group") == "group"
    bars = [trace for trace in traces if trace["type"] == "bar"]
    for number, trace in enumerate(traces):
        colour = colour_of(
            trace.get("line", {}).get("color")
            or trace.get("marker", {}).get("color")
            or SERIES[number % len(SERIES)]
        )
        match trace["type"]:
            case "scatter" | "scattergl":
                draw_line(axes, trace, colour, dated)
            case "bar":
                place = (bars.index(trace), len(bars)) if grouped else (0, 1)
                draw_bars(axes, trace, colour, dated, place, float(figure.layout.get("bargap", 0.2)))
            case "histogram":
                axes.hist(values_of(trace["x"]), bins=int(trace.get("nbinsx", 40)), color=colour, rwidth=0.92)
            case "heatmap":
                draw_heatmap(axes, trace)
            case other:
                raise DataError(
                    f"a printed report has no drawing for traces of type {other!r}",
                    where="qtm.reports.vector_chart",
                    remedy="draw it with a known trace, or teach this module the new one",
                )
    if layout.get("autorange") == "reversed" and not axes.yaxis_inverted():
        axes.invert_yaxis()
    if "range" in layout:
        axes.set_ylim(*layout["range"])
    _label_axis(axes.yaxis, layout)


def _finish(panels: Mapping[str, Axes], figure: Figure) -> None:
    """Horizontal axis, legend, shapes and annotations."""
    layout = figure.layout
    axes = panels["y"]
    stacked = [p for n, p in panels.items() if "overlaying" not in layout.get("yaxis" + n[1:], {})]
    lowest = stacked[-1]
    across = layout.get("xaxis", {})
    if across.get("type") == "date":
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

        locator = AutoDateLocator()
        lowest.xaxis.set_major_locator(locator)
        lowest.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))
        axes.margins(x=0.01)
    if "range" in across:
        axes.set_xlim(*across["range"])
    _label_axis(lowest.xaxis, across)
    for shape in layout.get("shapes", ()):
        panel = panels.get(str(shape.get("yref", "y")), axes)
        _draw_shape(panel, shape, layout.get("xaxis", {}).get("type") == "date")
    for note in layout.get("annotations", ()):
        _write_note(axes, note)
    _legend(panels, figure)


def _draw_shape(axes: Axes, shape: Mapping[str, Any], dated: bool) -> None:
    line = shape.get("line", {})
    x = axes.transAxes if shape.get("xref") == "paper" else axes.transData
    y = axes.transAxes if shape.get("yref") == "paper" else axes.transData
    from matplotlib.transforms import blended_transform_factory

    axes.plot(
        coordinates([shape["x0"], shape["x1"]], dated and x is axes.transData),
        [shape["y0"], shape["y1"]],
        transform=blended_transform_factory(x, y), scalex=x is axes.transData, scaley=y is axes.transData,
        color=colour_of(line.get("color", NEUTRAL)), linewidth=0.6 * float(line.get("width", 2)),
        linestyle=DASHES[line.get("dash", "solid")],
    )  # fmt: skip


def _write_note(axes: Axes, note: Mapping[str, Any]) -> None:
    text = str(note["text"]).replace("<br>", "\n")
    side = note.get("xanchor", "center")
    axes.annotate(
        text, (note["x"], note["y"]),
        xycoords=("axes fraction" if note.get("xref") == "paper" else "data",
                  "axes fraction" if note.get("yref") == "paper" else "data"),
        xytext=({"left": 3, "right": -3}.get(side, 0), 0), textcoords="offset points",
        ha=side, va=note.get("yanchor", "top"), fontsize=5.8,
        color=colour_of(note.get("font", {}).get("color", INK)),
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8},
    )  # fmt: skip


def _legend(panels: Mapping[str, Axes], figure: Figure) -> None:
    hidden = {t.get("name") for t in figure.data if t.get("showlegend") is False}
    found = [
        entry for axes in panels.values() for entry in zip(*axes.get_legend_handles_labels(), strict=True)
    ]
    shown = [(handle, label) for handle, label in found if label and label not in hidden]
    if len(shown) < 2 or figure.layout.get("showlegend") is False:
        return
    axes = next(iter(panels.values()))
    axes.legend(
        [handle for handle, _ in shown], [label for _, label in shown],
        loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=min(len(shown), 6), borderaxespad=0.2,
    )  # fmt: skip


def _label_axis(axis: Any, layout: Mapping[str, Any]) -> None:
    from matplotlib.ticker import FuncFormatter, PercentFormatter, ScalarFormatter

    title = layout.get("title", {})
    axis.set_label_text(title if isinstance(title, str) else title.get("text", ""))
    if layout.get("showgrid") is False:
        axis.grid(visible=False)
    is_log = layout.get("type") == "log"
    if is_log:
        from matplotlib.ticker import NullFormatter

        axis.axes.set(**{f"{axis.axis_name}scale": "log"})
        axis.set_minor_formatter(NullFormatter())
    form = str(layout.get("tickformat", ""))
    if form.endswith("%"):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=int(form[1:-1] or 0)))
    elif is_log or isinstance(axis.get_major_formatter(), ScalarFormatter):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))

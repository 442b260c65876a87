"""One drawing function for each kind of trace, in print; `vector_chart` puts them on axes."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from qtm.reports.blocks import ACCENT, INK, MUTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DASHES = {"solid": "-", "dot": (0, (1, 1.6)), "dash": (0, (4, 2.4)), "dashdot": "-."}
_MARKERS = {"circle": "o", "triangle-up": "^", "triangle-down": "v", "diamond": "D", "x": "x", "square": "s"}
_NAMES_ABREAST = 12
"""Most names of bars that fit side by side."""
_SHADE = "rgba(31,95,191,0.14)"


def draw_line(axes: Axes, trace: Mapping[str, Any], colour: Any, dated: bool) -> None:
    """A line, markers or both; `fill` shades down to zero or to the line before."""
    x, y = coordinates(trace["x"], dated), values_of(trace["y"])
    line, marker = trace.get("line", {}), trace.get("marker", {})
    mode = trace.get("mode", "lines")
    axes.plot(
        x, y, label=trace.get("name"), color=colour,
        linestyle=DASHES[line.get("dash", "solid")] if "lines" in mode else "none",
        linewidth=0.6 * float(line.get("width", 2)),
        marker=_MARKERS[marker.get("symbol", "circle")] if "markers" in mode else None,
        markersize=0.45 * float(marker.get("size", 6)), markeredgewidth=0.0,
        alpha=float(marker.get("opacity", trace.get("opacity", 1.0))),
        drawstyle="steps-post" if line.get("shape") == "hv" else "default",
    )  # fmt: skip
    if trace.get("fill") == "tozeroy":
        axes.fill_between(x, y, 0.0, color=colour_of(trace.get("fillcolor", _SHADE)), linewidth=0)
    elif trace.get("fill") == "tonexty":
        below = axes.lines[-2].get_ydata()
        axes.fill_between(x, y, below, color=colour_of(trace.get("fillcolor", _SHADE)), linewidth=0)


def draw_bars(
    axes: Axes, trace: Mapping[str, Any], colour: Any, dated: bool, place: tuple[int, int], gap: float
) -> None:
    """Bars upright or lying; `place` is this trace's number among how many that share a step."""
    lying = trace.get("orientation") == "h"
    along, lengths = (trace["y"], trace["x"]) if lying else (trace["x"], trace["y"])
    lengths = values_of(lengths)
    names = list(along) if not isinstance(along, Mapping) and along and isinstance(along[0], str) else None
    if names is not None and not dated:
        at: Any = np.arange(len(names), dtype=np.float64)
        (axes.set_yticks if lying else axes.set_xticks)(at, names)
        if not lying and len(names) > _NAMES_ABREAST:
            axes.tick_params(axis="x", labelrotation=60)
        (axes.yaxis if lying else axes.xaxis).grid(visible=False)
        step: Any = 1.0
    else:
        at = coordinates(along, dated)
        step = np.min(np.diff(at)) if len(at) > 1 else (np.timedelta64(1, "D") if dated else 1.0)
    order, total = place
    if dated:
        width: Any = step * (1.0 - gap)
    else:
        width = float(trace["width"]) if "width" in trace else float(step) * (1.0 - gap) / total
        at = at + (order - (total - 1) / 2) * width
    colours = _colours(trace.get("marker", {}).get("color"), colour)
    draw = axes.barh if lying else axes.bar
    drawn = draw(at, lengths, width, color=colours, label=trace.get("name"), linewidth=0,
                 alpha=float(trace.get("opacity", 1.0)))  # fmt: skip
    if "text" in trace:
        axes.bar_label(drawn, trace["text"], padding=2, fontsize=5.4, color=MUTED)
        axes.margins(x=0.12 if lying else None)


def draw_heatmap(axes: Axes, trace: Mapping[str, Any]) -> None:
    """Coloured cells with their scale; `zmid` puts the middle colour at a value."""
    from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm

    z = np.asarray(trace["z"], dtype=np.float64)
    stops = trace.get("colorscale", [[0, "#ffffff"], [1, ACCENT]])
    colours = LinearSegmentedColormap.from_list("report", [(float(at), colour_of(one)) for at, one in stops])
    low, high = float(trace.get("zmin", np.nanmin(z))), float(trace.get("zmax", np.nanmax(z)))
    options: dict[str, Any] = {"vmin": low, "vmax": high}
    if "zmid" in trace:
        middle = float(trace["zmid"])
        reach = max(abs(high - middle), abs(middle - low)) or 1.0
        options = {"norm": TwoSlopeNorm(middle, middle - reach, middle + reach)}
    mesh = axes.pcolormesh(z, cmap=colours, edgecolor="white", linewidth=0.6, **options)
    axes.grid(visible=False)
    axes.set_xticks(np.arange(z.shape[1]) + 0.5, [str(name) for name in trace["x"]], rotation=60)
    axes.set_yticks(np.arange(z.shape[0]) + 0.5, [str(name) for name in trace["y"]])
    bar = axes.figure.colorbar(mesh, ax=axes, fraction=0.02, pad=0.01)
    bar.outline.set_visible(False)
    if bar.solids is not None:
        bar.solids.set(rasterized=False, edgecolor="face")
    bar.set_label(trace.get("colorbar", {}).get("title", {}).get("text", ""))


def values_of(given: Any) -> npt.NDArray[np.float64]:
    """A numeric array from plotly's binary form or a plain list; null becomes NaN."""
    if isinstance(given, Mapping):
        return np.frombuffer(base64.b64decode(given["bdata"]), dtype=given["dtype"]).astype(np.float64)
    return np.array([np.nan if value is None else value for value in given], dtype=np.float64)


def coordinates(given: Any, dated: bool) -> Any:
    """Values along an axis; times are milliseconds or ISO days."""
    if not dated:
        return values_of(given)
    if not isinstance(given, Mapping) and len(given) and isinstance(given[0], str):
        return np.array([text.removesuffix("Z") for text in given], dtype="datetime64[ms]")
    return values_of(given).astype(np.int64).astype("datetime64[ms]")


def _colours(given: Any, otherwise: Any) -> Any:
    if isinstance(given, str) or given is None:
        return otherwise
    return [colour_of(one) for one in given]


def colour_of(given: Any) -> Any:
    """A colour Matplotlib takes, from `#rrggbb` or `rgba(r,g,b,a)`; the first of a list."""
    if isinstance(given, (list, tuple)):
        return colour_of(given[0]) if given else INK
    text = str(given)
    if text.startswith("rgb"):
        parts = [float(part) for part in text[text.index("(") + 1 : -1].split(",")]
        return (parts[0] / 255, parts[1] / 255, parts[2] / 255, parts[3] if len(parts) > 3 else 1.0)
    return text

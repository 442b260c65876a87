"""The page every report is made of: one look, one self-contained HTML file, no network.

A report is a list of `Section`s; a section is a list of blocks made by `cards`, `table`, `figure`, `columns`
and `paragraph`. Text is escaped by the helpers. Plotly's script is inlined once, only when there is a figure.
"""

from __future__ import annotations

import base64
import html
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import count
from pathlib import Path
from typing import Any, Literal, NewType

import numpy as np
import numpy.typing as npt
import orjson

from qtm.errors import StoreError

Html = NewType("Html", str)
"""Markup that is safe to put on the page; made by this module's functions."""

Tone = Literal["", "good", "bad", "warn", "muted"]

INK, MUTED, GRID = "#18212b", "#5b6876", "#e3e8ee"
ACCENT, GOOD, BAD, WARN, NEUTRAL = "#1f5fbf", "#17795a", "#b93a32", "#a86a00", "#9aa6b2"
SERIES = ("#1f5fbf", "#d9822b", "#17795a", "#8a4fbf", "#b93a32", "#3a8fb7", "#7a8794", "#c2a000")
"""Colours of lines and bars: one ink, one accent, and a qualitative list for several series."""

_FIGURE_NUMBERS = count(1)


@dataclass(frozen=True, slots=True)
class Section:
    """A titled box of the page; `note` is one sentence under the title."""

    title: str
    blocks: Sequence[Html]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """One key figure: label, formatted value, a short hint, and whether it is good or bad news."""

    label: str
    value: str
    hint: str = ""
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """A table cell with a tone; plain values need no `Cell`."""

    text: str
    tone: Tone = ""
    background: str = ""


def cards(items: Iterable[Card]) -> Html:
    """A row of key figures."""
    parts = [
        f'<div class="card"><div class="label">{html.escape(card.label)}</div>'
        f'<div class="value {card.tone}">{html.escape(card.value)}</div>'
        f'<div class="hint">{html.escape(card.hint)}</div></div>'
        for card in items
    ]
    return Html(f'<div class="cards">{"".join(parts)}</div>')


def table(
    headers: Sequence[str],
    rows: Iterable[Sequence[str | Cell]],
    *,
    text_columns: int = 1,
    caption: str = "",
    tall: bool = False,
) -> Html:
    """A table of formatted cells; the first `text_columns` are words, the rest numbers aligned right.

    `tall` makes a long table scroll inside its box on screen; print shows all of it.
    """

    def cell(index: int, value: str | Cell) -> str:
        item = value if isinstance(value, Cell) else Cell(value)
        kind = "text" if index < text_columns else "number"
        style = f' style="background:{html.escape(item.background)}"' if item.background else ""
        return f'<td class="{kind} {item.tone}"{style}>{html.escape(item.text)}</td>'

    head = "".join(
        f'<th class="{"text" if i < text_columns else "number"}">{html.escape(h)}</th>'
        for i, h in enumerate(headers)
    )
    body = "".join(f"<tr>{''.join(cell(i, v) for i, v in enumerate(row))}</tr>" for row in rows)
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return Html(
        f'<div class="scroll{" tall" if tall else ""}"><table>{title}'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def definitions(items: Mapping[str, str], *, caption: str = "") -> Html:
    """A two-column table of names and values in words."""
    return table(("", ""), [(name, value) for name, value in items.items()], text_columns=2, caption=caption)


def paragraph(text: str, tone: Tone = "") -> Html:
    """A paragraph of plain text."""
    return Html(f'<p class="{tone}">{html.escape(text)}</p>')


def columns(*blocks: Html) -> Html:
    """Blocks side by side where the page is wide enough."""
    return Html(f'<div class="columns">{"".join(f"<div>{block}</div>" for block in blocks)}</div>')


def numbers(values: npt.ArrayLike, *, precise: bool = False) -> dict[str, str]:
    """A numeric array in plotly's compact binary form; single precision unless `precise` (times need it)."""
    array = np.ascontiguousarray(values, dtype=np.float64 if precise else np.float32)
    return {"dtype": "f8" if precise else "f4", "bdata": base64.b64encode(array.tobytes()).decode()}


def times(open_time_ms: npt.ArrayLike) -> dict[str, str]:
    """A time axis from milliseconds; use with an axis of type `date`."""
    return numbers(open_time_ms, precise=True)


def figure(
    data: Sequence[Mapping[str, Any]], layout: Mapping[str, Any] | None = None, *, height: int = 320
) -> Html:
    """A plotly figure of plain trace and layout dictionaries (see plotly's figure reference).

    The page's fonts, colours and margins are defaults underneath `layout`.
    """
    number = next(_FIGURE_NUMBERS)
    merged = _merge(_base_layout(height), layout or {})
    content = orjson.dumps({"data": list(data), "layout": merged}, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    # `<` never appears in the script, so no text in a figure can close the script element.
    content = content.replace("<", "\\u003c")
    return Html(
        f'<div class="figure" id="figure-{number}" style="height:{height}px"></div>'
        f'<script type="application/json" data-figure="figure-{number}">{content}</script>'
    )


def _base_layout(height: int) -> dict[str, Any]:
    axis = {
        "gridcolor": GRID, "linecolor": GRID, "zerolinecolor": "#cfd7df", "automargin": True,
        "title": {"font": {"size": 12, "color": MUTED}, "standoff": 8},
    }  # fmt: skip
    return {
        "height": height,
        "margin": {"l": 56, "r": 16, "t": 12, "b": 36},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {
            "family": "Inter, system-ui, -apple-system, Segoe UI, Arial, sans-serif",
            "size": 12,
            "color": INK,
        },
        "colorway": list(SERIES),
        "hovermode": "x unified",
        "hoverlabel": {"bgcolor": "#ffffff", "bordercolor": GRID, "font": {"size": 12}},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "#c3ccd5", "activecolor": ACCENT},
        "xaxis": dict(axis),
        "yaxis": dict(axis),
    }


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if below is None and key[:5] in ("xaxis", "yaxis"):
            below = base[key[:5]]
        merged[key] = (
            _merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
        )
    return merged


_DRAW = """
for (const source of document.querySelectorAll('script[data-figure]')) {
  const figure = JSON.parse(source.textContent);
  Plotly.newPlot(source.dataset.figure, figure.data, figure.layout,
    {responsive: true, displaylogo: false, modeBarButtonsToRemove: ['select2d', 'lasso2d', 'autoScale2d']});
}
addEventListener('beforeprint', () => {
  for (const box of document.querySelectorAll('.figure')) Plotly.Plots.resize(box);
});
"""


@cache
def _plotly_script() -> str:
    return (files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")


@cache
def _style() -> str:
    return (files("qtm.reports") / "page.css").read_text(encoding="utf-8")


def render_page(title: str, subtitle: str, sections: Iterable[Section], *, footer: str = "") -> str:
    """One self-contained HTML page."""
    boxes = []
    for section in sections:
        note = f'<p class="note">{html.escape(section.note)}</p>' if section.note else ""
        boxes.append(
            f"<section><h2>{html.escape(section.title)}</h2>{note}{''.join(section.blocks)}</section>"
        )
    body = "\n".join(boxes)
    drawing = (
        f"<script>{_plotly_script()}</script>\n<script>{_DRAW}</script>" if "data-figure=" in body else ""
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_style()}</style>\n</head>\n"
        f"<body><main>\n<header><h1>{html.escape(title)}</h1><p>{html.escape(subtitle)}</p></header>\n"
        f"{body}\n<footer>{html.escape(footer)}</footer>\n</main>\n{drawing}\n</body>\n</html>\n"
    )


def write_report(path: Path, page: str) -> Path:
    """Write `page` so that a reader sees the old file or the whole new one; returns `path`.

    Raises
    ------
    StoreError
        When the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(page)
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StoreError(
            f"the report cannot be written: {error.strerror}",
            where=str(path),
            remedy="free or unlock the disk",
        ) from error
    return path

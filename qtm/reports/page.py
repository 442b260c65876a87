"""Reports as HTML: one look, one self-contained file, no network.

Text is escaped here. Plotly's script is inlined once, only when there is a figure.
"""

from __future__ import annotations

import html
import os
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from itertools import count
from pathlib import Path
from typing import Any

import orjson

from qtm.errors import StoreError
from qtm.reports.blocks import (
    ACCENT,
    BAD,
    GOOD,
    GRID,
    INK,
    MUTED,
    PAPER,
    SERIES,
    WARN,
    ZERO,
    Block,
    Card,
    Cards,
    Cell,
    Columns,
    Document,
    Figure,
    Paragraph,
    Section,
    Table,
)

_ONE_LINE, _A_SENTENCE = 17, 40
"""Characters of a cell of words that never wraps, and of one that is given room to."""


def render_page(document: Document) -> str:
    """One self-contained HTML page."""
    figure_numbers = count(1)
    body = "\n".join(_section(section, figure_numbers) for section in document.sections)
    drawing = (
        f"<script>{_plotly_script()}</script>\n<script>{_drawing_script()}</script>"
        if "data-figure=" in body
        else ""
    )
    title, subtitle = html.escape(document.title), html.escape(document.subtitle)
    closing = " ".join(text for text in (document.footer, document.lineage) if text)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{title}</title>\n<style>{_style()}</style>\n</head>\n"
        f"<body><main>\n<header><h1>{title}</h1><p>{subtitle}</p></header>\n"
        f"{body}\n<footer>{html.escape(closing)}</footer>\n</main>\n{drawing}\n</body>\n</html>\n"
    )


def write_report(path: Path, content: str | bytes) -> Path:
    """Write `content` so that a reader sees the old file or the whole new one; returns `path`.

    Raises
    ------
    StoreError
        When the folder cannot be written.
    """
    raw = content.encode() if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(raw)
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


def _section(section: Section, figure_numbers: Iterator[int]) -> str:
    note = f'<p class="note">{html.escape(section.note)}</p>' if section.note else ""
    blocks = "".join(_block(block, figure_numbers) for block in section.blocks)
    return f"<section><h2>{html.escape(section.title)}</h2>{note}{blocks}</section>"


def _block(block: Block, figure_numbers: Iterator[int]) -> str:
    match block:
        case Cards():
            return f'<div class="cards">{"".join(_card(card) for card in block.items)}</div>'
        case Table():
            return _table(block)
        case Figure():
            return _figure(block, next(figure_numbers))
        case Paragraph():
            return f'<p class="{block.tone}">{html.escape(block.text)}</p>'
        case Columns():
            sides = "".join(f"<div>{_block(side, figure_numbers)}</div>" for side in block.blocks)
            return f'<div class="columns">{sides}</div>'


def _card(card: Card) -> str:
    return (
        f'<div class="card"><div class="label">{html.escape(card.label)}</div>'
        f'<div class="value {card.tone}">{html.escape(card.value)}</div>'
        f'<div class="hint">{html.escape(card.hint)}</div></div>'
    )


def _table(table: Table) -> str:
    head = "".join(
        f'<th class="{_kind(table, i)}">{html.escape(name)}</th>' for i, name in enumerate(table.headers)
    )
    body = "".join(
        f"<tr>{''.join(_cell(cell, _kind(table, i)) for i, cell in enumerate(row))}</tr>"
        for row in table.rows
    )
    title = f"<caption>{html.escape(table.caption)}</caption>" if table.caption else ""
    return (
        f'<div class="scroll{" tall" if table.tall else ""}"><table>{title}'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _kind(table: Table, column: int) -> str:
    return "text" if column < table.text_columns else "number"


def _cell(cell: Cell, kind: str) -> str:
    style = ""
    if cell.colour:
        colour = html.escape(cell.colour)
        bar = f"linear-gradient(90deg,{colour} {cell.share:.1%},transparent {cell.share:.1%})"
        style = f' style="background:{colour if cell.share >= 1.0 else bar}"'
    return f'<td class="{kind}{_width(cell, kind)} {cell.tone}"{style}>{html.escape(cell.text)}</td>'


def _width(cell: Cell, kind: str) -> str:
    """Days, times and single words stay on one line; a table that is wider than its box scrolls."""
    if kind != "text":
        return ""
    return " whole" if len(cell.text) <= _ONE_LINE else " long" if len(cell.text) > _A_SENTENCE else ""


def _figure(figure: Figure, number: int) -> str:
    merged = _merge(_base_layout(figure.height), figure.layout)
    content = orjson.dumps(
        {"data": list(figure.data), "layout": merged}, option=orjson.OPT_SERIALIZE_NUMPY
    ).decode()
    # `<` never appears in the script, so no text in a figure can close the script element.
    content = content.replace("<", "\\u003c")
    return (
        f'<div class="figure" id="figure-{number}" style="height:{figure.height}px"></div>'
        f'<script type="application/json" data-figure="figure-{number}">{content}</script>'
    )


def _base_layout(height: int) -> dict[str, Any]:
    axis = {
        "gridcolor": GRID, "linecolor": GRID, "zerolinecolor": ZERO, "automargin": True,
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
        "hoverlabel": {"bgcolor": PAPER, "bordercolor": GRID, "font": {"size": 12}},
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


_IN_THE_DARK = {
    INK: "#e4e9ef", MUTED: "#97a5b4", GRID: "#2c3744", PAPER: "#19212b", ZERO: "#465362",
    ACCENT: "#6aa3f2", GOOD: "#46b88f", BAD: "#e8766e", WARN: "#d9a24a",
}  # fmt: skip
"""The colours of figures where the reader's screen is dark, as in `page.css`."""

_DRAW = """
const dark = matchMedia('(prefers-color-scheme: dark)'), night = %s;
function draw(isDark) {
  for (const source of document.querySelectorAll('script[data-figure]')) {
    let text = source.textContent;
    if (isDark) for (const [day, colour] of Object.entries(night)) text = text.replaceAll(day, colour);
    const figure = JSON.parse(text);
    Plotly.react(source.dataset.figure, figure.data, figure.layout,
      {responsive: true, displaylogo: false, modeBarButtonsToRemove: ['select2d', 'lasso2d', 'autoScale2d']});
  }
}
draw(dark.matches);
dark.addEventListener('change', () => draw(dark.matches));
addEventListener('beforeprint', () => {
  if (dark.matches) draw(false);
  for (const box of document.querySelectorAll('.figure')) Plotly.Plots.resize(box);
});
addEventListener('afterprint', () => { if (dark.matches) draw(true); });
"""


def _drawing_script() -> str:
    return _DRAW % orjson.dumps(_IN_THE_DARK).decode()


@cache
def _plotly_script() -> str:
    return (files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")


@cache
def _style() -> str:
    return (files("qtm.reports") / "page.css").read_text(encoding="utf-8")

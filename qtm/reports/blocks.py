"""The words every report is written in; `page` shows them as HTML and `pdf` prints them.

A report is a `Document`: a title and a list of `Section`s. A section is a list of blocks made by `cards`,
`table`, `definitions`, `figure`, `columns` and `paragraph`. Blocks hold plain text and numbers; whoever shows
them escapes.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Tone = Literal["", "good", "bad", "warn", "muted"]

INK, MUTED, GRID, ZERO, PAPER = "#18212b", "#5b6876", "#e3e8ee", "#cfd7df", "#ffffff"
ACCENT, GOOD, BAD, WARN, NEUTRAL = "#1f5fbf", "#17795a", "#b93a32", "#a86a00", "#9aa6b2"
SERIES = ("#1f5fbf", "#d9822b", "#17795a", "#8a4fbf", "#b93a32", "#3a8fb7", "#7a8794", "#c2a000")
"""Colours of lines and bars: one ink, one accent, and a qualitative list for several series."""


@dataclass(frozen=True, slots=True)
class Card:
    """One key figure: label, formatted value, a short hint, and whether it is good or bad news."""

    label: str
    value: str
    hint: str = ""
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """A table cell with a tone; plain values need no `Cell`.

    Attributes
    ----------
    colour
        Background, `#rrggbb` or `#rrggbbaa`; none when empty.
    share
        How much of the cell's width the background covers, from the left, for a bar inside the cell.
    """

    text: str
    tone: Tone = ""
    colour: str = ""
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Cards:
    """A row of key figures."""

    items: tuple[Card, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first `text_columns` are words, the rest numbers aligned right.

    `tall` makes a long table scroll inside its box on screen; print shows all of it.
    """

    headers: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    text_columns: int
    caption: str
    tall: bool


@dataclass(frozen=True, slots=True)
class Figure:
    """A plotly figure of plain trace and layout dictionaries; `height` in screen pixels."""

    data: tuple[Mapping[str, Any], ...]
    layout: Mapping[str, Any]
    height: int


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph of plain text."""

    text: str
    tone: Tone


@dataclass(frozen=True, slots=True)
class Columns:
    """Blocks side by side where the page is wide enough."""

    blocks: tuple[Block, ...]


Block = Cards | Table | Figure | Paragraph | Columns


@dataclass(frozen=True, slots=True)
class Section:
    """A titled box of the page; `note` is one sentence under the title.

    In print a section with `new_page` starts on a page of its own.
    """

    title: str
    blocks: Sequence[Block]
    note: str = ""
    new_page: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report, before anyone decides on HTML or PDF.

    Attributes
    ----------
    footer
        The conventions behind the figures, once, at the end.
    lineage
        What the report was made from in a few words; on every printed page.
    """

    title: str
    subtitle: str
    sections: Sequence[Section]
    footer: str = ""
    lineage: str = ""


def tone_of(value: float) -> Tone:
    """Good for a gain, bad for a loss, neither for nothing (or for no number)."""
    return "good" if value > 0 else "bad" if value < 0 else ""


def cards(items: Iterable[Card]) -> Cards:
    """A row of key figures."""
    return Cards(tuple(items))


def table(
    headers: Sequence[str],
    rows: Iterable[Sequence[str | Cell]],
    *,
    text_columns: int = 1,
    caption: str = "",
    tall: bool = False,
) -> Table:
    """A table of formatted cells; see `Table` for the options."""
    cells = tuple(tuple(value if isinstance(value, Cell) else Cell(value) for value in row) for row in rows)
    return Table(tuple(headers), cells, text_columns, caption, tall)


def definitions(items: Mapping[str, str], *, caption: str = "") -> Table:
    """A two-column table of names and values in words."""
    return table(("", ""), [(name, value) for name, value in items.items()], text_columns=2, caption=caption)


def paragraph(text: str, tone: Tone = "") -> Paragraph:
    """A paragraph of plain text."""
    return Paragraph(text, tone)


def columns(*blocks: Block) -> Columns:
    """Blocks side by side where the page is wide enough."""
    return Columns(blocks)


def figure(
    data: Sequence[Mapping[str, Any]], layout: Mapping[str, Any] | None = None, *, height: int = 320
) -> Figure:
    """A plotly figure of plain trace and layout dictionaries (see plotly's figure reference).

    The page's fonts, colours and margins are defaults underneath `layout`. In print
    `qtm.reports.vector_chart` draws it; that module names the traces and options it knows.
    """
    return Figure(tuple(data), layout or {}, height)


def numbers(values: npt.ArrayLike, *, precise: bool = False) -> dict[str, str]:
    """A numeric array in plotly's compact binary form; single precision unless `precise` (times need it)."""
    array = np.ascontiguousarray(values, dtype=np.float64 if precise else np.float32)
    return {"dtype": "f8" if precise else "f4", "bdata": base64.b64encode(array.tobytes()).decode()}


def times(open_time_ms: npt.ArrayLike) -> dict[str, str]:
    """A time axis from milliseconds; use with an axis of type `date`."""
    return numbers(open_time_ms, precise=True)

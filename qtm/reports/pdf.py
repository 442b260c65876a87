"""Reports as PDF: the same `Document` a page is made of, paginated, with charts as vectors.

`report.typ` says how it looks; Typst, a typesetter in one wheel, sets it. No browser and no fonts of the
machine are needed: text and charts use the DejaVu Sans that Matplotlib carries.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from importlib.resources import files
from itertools import count
from pathlib import Path
from typing import Any

import orjson

from qtm.clock import iso_utc
from qtm.errors import StoreError
from qtm.reports.blocks import (
    BAD,
    GOOD,
    GRID,
    INK,
    MUTED,
    WARN,
    Block,
    Cards,
    Columns,
    Document,
    Figure,
    Paragraph,
    Table,
)
from qtm.reports.page import write_report
from qtm.reports.vector_chart import chart_svg

_COLOURS = {"ink": INK, "muted": MUTED, "line": GRID, "good": GOOD, "bad": BAD, "warn": WARN}
_WIDTH_MM = 180.0
_GUTTER_MM = 5.0


def write_pdf(path: Path, document: Document, *, made_ms: int) -> Path:
    """Print `document` to `path` so that a reader sees the old file or the whole new one; returns `path`.

    Parameters
    ----------
    made_ms
        When the report was made, for the footer of every page. The same document and time give the same
        bytes.

    Raises
    ------
    StoreError
        When the file cannot be written.
    """
    return write_report(path, pdf_bytes(document, made_ms=made_ms))


def pdf_bytes(document: Document, *, made_ms: int) -> bytes:
    """The PDF itself; see `write_pdf`."""
    import typst  # 30 MB of typesetter, only for those who print

    with tempfile.TemporaryDirectory(prefix="qtm-pdf-") as name:
        folder = Path(name)
        content = _Content(folder)
        made = f"made {iso_utc(made_ms)[:16].replace('T', ' ')} UTC"
        body = {
            "title": document.title,
            "subtitle": document.subtitle,
            "footer": document.footer,
            "footing": " · ".join(text for text in (made, document.lineage) if text),
            "colours": _COLOURS,
            "sections": [
                {
                    "title": section.title,
                    "note": section.note,
                    "new_page": section.new_page,
                    "blocks": [content.of(block, _WIDTH_MM) for block in section.blocks],
                }
                for section in document.sections
            ],
        }
        (folder / "document.json").write_bytes(orjson.dumps(body))
        template = folder / "report.typ"
        template.write_bytes((files("qtm.reports") / "report.typ").read_bytes())
        try:
            printed = typst.compile(
                template,
                root=folder,
                font_paths=[_fonts()],
                ignore_system_fonts=True,
                timestamp=made_ms // 1000,
            )
        except typst.TypstError as error:
            raise StoreError(
                f"the report cannot be printed: {error.message}",
                where=document.title,
                remedy="read the HTML page of the same report, and report this as a defect",
            ) from error
    assert isinstance(printed, bytes)
    return printed


def _fonts() -> Path:
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf"


class _Content:
    """Blocks as plain data for the template, with each chart in a file of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count(1)

    def of(self, block: Block, width_mm: float) -> dict[str, Any]:
        match block:
            case Cards():
                return {"kind": "cards", "items": [asdict(card) for card in block.items]}
            case Table():
                return {
                    "kind": "table",
                    "caption": block.caption,
                    "headers": block.headers,
                    "words": block.text_columns,
                    "rows": [[asdict(cell) for cell in row] for row in block.rows],
                }
            case Figure():
                file = f"figure-{next(self._numbers)}.svg"
                (self._folder / file).write_bytes(chart_svg(block, width_mm))
                return {"kind": "figure", "file": file}
            case Paragraph():
                return {"kind": "paragraph", "text": block.text, "tone": block.tone}
            case Columns():
                sides = len(block.blocks)
                each = (width_mm - _GUTTER_MM * (sides - 1)) / sides
                return {"kind": "columns", "blocks": [self.of(side, each) for side in block.blocks]}

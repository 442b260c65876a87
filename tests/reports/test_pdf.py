"""A printed report says what the page says: every word, every row, charts as vectors, pages numbered."""

import io

import pytest
from pypdf import PdfReader

from qtm.errors import DataError, StoreError
from qtm.reports.blocks import (
    Block,
    Card,
    Cell,
    Document,
    Section,
    cards,
    columns,
    definitions,
    figure,
    numbers,
    paragraph,
    table,
    times,
)
from qtm.reports.pdf import pdf_bytes, write_pdf
from qtm.reports.vector_chart import chart_svg

MADE_MS = 1_735_689_600_000  # 2025-01-01T00:00Z
DAYS = times([MADE_MS + 86_400_000 * day for day in range(5)])


def document(*blocks: Block) -> Document:
    return Document(
        "A report", "of a day", [Section("Its section", list(blocks), "a note")], "the end", "bars 7"
    )


def text(printed: bytes) -> list[str]:
    return [page.extract_text() for page in PdfReader(io.BytesIO(printed)).pages]


def test_every_block_is_printed_with_its_words():
    printed = pdf_bytes(
        document(
            cards([Card("CVaR", "2.39 %", "of capital", "bad")]),
            columns(paragraph("left words", "muted"), definitions({"Lake": "the lake"})),
            table(
                ["Limit", "Use"], [["Largest weight", Cell("80 %", "warn", "#f7e6c8", 0.8)]], caption="Limits"
            ),
        ),
        made_ms=MADE_MS,
    )
    (page,) = text(printed)
    for words in ("A report", "of a day", "Its section", "a note", "CVaR", "2.39 %", "of capital",
                  "left words", "the lake", "Largest weight", "80 %", "Limits", "the end"):  # fmt: skip
        assert words in page, words
    assert "made 2025-01-01 00:00 UTC · bars 7" in page and "1 / 1" in page


def test_text_is_never_markup():
    evil = '#panic("x") $a$ *b* <c> @d \\ "e" // f'
    (page,) = text(pdf_bytes(document(paragraph(evil), table([evil], [[evil]])), made_ms=MADE_MS))
    assert page.count("#panic(") == 3 and "*b*" in page and "// f" in page


def test_a_long_table_repeats_its_header_on_every_page():
    rows = [[f"row {number}", f"{number}"] for number in range(300)]
    pages = text(pdf_bytes(document(table(["Trade", "Profit"], rows, tall=True)), made_ms=MADE_MS))
    assert len(pages) > 2
    assert all("Trade" in page and f"{number} / {len(pages)}" in page for number, page in enumerate(pages, 1))
    assert "row 299" in pages[-1]


def test_the_same_document_and_time_give_the_same_bytes():
    chart = figure([{"type": "scatter", "name": "a", "x": DAYS, "y": numbers([1, 2, 3, 2, 4])}])
    one = document(chart, paragraph("x"))
    assert pdf_bytes(one, made_ms=MADE_MS) == pdf_bytes(one, made_ms=MADE_MS)
    assert pdf_bytes(one, made_ms=MADE_MS) != pdf_bytes(one, made_ms=MADE_MS + 60_000)


TRACES = {
    "line": {"type": "scatter", "x": DAYS, "y": numbers([1, 2, 3, 2, 4]), "fill": "tozeroy"},
    "markers": {"type": "scattergl", "mode": "markers", "x": [1, 2], "y": [3, None],
                "marker": {"symbol": "triangle-up"}},
    "bars": {"type": "bar", "orientation": "h", "y": ["BTC", "ETH"], "x": [0.1, 0.2],
             "text": ["10 %", "20 %"]},
    "histogram": {"type": "histogram", "x": numbers([1, 1, 2, 3]), "nbinsx": 3},
    "heatmap": {"type": "heatmap", "x": ["a", "b"], "y": ["c"], "z": [[0.1, 0.9]], "zmid": 0.5},
}  # fmt: skip


@pytest.mark.parametrize("kind", TRACES)
def test_every_kind_of_trace_becomes_a_vector_with_its_names(kind):
    dated = {"xaxis": {"type": "date"}} if kind == "line" else {}
    drawn = chart_svg(figure([{**TRACES[kind], "name": kind}], dated), 120).decode()
    assert drawn.startswith("<?xml") and "<image" not in drawn
    if kind == "bars":
        assert ">BTC<" in drawn and ">20 %<" in drawn


def test_panels_keep_their_order_and_their_own_scales():
    lines = [
        {"type": "scatter", "name": "Equity", "x": DAYS, "y": numbers([100, 110, 99, 120, 130])},
        {"type": "scatter", "name": "Fall", "x": DAYS, "y": numbers([0, 0, -0.1, 0, 0]), "yaxis": "y2"},
    ]
    layout = {
        "xaxis": {"type": "date"},
        "yaxis": {"domain": [0.4, 1], "title": {"text": "USDT"}},
        "yaxis2": {"domain": [0, 0.3], "tickformat": ".0%", "title": {"text": "Drawdown"}},
    }
    drawn = chart_svg(figure(lines, layout), 180).decode()
    assert 0 < drawn.index(">USDT<") < drawn.index(">Drawdown<")
    assert ">100<" in drawn and "%<" in drawn


def test_capital_on_a_logarithmic_axis_is_written_out_and_lines_stay_in_their_panel():
    traces = [
        {"type": "scatter", "name": name, "x": [1e4, 1e6, 1e8], "y": values, "yaxis": upright}
        for name, values, upright in (("Sharpe", [30, 20, 10], "y"), ("Filled", [1, 0.9, 0.2], "y2"))
    ]
    layout = {
        "xaxis": {"type": "log"},
        "yaxis": {"domain": [0.5, 1]},
        "yaxis2": {"domain": [0, 0.4], "tickformat": ".0%"},
        "shapes": [{"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": "y2", "y0": 0.5, "y1": 0.5}],
    }
    drawn = chart_svg(figure(traces, layout), 180).decode()
    assert ">1,000,000<" in drawn and "mathdefault" not in drawn and ">100%<" in drawn
    assert ">0<" not in drawn  # the line at a half would stretch the upper panel down to it


def test_a_trace_nobody_can_draw_is_refused_by_name():
    with pytest.raises(DataError, match="sunburst"):
        chart_svg(figure([{"type": "sunburst"}]), 120)


def test_a_printed_report_replaces_the_old_one_whole(tmp_path):
    target = tmp_path / "report.pdf"
    write_pdf(target, document(paragraph("one")), made_ms=MADE_MS)
    write_pdf(target, document(paragraph("two")), made_ms=MADE_MS)
    assert "two" in text(target.read_bytes())[0] and [p.name for p in tmp_path.iterdir()] == ["report.pdf"]
    blocker = tmp_path / "file"
    blocker.write_text("x")
    with pytest.raises(StoreError):
        write_pdf(blocker / "report.pdf", document(paragraph("x")), made_ms=MADE_MS)

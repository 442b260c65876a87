"""Metadata a person reads in Dagster's UI."""

from __future__ import annotations

import base64

import polars as pl

from assets.presentation import plot, table, thinned


def test_a_table_aligns_numbers_and_says_what_it_left_out():
    frame = pl.DataFrame({"symbol": ["A|B", "C", "D"], "bars": [1440, None, 3]})
    assert table(frame, limit=2).value.splitlines() == [
        "| symbol | bars |",
        "|:--|--:|",
        "| A\\|B | 1,440 |",
        "| C |  |",
        "",
        "1 more rows",
    ]
    assert table([]).value == "none"


def test_a_plot_is_a_png_inside_the_metadata():
    with plot("title") as (picture, axis):
        axis.plot([1, 2, 3])
    head, _, encoded = picture.markdown.value.partition("base64,")
    assert head == "![title](data:image/png;"
    image = base64.b64decode(encoded.rstrip(")"))
    assert image.startswith(b"\x89PNG")
    assert len(image) < 40_000  # every one of them is kept in the event log


def test_thinning_keeps_the_first_point_and_about_the_limit():
    kept = list(range(10_000))[thinned(10_000, 1_000)]
    assert kept[0] == 0
    assert len(kept) == 1_000
    assert list(range(5))[thinned(5)] == [0, 1, 2, 3, 4]

"""Every public answer and stream payload of futures has the protocol's members, order, types and decimals."""

from __future__ import annotations

from pathlib import Path

from tests.paper.answer_shape import notation, shape_of
from tests.paper.um.um_tour import UmTour

PINNED = Path(__file__).with_name("um_answer_shapes.txt")


async def test_each_answer_is_pinned() -> None:
    pinned = dict(line.split(" = ", 1) for line in PINNED.read_text().splitlines() if line and line[0] != "#")
    found = {name: notation(shape_of(body)) for name, body in (await UmTour().make()).items()}
    assert found.keys() == pinned.keys()
    assert {name: shape for name, shape in found.items() if shape != pinned[name]} == {}

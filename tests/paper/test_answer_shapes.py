"""Every answer, stream payload and user event of spot has the protocol's members, order and types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.paper.answer_shape import notation, shape_of
from tests.paper.tour import Tour

PINNED = Path(__file__).with_name("answer_shapes.txt")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seen() -> dict[str, Any]:
    return await Tour().make()


@pytest.mark.asyncio(loop_scope="module")
async def test_each_answer_is_pinned(seen: dict[str, Any]) -> None:
    pinned = dict(line.split(" = ", 1) for line in PINNED.read_text().splitlines() if line and line[0] != "#")
    found = {name: notation(shape_of(body)) for name, body in seen.items()}
    assert found.keys() == pinned.keys()
    assert {name: shape for name, shape in found.items() if shape != pinned[name]} == {}

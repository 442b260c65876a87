"""Compare the shapes of our answers and frames with recorded ones of the venue, which are not in the project.

    python -m tests.paper.compare_recordings FOLDER

`FOLDER/reference/rest_answers*.json.gz` holds `{"routes": {path: {METHOD: [{"data": answer}]}}}` with members
in alphabetical order, those of orders being the documentation's samples; `FOLDER/recorded/**/*.gz` hold
`<time> <json>` frames of combined streams, in the venue's order. Prints what is different, and ends with 1
when anything is.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.paper.answer_shape import Shape, differences, shape_of
from tests.paper.tour import Tour

NEWER = {
    "GET account", "GET order", "GET openOrders", "GET allOrders", "DELETE order", "GET avgPrice",
    "GET exchangeInfo",
}  # fmt: skip
"""Answers whose recordings are older than members the venue has added since: only what is missing counts."""

REPLACED = {"@trade": {"a", "b"}}
"""Members the venue has taken away since."""


def recorded_answers(folder: Path) -> Iterator[tuple[str, Any]]:
    """`METHOD path` and one recorded answer each."""
    for path in sorted((folder / "reference").glob("rest_answers*.json.gz")):
        routes = json.loads(gzip.decompress(path.read_bytes()))["routes"]
        for route, methods in routes.items():
            if route.startswith("/api/v3/"):
                for method, answers in methods.items():
                    for answer in answers:
                        yield f"{method} {route.removeprefix('/api/v3/')}", answer["data"]


def recorded_frames(folder: Path) -> Iterator[tuple[str, Any]]:
    """`@stream` and one recorded payload each; REST snapshots between the frames are `GET depth`."""
    for path in sorted((folder / "recorded").rglob("*.gz")):
        if "usdm" in path.name.lower() or "futures" in path.name.lower():
            continue
        with gzip.open(path, "rt") as lines:
            for line in lines:
                _, _, text = line.partition(" ")
                try:
                    message = json.loads(text)
                except ValueError:
                    continue
                if "stream" in message:
                    yield "@" + message["stream"].partition("@")[2], message["data"]
                elif isinstance(message, dict) and "lastUpdateId" in message:
                    yield "GET depth", message


def compare(ours: dict[str, Shape], name: str, theirs: Any, *, ordered: bool) -> list[str]:
    """What is different in our answer of this name."""
    shape = shape_of(theirs)
    if name not in ours or shape in ("null", {}, []):
        return []
    mine = ours[name]
    if isinstance(shape, list) and isinstance(mine, dict):
        mine = [mine]
    if isinstance(shape, dict):
        shape = {key: value for key, value in shape.items() if key not in REPLACED.get(name, ())}
    found = differences(mine, shape, ordered=ordered, where=name)
    if "rder" in name:  # the documentation writes 1.0 where the venue writes 1.00000000
        found = [line for line in found if not line.endswith("is d8, theirs d1")]
    return [line for line in found if name not in NEWER or not line.endswith("is not theirs")]


async def main(folder: Path) -> int:
    """Compare everything; the number of differences, 1 at most."""
    ours = {name: shape_of(body) for name, body in (await Tour().make()).items()}
    ours["GET openOrders"] = ours["GET allOrders"]
    found: dict[str, None] = {}
    compared: dict[str, int] = {}
    for source, ordered in ((recorded_answers(folder), False), (recorded_frames(folder), True)):
        for name, theirs in source:
            if name in ours and '"": ' not in json.dumps(theirs):  # damaged when it was collected
                compared[name] = compared.get(name, 0) + 1
                found |= dict.fromkeys(compare(ours, name, theirs, ordered=ordered))
    for name, count in sorted(compared.items()):
        sys.stdout.write(f"{name}: {count} recorded\n")
    for line in found:
        sys.stdout.write(f"DIFFERENT {line}\n")
    return 1 if found or not compared else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(asyncio.run(main(Path(sys.argv[1]))))

"""Compare the shapes of our answers and frames with recorded ones of the venue, which are not in the project.

    python -m tests.paper.compare_recordings FOLDER

`FOLDER/reference/rest_answers*.json.gz` holds `{"routes": {path: {METHOD: [{"data": answer}]}}}` with members
in alphabetical order, those of orders being the documentation's samples; `FOLDER/recorded/**/*.gz` hold
`<time> <json>` frames of combined streams, in the venue's order, and `messages.json` single ones by title.
Prints what is different in either market, and ends with 1 when anything is.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from tests.paper.answer_shape import Shape, differences, shape_of
from tests.paper.recordings import recordings
from tests.paper.tour import Tour
from tests.paper.um.um_tour import UmTour

NEWER = {
    "GET account", "GET order", "GET openOrders", "GET allOrders", "DELETE order", "GET avgPrice",
    "GET exchangeInfo",
}  # fmt: skip
"""Answers whose recordings are older than members the venue has added since: only what is missing counts."""

ADDED = {
    "um GET aggTrades": {"nq"}, "um @aggTrade": {"nq", "a"}, "um GET trades": {"isRPITrade"},
    "um GET fundingRate": {"markPrice"}, "um GET ticker/bookTicker": {"lastUpdateId"},
    "um GET ticker/bookTicker one": {"lastUpdateId"}, "um @trade": {"X"},
    "um GET basis": {"annualizedBasisRate"},
    "um @markPrice@1s": {"ap", "P", "i"}, "um GET exchangeInfo": {"maxMoveOrderLimit", "permissionSets"},
}  # fmt: skip
"""Members the venue has added since some of the recordings were made."""

REPLACED = {"@trade": {"a", "b"}, "um GET exchangeInfo": {"settlePlan"}}
"""Members the venue has taken away since."""

KEPT = {
    "um GET exchangeInfo.symbols[].filters[].minPrice is d2, theirs d0":
        "single contracts of 2021 wrote a whole number",
    "um GET exchangeInfo.assets[].autoAssetExchange is d0, theirs d8":
        "each asset has its own decimals; that of our only asset is the same",
    "um GET klines[][] is int, theirs d8": "one quote volume of 2019 with a float's noise",
    "um @depth@100ms.a[][] is d2, theirs d8": "a message of 2019 with the decimals of spot",
}  # fmt: skip
"""Differences that stay, by their beginning, with the reason."""

GRID = {"", "BTCUSDT", "ETHUSDT", "LTCUSDT"}
"""Contracts with the decimals of ours: two of a price, three of a quantity. Of others no decimals count."""


def without_decimals(shape: Shape) -> Shape:
    """A shape in which every number in a string is the same."""
    if isinstance(shape, dict):
        return {name: without_decimals(member) for name, member in shape.items()}
    if isinstance(shape, list):
        return [without_decimals(member) for member in shape]
    return "number" if shape[0] == "d" else shape


def on_our_grid(name: str, payload: Any) -> Any:
    """What of a list of contracts has the decimals of ours."""
    if isinstance(payload, dict) and name == "um GET exchangeInfo":
        same = [
            row for row in payload["symbols"] if (row["pricePrecision"], row["quantityPrecision"]) == (2, 3)
        ]
        return {**payload, "symbols": same}
    if isinstance(payload, list) and name.startswith("um ") and isinstance(payload[0], dict):
        return [row for row in payload if row.get("symbol", "") in GRID]
    return payload


def compare(
    ours: dict[str, Shape], name: str, theirs: Any, *, ordered: bool, decimals: bool = True
) -> list[str]:
    """What is different in our answer of this name."""
    shape = shape_of(theirs)
    if name not in ours or shape in ("null", {}, []):
        return []
    mine = ours[name]
    if isinstance(shape, list) and isinstance(mine, dict):
        mine = [mine]
    if not decimals:
        mine, shape = without_decimals(mine), without_decimals(shape)
    found = differences(mine, shape, ordered=ordered, where=name)
    if "rder" in name:  # the documentation writes 1.0 where the venue writes 1.00000000
        found = [line for line in found if not line.endswith("is d8, theirs d1")]
    dated = [f".{member} is not theirs" for member in ADDED.get(name, ())]
    dated += [f".{member} is missing" for member in REPLACED.get(name, ())]
    found = [line for line in found if not line.endswith(tuple(dated))]
    return [line for line in found if name not in NEWER or not line.endswith("is not theirs")]


async def main(folder: Path) -> int:
    """Compare everything; the number of differences, 1 at most."""
    seen = {**await Tour().make(), **await UmTour().make()}
    ours = {name: shape_of(body) for name, body in seen.items()}
    ours["GET openOrders"] = ours["GET allOrders"]
    found: dict[str, None] = {}
    compared: dict[str, int] = {}
    for name, theirs, ordered, symbol in recordings(folder):
        if isinstance(theirs, dict) and f"{name} one" in ours:
            name += " one"
        damaged = '"": ' in json.dumps(theirs)  # when it was collected
        refused = isinstance(theirs, dict) and "msg" in theirs
        if name not in ours or damaged or refused or not theirs:
            continue
        compared[name] = compared.get(name, 0) + 1
        decimals = not name.startswith("um ") or symbol in GRID
        payload = on_our_grid(name, theirs)
        found |= dict.fromkeys(compare(ours, name, payload, ordered=ordered, decimals=decimals))
    for name, count in sorted(compared.items()):
        sys.stdout.write(f"{name}: {count} recorded\n")
    different = 0
    for line in found:
        reason = next((why for beginning, why in KEPT.items() if line.startswith(beginning)), "")
        different += not reason
        sys.stdout.write(f"kept: {line} ({reason})\n" if reason else f"DIFFERENT {line}\n")
    return 1 if different or not compared else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(asyncio.run(main(Path(sys.argv[1]))))

"""Answers and frames recorded from the venue, which are not in the project, by the names of our tours."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

PREFIXES = {"/api/v3/": "", "/fapi/v1/": "um ", "/futures/data/": "um "}
"""Paths of the markets we have, and what a name in them begins with."""

ALIASES = {"um @markPrice": "um @markPrice@1s"}
"""Streams that differ in speed only."""

_CONTRACT = re.compile(r"[A-Z0-9]+USD[TC]")


class Recorded(NamedTuple):
    """One recording; `ordered`: its members are in the venue's order, `symbol`: whose it is, or empty."""

    name: str
    payload: Any
    ordered: bool
    symbol: str = ""


def recordings(folder: Path) -> Iterator[Recorded]:
    """Everything recorded that has a name of ours."""
    yield from _answers(folder)
    for path in sorted((folder / "recorded").rglob("*.gz")):
        futures = "usdm" in path.name.lower() or "futures" in path.name.lower()
        with gzip.open(path, "rt") as lines:
            for line in lines:
                yield from _line(line, "um " if futures else "")
    for path in sorted((folder / "recorded").glob("messages*.json")):
        for title, messages in json.loads(path.read_text()).items():
            if title == "map binance messages" or title.startswith("map binance futures"):
                for message in messages:
                    if not message.get("generated"):
                        yield from _frame(message, "um " if "futures" in title else "")


def _answers(folder: Path) -> Iterator[Recorded]:
    for path in sorted((folder / "reference").glob("rest_answers*.json.gz")):
        for route, methods in json.loads(gzip.decompress(path.read_bytes()))["routes"].items():
            prefix = next((known for known in PREFIXES if route.startswith(known)), None)
            if prefix is None:
                continue
            for method, answers in methods.items():
                for answer in answers:
                    query = answer.get("queryString") or ""
                    asked = re.search(r"(?:symbol|pair)=(\w+)", query)
                    name = f"{PREFIXES[prefix]}{method} {route.removeprefix(prefix)}"
                    # Of coin-margined contracts (asked for by pair) only the basis has the form of ours.
                    if "pair=" not in query or route.endswith("/basis"):
                        yield Recorded(name, answer["data"], ordered=False, symbol=asked[1] if asked else "")


def _line(line: str, market: str) -> Iterator[Recorded]:
    """A line of a recording: `<time> <frame>`, or `<address> -> <time>: <answer>`."""
    text = line[line.find("{") :]
    try:
        message = json.loads(text)
    except ValueError:
        return
    if "stream" in message:
        yield from _frame(message, market)
    elif line.startswith("http"):
        asked = re.match(r"\S+?/(?:api/v3|fapi/v1)/(\w+)(?:\?symbol=(\w+))?", line)
        if asked is not None and (market or asked[1] == "depth"):  # spot's newer listing is an answer
            yield Recorded(f"{market}GET {asked[1]}", message, ordered=True, symbol=asked[2] or "")
    elif "lastUpdateId" in message:
        yield Recorded(f"{market}GET depth", message, ordered=True)


def _frame(message: dict[str, Any], market: str) -> Iterator[Recorded]:
    subject, _, kind = message.get("stream", "").partition("@")
    symbol = subject.upper()
    if kind and (not market or _CONTRACT.fullmatch(symbol)):
        name = f"{market}@{kind}"
        yield Recorded(ALIASES.get(name, name), message["data"], ordered=True, symbol=symbol)

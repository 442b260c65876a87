"""What a strategy's source brings along besides the bars it is given: files, the network, the clock, numbers.

A file of prices knows the future, and so does a mean taken over it before the run. No run can show that: the
answers are the same with and without what comes later. So the source is read instead, with every module of
the author's that it imports. Names are looked for; who hides them on purpose is found out on paper only,
where there is no file of tomorrow. A trained model is such a file as well, and an honest one if it was
trained on what came before: so what is found is for a person to judge, who is not the author.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final

from qtm.backtest.look_ahead import Finding
from qtm.strategies.provenance import sources_behind
from qtm.strategies.registry import Strategy

_READS: Final = re.compile(
    r"open|(read|scan)_\w+|load|loadtxt|genfromtxt|fromfile|memmap|load_\w*(data|model)\w*|urlopen|urlretrieve"
)
"""Calls that fetch data: `open`, `pl.read_parquet`, `np.load`, `pickle.load`, `Path.read_text`."""
_SOURCES: Final = (
    "aiohttp", "ccxt", "deltalake", "duckdb", "h5py", "http", "httpx", "pyarrow", "requests", "socket",
    "sqlalchemy", "sqlite3", "subprocess", "urllib", "websockets", "yfinance", "qtm.market.delta",
    "qtm.market.lake", "qtm.market.rest", "qtm.market.source", "qtm.market.vision", "qtm.research",
    "qtm.store",
)  # fmt: skip
"""Packages that hold or fetch data."""
_CLOCKS: Final = {"datetime", "date", "time", "dt", "Timestamp", "pd", "pendulum"}
_TELLS_TIME: Final = {"now", "utcnow", "today", "time", "time_ns", "monotonic", "perf_counter"}
_MOST_NUMBERS: Final = 64
"""A longer list of numbers is data, not a rule."""
_LONGEST_TEXT: Final = 2_000


def brings_along(strategy: Strategy) -> Finding:
    """Whether the source of a strategy uses anything but parameters, bars and its own memory."""
    name = "knows nothing but its bars"
    sources = sources_behind(strategy.definition)
    if sources is None:
        return Finding(name, True, "not looked at: it has no file")
    found = [
        f"{what} [{file}:{line}]"
        for file, source in sources.items()
        for line, what in sorted(
            set(_foreign(ast.parse(source), compiled=strategy.kind in ("step", "orders")))
        )
    ]
    return Finding(
        name, not found, "; ".join(found) or f"{len(sources)} source file(s) read", acceptable=True
    )


def _foreign(tree: ast.Module, *, compiled: bool) -> Iterator[tuple[int, str]]:
    """Line and words of everything in a source that may know more than the bars."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield from _imported(node.lineno, alias.name)
            case ast.ImportFrom(module=str(module), names=names):
                for alias in names:
                    yield from _imported(node.lineno, f"{module}.{alias.name}")
                    if module == "time" and alias.name in _TELLS_TIME:
                        yield node.lineno, "looks at the clock"
            case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called)) if _READS.fullmatch(called):
                yield node.lineno, f"reads data by {called}()"
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id=base) | ast.Attribute(attr=base), attr=called)
            ) if base in _CLOCKS and called in _TELLS_TIME:
                yield node.lineno, "looks at the clock"
            case ast.Attribute(value=ast.Name(id=base), attr="random") if compiled and base in (
                "np",
                "numpy",
            ):
                yield node.lineno, "draws random numbers, which no snapshot keeps"
            case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
                yield from _carried(node.lineno, items)
            case ast.Dict(values=items):
                yield from _carried(node.lineno, items)
            case ast.Constant(value=str() | bytes() as text) if len(text) > _LONGEST_TEXT:
                yield node.lineno, f"carries a text of {len(text):,} characters"


def _imported(line: int, name: str) -> Iterator[tuple[int, str]]:
    source = next((one for one in _SOURCES if name == one or name.startswith(f"{one}.")), None)
    if source is not None:
        yield line, f"imports {source}"


def _carried(line: int, items: list[ast.expr]) -> Iterator[tuple[int, str]]:
    numbers = sum(
        isinstance(leaf, ast.Constant) and isinstance(leaf.value, int | float)
        for item in items
        for leaf in ast.walk(item)
    )
    if numbers > _MOST_NUMBERS:
        yield line, f"carries {numbers:,} numbers"

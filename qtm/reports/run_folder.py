"""A finished backtest as a folder of files: what it was made from, its figures, equity, orders and trades.

`result.json` holds lineage and statistics; `equity.parquet`, `orders.parquet` and `trades.parquet` the rest.
A folder appears whole or not at all, and `read_run` takes it back for a comparison.
"""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from qtm.backtest.standstill import Standstill
from qtm.backtest.statistics import Statistics
from qtm.errors import DataError, StoreError

FORMAT = 1


class FinishedRun(Protocol):
    """What every kind of backtest result has."""

    @property
    def lineage(self) -> Any:
        """What it was made from, a dataclass."""
        ...

    @property
    def statistics(self) -> Statistics:
        """Its figures."""
        ...

    @property
    def limit_notes(self) -> list[str]:
        """What became of its loss limits, in words."""
        ...

    @property
    def standstill(self) -> Standstill | None:
        """How it ended, if its loss limits stopped it."""
        ...

    @property
    def orders(self) -> pl.DataFrame:
        """Its orders."""
        ...

    @property
    def cash(self) -> float:
        """Capital at the start."""
        ...

    @property
    def equity(self) -> npt.NDArray[np.float64]:
        """Worth at each close."""
        ...


@dataclass(frozen=True)
class SavedRun:
    """A run read back.

    Attributes
    ----------
    name
        The folder's name.
    lineage, statistics
        As written; figures that did not exist are NaN.
    time_ms, equity
        Close times and worth, shape (T,).
    standstill
        How it ended, if its loss limits stopped it.
    """

    name: str
    cash: float
    lineage: dict[str, Any]
    statistics: dict[str, float]
    time_ms: npt.NDArray[np.int64]
    equity: npt.NDArray[np.float64]
    standstill: Standstill | None = None

    @property
    def title(self) -> str:
        """Strategy, symbol and interval in a few words."""
        made_from = self.lineage
        return f"{made_from['strategy']} {made_from['symbol']} {made_from['interval']}"


def write_run(folder: Path, result: FinishedRun, time_ms: npt.NDArray[np.int64]) -> Path:
    """Write a run to `folder`, replacing an earlier one; `time_ms` are the times of its equity.

    Raises
    ------
    StoreError
        When the folder cannot be written, or holds something that is not a run.
    """
    lineage = result.lineage
    body = {
        "format": FORMAT,
        "cash": result.cash,
        "lineage": {
            **dataclasses.asdict(lineage),
            **{name: getattr(lineage, name) for name in ("strategy", "symbol", "interval", "params")},
        },
        "statistics": _known(result.statistics.as_dict()),
        "limit_notes": result.limit_notes,
        "standstill": None if result.standstill is None else _known(result.standstill._asdict()),
    }
    tables = {"equity": pl.DataFrame({"time_ms": time_ms, "equity": result.equity}), "orders": result.orders}
    trades = getattr(result, "trades", None)
    if isinstance(trades, np.ndarray):
        names = trades.dtype.names or ()
        tables["trades"] = pl.DataFrame({name: trades[name] for name in names})
    if folder.exists() and not (folder / "result.json").is_file():
        raise StoreError(
            "the folder holds something that is not a run", where=str(folder), remedy="choose another name"
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            (part / "result.json").write_text(json.dumps(body, indent=2, default=str))
            for name, table in tables.items():
                table.write_parquet(part / f"{name}.parquet")
            part.chmod(0o755)
            if folder.exists():
                shutil.rmtree(folder)
            part.replace(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise StoreError(
            f"the run cannot be written: {error.strerror}", where=str(folder), remedy="free disk space"
        ) from error
    return folder


def _known(figures: Mapping[str, float]) -> dict[str, float | None]:
    """The figures with None for those that do not exist."""
    return {name: value if math.isfinite(value) else None for name, value in figures.items()}


def _figures(known: Mapping[str, float | None]) -> dict[str, float]:
    return {name: math.nan if value is None else float(value) for name, value in known.items()}


def read_run(folder: Path) -> SavedRun:
    """Read a run back; DataError when the folder is not one, or of a format this version does not know."""
    try:
        body = json.loads((folder / "result.json").read_text())
        equity = pl.read_parquet(folder / "equity.parquet")
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise DataError(
            "this is not the folder of a run", where=str(folder), remedy="write one with `qtm backtest --out`"
        ) from error
    if body.get("format") != FORMAT:
        raise DataError(
            f"the run is of format {body.get('format')}", where=str(folder), remedy="run it again"
        )
    return SavedRun(
        name=folder.name,
        cash=float(body["cash"]),
        lineage=body["lineage"],
        statistics=_figures(body["statistics"]),
        time_ms=equity["time_ms"].to_numpy(),
        equity=equity["equity"].to_numpy(),
        standstill=_standstill(body.get("standstill")),
    )


def _standstill(known: dict[str, float | None] | None) -> Standstill | None:
    if known is None:
        return None
    figures: dict[str, Any] = _figures(known)
    return Standstill(**{**figures, "since_ms": int(figures["since_ms"])})

"""What the lake remembers of quality: verdicts, the quarantine, and named waivers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from qtm.clock import iso_utc
from qtm.errors import ConfigError
from qtm.market.delta import quoted
from qtm.market.lake import Lake
from qtm.quality.profile import Span
from qtm.quality.report import QualityReport

VERDICTS = "quality_verdicts"
QUARANTINE = "quality_quarantine"
WAIVERS = "quality_waivers"

VERDICT_SCHEMA: dict[str, pl.DataType] = {
    "dataset": pl.String(),
    "symbol": pl.String(),
    "start_ms": pl.Int64(),
    "end_ms": pl.Int64(),
    "version": pl.Int64(),
    "check": pl.String(),
    "blocking": pl.Boolean(),
    "passed": pl.Boolean(),
    "observed": pl.Float64(),
    "allowed": pl.String(),
}
"""One row per (dataset, symbol, window, check): the newest verdict on that window."""

QUARANTINE_SCHEMA: dict[str, pl.DataType] = {
    "dataset": pl.String(),
    "symbol": pl.String(),
    "check": pl.String(),
    "from_ms": pl.Int64(),
    "to_ms": pl.Int64(),
    "judged_from_ms": pl.Int64(),
    "judged_to_ms": pl.Int64(),
    "version": pl.Int64(),
}
"""Stretches of time that failed a blocking check in the newest verdict on them."""

WAIVER_SCHEMA: dict[str, pl.DataType] = {
    "dataset": pl.String(),
    "symbol": pl.String(),
    "check": pl.String(),
    "from_ms": pl.Int64(),
    "to_ms": pl.Int64(),
    "who": pl.String(),
    "why": pl.String(),
    "until_ms": pl.Int64(),
    "granted_ms": pl.Int64(),
}

SPANS_KEPT = 1_000
"""More stretches than this are kept as the one stretch that encloses them."""


@dataclass(frozen=True, slots=True)
class Waiver:
    """Somebody's word that a failed check may be passed over on a stretch of time, until a date.

    `check` names one check. It holds for quarantined stretches that lie inside [from_ms, to_ms).
    """

    dataset: str
    symbol: str
    check: str
    from_ms: int
    to_ms: int
    who: str
    why: str
    until_ms: int
    granted_ms: int

    def covers(self, check: str, span: Span, now_ms: int) -> bool:
        """True when the waiver excuses this failure now."""
        inside = self.from_ms <= span.from_ms and span.to_ms <= self.to_ms
        return self.symbol == span.symbol and self.check == check and inside and now_ms < self.until_ms


def record_report(lake: Lake, report: QualityReport) -> None:
    """Keep a report's verdicts, and put what failed a blocking check into quarantine.

    What an earlier verdict said about the same window, or about a window inside it, is replaced.
    """
    symbols = ", ".join(quoted(symbol) for symbol in report.symbols)
    same = f"dataset = {quoted(report.dataset)} AND symbol IN ({symbols})"
    verdicts = [
        (
            report.dataset, result.symbol, report.start_ms, report.end_ms, report.version, result.name,
            result.blocking, result.passed, result.observed, result.check.allowed,
        )
        for result in report.results
    ]  # fmt: skip
    lake.tables.overwrite(
        VERDICTS,
        pl.DataFrame(verdicts, schema=VERDICT_SCHEMA, orient="row"),
        predicate=f"{same} AND start_ms >= {report.start_ms} AND end_ms <= {report.end_ms}",
    )
    spans = [
        (report.dataset, result.symbol, result.name, span.from_ms, span.to_ms,
         report.start_ms, report.end_ms, report.version)
        for result in report.failures
        if result.blocking
        for span in _kept(result.spans, result.symbol, report)
    ]  # fmt: skip
    held = quarantined(lake, report.dataset, report.symbols)
    inside = (pl.col("judged_from_ms") >= report.start_ms) & (pl.col("judged_to_ms") <= report.end_ms)
    if spans or held.filter(inside).height:
        lake.tables.overwrite(
            QUARANTINE,
            pl.DataFrame(spans, schema=QUARANTINE_SCHEMA, orient="row"),
            predicate=(f"{same} AND judged_from_ms >= {report.start_ms} AND judged_to_ms <= {report.end_ms}"),
        )


def quarantined(lake: Lake, dataset: str | None = None, symbols: Sequence[str] | None = None) -> pl.DataFrame:
    """The quarantine (columns of `QUARANTINE_SCHEMA`), sorted by symbol and time."""
    rows = _table(lake, QUARANTINE, QUARANTINE_SCHEMA)
    if dataset is not None:
        rows = rows.filter(pl.col("dataset") == dataset)
    if symbols is not None:
        rows = rows.filter(pl.col("symbol").is_in(list(symbols)))
    return rows.sort("dataset", "symbol", "from_ms", "check")


def verdicts(lake: Lake, dataset: str | None = None) -> pl.DataFrame:
    """The verdicts (columns of `VERDICT_SCHEMA`)."""
    rows = _table(lake, VERDICTS, VERDICT_SCHEMA)
    return rows if dataset is None else rows.filter(pl.col("dataset") == dataset)


def grant_waiver(lake: Lake, waiver: Waiver) -> None:
    """Keep a waiver; one for the same check and stretch is replaced.

    Raises
    ------
    ConfigError
        When nobody is named, no reason is given, it is already over, or nothing like it is in quarantine.
    """
    if not waiver.who.strip() or not waiver.why.strip():
        raise ConfigError(
            "a waiver names who grants it and why", where="waiver", remedy="give --who and --why"
        )
    if waiver.until_ms <= waiver.granted_ms:
        raise ConfigError(
            f"the waiver would end at {iso_utc(waiver.until_ms)}, which is past",
            where="--until",
            remedy="give a later date",
        )
    held = quarantined(lake, waiver.dataset, [waiver.symbol]).filter(
        (pl.col("check") == waiver.check)
        & (pl.col("from_ms") >= waiver.from_ms)
        & (pl.col("to_ms") <= waiver.to_ms)
    )
    if held.is_empty():
        raise ConfigError(
            f"nothing of {waiver.symbol} is in quarantine for {waiver.check} between "
            f"{iso_utc(waiver.from_ms)} and {iso_utc(waiver.to_ms)}",
            where=waiver.dataset,
            remedy="`qtm quality show` lists the quarantine; a waiver must enclose a stretch it lists",
        )
    row = tuple(getattr(waiver, name) for name in WAIVER_SCHEMA)
    lake.tables.overwrite(
        WAIVERS,
        pl.DataFrame([row], schema=WAIVER_SCHEMA, orient="row"),
        predicate=(
            f"dataset = {quoted(waiver.dataset)} AND symbol = {quoted(waiver.symbol)} "
            f"AND check = {quoted(waiver.check)} AND from_ms = {waiver.from_ms} AND to_ms = {waiver.to_ms}"
        ),
    )


def waivers(lake: Lake, dataset: str | None = None) -> tuple[Waiver, ...]:
    """Every waiver ever granted, also those that are over."""
    rows = _table(lake, WAIVERS, WAIVER_SCHEMA)
    if dataset is not None:
        rows = rows.filter(pl.col("dataset") == dataset)
    return tuple(Waiver(**row) for row in rows.sort("symbol", "from_ms").iter_rows(named=True))


def _kept(spans: Sequence[Span], symbol: str, report: QualityReport) -> Sequence[Span]:
    if not spans:
        return [Span(symbol, report.start_ms, report.end_ms)]
    if len(spans) > SPANS_KEPT:
        rows = sum(span.rows for span in spans)
        return [Span(symbol, min(s.from_ms for s in spans), max(s.to_ms for s in spans), rows)]
    return spans


def _table(lake: Lake, name: str, schema: dict[str, pl.DataType]) -> pl.DataFrame:
    if not lake.tables.exists(name):
        return pl.DataFrame(schema=schema)
    uris = lake.tables.files(name)["uri"].to_list()
    return pl.read_parquet(uris).select(list(schema)) if uris else pl.DataFrame(schema=schema)

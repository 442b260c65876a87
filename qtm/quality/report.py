"""What a quality run found: one result per (symbol, check), with the times at fault and the remedy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from qtm.clock import iso_utc
from qtm.quality.checks import Check
from qtm.quality.profile import Span

SPANS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check on one symbol; `spans` are the stretches of time at fault, `observed` the number measured."""

    symbol: str
    check: Check
    passed: bool
    observed: float | None
    spans: tuple[Span, ...] = ()

    @property
    def name(self) -> str:
        """The check's name."""
        return self.check.name

    @property
    def blocking(self) -> bool:
        """True when a failure keeps the data out of backtests."""
        return self.check.blocking

    @property
    def where(self) -> str:
        """The first times at fault, for a message."""
        shown = ", ".join(f"{iso_utc(s.from_ms)} to {iso_utc(s.to_ms)}" for s in self.spans[:SPANS_SHOWN])
        more = len(self.spans) - SPANS_SHOWN
        return f"{shown} and {more} more" if more > 0 else shown

    def as_json(self) -> dict[str, Any]:
        """The result as plain values."""
        return {
            "symbol": self.symbol,
            "check": self.name,
            "severity": self.check.severity,
            "passed": self.passed,
            "observed": self.observed,
            "allowed": self.check.allowed,
            "description": self.check.description,
            "remedy": self.check.remedy,
            "spans_total": len(self.spans),
            "spans": [
                {"from": iso_utc(span.from_ms), "to": iso_utc(span.to_ms), "rows": span.rows}
                for span in self.spans[:SPANS_SHOWN]
            ],
        }


@dataclass(frozen=True, slots=True)
class QualityReport:
    """All results on one dataset, window and Delta version."""

    dataset: str
    version: int
    start_ms: int
    end_ms: int
    results: tuple[CheckResult, ...]
    rows: int
    seconds: float

    @property
    def passed(self) -> bool:
        """True when no blocking check failed."""
        return not any(result.blocking for result in self.failures)

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        """The results that did not pass, blocking ones first."""
        failed = [result for result in self.results if not result.passed]
        return tuple(sorted(failed, key=lambda result: not result.blocking))

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols judged."""
        return tuple(dict.fromkeys(result.symbol for result in self.results))

    def as_json(self) -> dict[str, Any]:
        """The report as plain values, failures in full."""
        return {
            "dataset": self.dataset,
            "version": self.version,
            "start": iso_utc(self.start_ms),
            "end": iso_utc(self.end_ms),
            "rows": self.rows,
            "symbols": list(self.symbols),
            "checks": len(self.results),
            "passed": self.passed,
            "blocking_failures": sum(result.blocking for result in self.failures),
            "warnings": sum(not result.blocking for result in self.failures),
            "failures": [result.as_json() for result in self.failures],
            "seconds": round(self.seconds, 3),
        }

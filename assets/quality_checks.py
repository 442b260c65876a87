"""The catalogue of `qtm.quality` as Dagster checks of the asset that writes the data.

What belongs here: turning a quality report into one result per check. What does not: what good data is
(`qtm.quality.checks`) and the judging itself (`qtm.quality.judge`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.partitions import DAY_MS, Window, day_text
from assets.presentation import table
from qtm.clock import SystemClock
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake
from qtm.quality.checks import Check, bar_checks, funding_checks

if TYPE_CHECKING:
    from qtm.quality.record import Waiver
    from qtm.quality.report import CheckResult, QualityReport

ALIVE_MS = 7 * DAY_MS
"""A symbol with a bar this recently is expected; one without was not listed yet, or is gone."""


def bar_check_specs(asset: str, interval: Interval) -> list[dg.AssetCheckSpec]:
    """One spec per check of a bar table; a blocking one stops everything downstream in its run."""
    return _specs(asset, bar_checks(interval))


def funding_check_specs(asset: str) -> list[dg.AssetCheckSpec]:
    """One spec per check of a funding table."""
    return _specs(asset, funding_checks())


def bar_check_results(
    lake: Lake, market: Market, interval: Interval, symbols: Sequence[str], window: Window
) -> list[dg.AssetCheckResult]:
    """Judge the bars of a window, keep the verdicts in the lake, and tell them check by check.

    A symbol that has had no bar for a week before the window and has none in it is not judged.
    """
    from qtm.quality.judge import check_bars

    alive = expected_symbols(lake, market, interval, symbols, window)
    report = check_bars(lake, market, interval, alive or symbols, window.start_ms, window.end_ms)
    return _results(lake, report, bar_checks(interval), sorted(set(symbols) - set(alive)) if alive else [])


def funding_check_results(lake: Lake, symbols: Sequence[str], window: Window) -> list[dg.AssetCheckResult]:
    """Judge the USD-M funding rates of a window."""
    from qtm.quality.judge import check_funding

    report = check_funding(lake, Market.UM, symbols, window.start_ms, window.end_ms)
    return _results(lake, report, funding_checks(), [])


def expected_symbols(
    lake: Lake, market: Market, interval: Interval, symbols: Sequence[str], window: Window
) -> list[str]:
    """Those of `symbols` that trade: a bar in the window or in the week before it."""
    recent = lake.scan_bars(
        market, interval, symbols=symbols, start_ms=window.start_ms - ALIVE_MS, end_ms=window.end_ms
    )
    return sorted(recent.select("symbol").unique().collect()["symbol"])


def _specs(asset: str, checks: Sequence[Check]) -> list[dg.AssetCheckSpec]:
    return [
        dg.AssetCheckSpec(
            check.name,
            asset=asset,
            blocking=check.blocking,
            description=f"{check.description[0].upper()}{check.description[1:]}.",
            metadata={"measured": check.metric, "allowed": check.allowed, "if it fails": check.remedy},
        )
        for check in checks
    ]


def _results(
    lake: Lake, report: QualityReport, checks: Sequence[Check], unlisted: Sequence[str]
) -> list[dg.AssetCheckResult]:
    from qtm.quality.record import waivers

    granted, now_ms = waivers(lake, report.dataset), SystemClock().now_ms()
    return [
        _result(
            check,
            [result for result in report.results if result.name == check.name],
            report,
            granted,
            now_ms,
            unlisted,
        )
        for check in checks
    ]


def _result(
    check: Check,
    results: Sequence[CheckResult],
    report: QualityReport,
    granted: Sequence[Waiver],
    now_ms: int,
    unlisted: Sequence[str],
) -> dg.AssetCheckResult:
    """One check over all symbols: passed when every failure of it is waived by name."""
    failed = [result for result in results if not result.passed]
    excuses = {result.symbol: _excuse(result, granted, now_ms) for result in failed}
    standing = [result for result in failed if not excuses[result.symbol]]
    words = f"{len(results)} symbols pass"
    if standing:
        words = f"{', '.join(r.symbol for r in standing[:6])} of {len(results)} symbols: {check.remedy}"
    elif failed:
        words = f"waived for {', '.join(sorted(excuses))}"
    observed = [result.observed for result in results if result.observed is not None]
    metadata: dict[str, Any] = {
        "days judged": f"{day_text(report.start_ms)} to {day_text(report.end_ms - DAY_MS)}",
        "measured": f"{check.metric}, {check.allowed}",
        "symbols": len(results),
        "worst observed": (min if check.high is None else max)(observed) if observed else None,
        "failures": table(
            [
                {
                    "symbol": result.symbol,
                    "observed": result.observed,
                    "allowed": check.allowed,
                    "where": result.where or "whole window",
                    "waived by": excuses[result.symbol],
                }
                for result in failed
            ]
        ),
        "delta version": str(report.version),
    }
    metadata = {name: value for name, value in metadata.items() if value is not None}
    if check.name == "has_rows" and unlisted:
        metadata["not judged: no bar for a week"] = ", ".join(unlisted)
    return dg.AssetCheckResult(
        check_name=check.name,
        passed=not standing,
        severity=dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN,
        description=words,
        metadata=metadata,
    )


def _excuse(result: CheckResult, granted: Sequence[Waiver], now_ms: int) -> str:
    """Who waived every stretch of a failure, and why; empty when any stretch stands unexcused."""
    if not result.spans:
        return ""
    used = [
        next((waiver for waiver in granted if waiver.covers(result.name, span, now_ms)), None)
        for span in result.spans
    ]
    if any(waiver is None for waiver in used):
        return ""
    return "; ".join(dict.fromkeys(f"{waiver.who}: {waiver.why}" for waiver in used if waiver))

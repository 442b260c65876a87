"""Check results that say what was looked at and where it failed."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from assets.presentation import table


def verdict_over_days(
    name: str,
    days: int,
    failures: Mapping[str, str],
    *,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    """One check over the days of a run; `failures` maps a day to what was observed there."""
    observed = [{"day": day, "observed": what} for day, what in failures.items()]
    return dg.AssetCheckResult(
        check_name=name,
        passed=not failures,
        severity=severity,
        description=f"{len(failures)} of {days} days fail" if failures else f"{days} days pass",
        metadata={"days looked at": days, "failures": table(observed)},
    )


def verdict_over_datasets(name: str, looked_at: int, failures: Mapping[str, str]) -> dg.AssetCheckResult:
    """One check over several datasets; `failures` maps a dataset to what was observed there."""
    observed = [{"dataset": dataset, "observed": what} for dataset, what in failures.items()]
    return dg.AssetCheckResult(
        check_name=name,
        passed=not failures,
        description=f"{len(failures)} of {looked_at} datasets fail" if failures else f"{looked_at} pass",
        metadata={"failures": table(observed)},
    )

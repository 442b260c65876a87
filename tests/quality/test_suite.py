"""The Great Expectations suite says exactly what the catalogue of checks says."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from qtm.market.bars import BarKind
from qtm.market.intervals import Interval
from qtm.quality.checks import Check, bar_checks, funding_checks, instrument_checks
from qtm.quality.suite import build_suite, judge


@pytest.mark.parametrize(
    "checks",
    [
        bar_checks(Interval.M1),
        bar_checks(Interval.D1),
        bar_checks(Interval.H8, BarKind.MARK),
        funding_checks(),
        instrument_checks(),
    ],
)
def test_every_check_is_one_expectation_with_its_name_bounds_and_severity(checks: tuple[Check, ...]) -> None:
    suite = build_suite("any", checks)
    assert len({check.name for check in checks}) == len(checks)
    for check, expectation in zip(checks, suite.expectations, strict=True):
        assert expectation.meta["check"] == check.name
        assert expectation.meta["severity"] == check.severity
        assert (expectation.column, expectation.min_value, expectation.max_value) == (
            check.metric, check.low, check.high,
        )  # fmt: skip


def test_the_suite_and_the_catalogue_judge_alike_at_the_bounds() -> None:
    checks = bar_checks(Interval.M1)
    for check in checks:
        bound = check.high if check.high is not None else check.low
        assert bound is not None
        profiles = [{"symbol": f"S{offset}", check.metric: bound + offset} for offset in (-0.5, 0.0, 0.5)] + [
            {"symbol": "ABSENT"}
        ]
        failing = judge("any", [check], profiles)[check.name]
        assert failing == {p["symbol"] for p in profiles if check.is_broken_by(p)}, check.name
        assert len(failing) == 1, "one side of the bound fails, the bound itself passes"


def test_blocking_checks_come_first() -> None:
    severities = [check.blocking for check in bar_checks(Interval.M1)]
    assert severities == sorted(severities, reverse=True)


def test_naming_the_checks_does_not_import_great_expectations() -> None:
    code = (
        "import sys; from qtm.quality.judge import check_bars; from qtm.quality.checks import bar_checks;"
        "from qtm.market.intervals import Interval; bar_checks(Interval.M1);"
        "assert 'great_expectations' not in sys.modules and 'duckdb' not in sys.modules, 'imported too early'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr

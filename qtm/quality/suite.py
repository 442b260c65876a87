"""Great Expectations judges the profiles: one suite per kind of dataset, one expectation per check.

The engine sees a frame of one row per symbol, so judging costs the same for a thousand bars and a billion.
Importing Great Expectations takes seconds and some 200 MB: only these functions do it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from qtm.errors import DataError
from qtm.quality.checks import Check

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite


def build_suite(name: str, checks: Sequence[Check]) -> ExpectationSuite:
    """The suite of a dataset; each expectation's `meta` carries the check's name, severity and remedy."""
    gx = _great_expectations()
    from great_expectations.expectations import ExpectColumnValuesToBeBetween

    return gx.ExpectationSuite(
        name=name,
        expectations=[
            ExpectColumnValuesToBeBetween(
                column=check.metric,
                min_value=check.low,
                max_value=check.high,
                description=check.description,
                severity="critical" if check.blocking else "warning",
                meta={"check": check.name, "severity": check.severity, "remedy": check.remedy},
            )
            for check in checks
        ],
    )


def judge(
    name: str, checks: Sequence[Check], profiles: Sequence[Mapping[str, Any]]
) -> dict[str, frozenset[str]]:
    """Which symbols fail which check.

    Parameters
    ----------
    profiles
        One row of numbers per symbol, `symbol` among them. A number that is None is not judged.

    Returns
    -------
    dict
        Check name to the symbols that fail it; every check is a key.

    Raises
    ------
    DataError
        When Great Expectations could not evaluate an expectation.
    """
    batches = _batches()
    import pandas as pd

    metrics = list(dict.fromkeys(check.metric for check in checks))
    frame = pd.DataFrame(
        {metric: [_number(profile.get(metric)) for profile in profiles] for metric in metrics},
        dtype="float64",
    )
    frame["symbol"] = [profile["symbol"] for profile in profiles]
    outcome = batches.get_batch({"dataframe": frame}).validate(
        build_suite(name, checks),
        result_format={"result_format": "COMPLETE", "unexpected_index_column_names": ["symbol"]},
    )
    failing: dict[str, frozenset[str]] = {}
    for result in outcome.results:
        check = result.expectation_config.meta["check"]
        if result.exception_info.get("raised_exception"):
            raise DataError(
                f"check {check} could not be evaluated: {result.exception_info.get('exception_message')}",
                where=name,
                remedy="report it; nothing was recorded",
            )
        rows = result.result.get("unexpected_index_list") or []
        failing[check] = frozenset(row["symbol"] for row in rows)
    return failing


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


@cache
def _batches() -> Any:
    """The batch definition every profile goes through; made once, because a context takes a while."""
    context = _great_expectations().get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("profiles").add_dataframe_asset("symbols")
    return asset.add_batch_definition_whole_dataframe("all")


def _great_expectations() -> Any:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    import great_expectations

    return great_expectations

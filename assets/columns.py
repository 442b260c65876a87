"""The columns of the lake's tables as Dagster's catalogue shows them, and how to read a table."""

from __future__ import annotations

from typing import Any

import dagster as dg

from assets.weights_table import DATASET as WEIGHTS
from assets.weights_table import SCHEMA as WEIGHTS_SCHEMA
from qtm.market.schemas import BAR_SCHEMA, FUNDING_SCHEMA

MEANING = {
    "symbol": "the venue's name of the pair or contract",
    "open_time_ms": "UTC milliseconds at which the bar opens; it names the bar",
    "open": "first price, quote currency",
    "high": "highest price, quote currency",
    "low": "lowest price, quote currency",
    "close": "last price, quote currency",
    "volume": "traded, base currency",
    "quote_volume": "traded, quote currency",
    "trades": "number of trades",
    "taker_base": "bought by takers, base currency",
    "taker_quote": "bought by takers, quote currency",
    "funding_time_ms": "UTC milliseconds of the payment",
    "interval_hours": "hours since the payment before",
    "rate": "paid by longs to shorts, fraction of notional",
    "weight": "fraction of capital held from that close on",
    "cvar_component": "the symbol's part of the book's CVaR, fraction of capital a day",
    "outcome": "optimal, or fallback when the mandate could not be met",
    "mandate": "the mandate as JSON",
    "as_of_ms": "UTC milliseconds at which the last day known opens",
    "scenario": "number of the scenario within its day",
    "probability": "chance of the scenario; a day's sum to one",
    "returns": "the scenario's return of every symbol of the record, in its order, as fractions",
    "engine": "how the tail is measured, with the horizon where it is not a day",
    "alpha": "confidence level",
    "var": "value at risk, fraction of capital; null where the engine refuses",
    "cvar": "mean loss beyond it, fraction of capital; null where the engine refuses",
    "note": "what the engine saw or fitted, or why it refuses",
    "event": "the dated event",
    "on_closes": "loss on closes, fraction of capital",
    "on_lows": "loss with every coin at its low at once",
    "on_lows_longs_only": "loss on lows with the short legs gone",
    "on_extremes": "loss with longs at lows and shorts at highs",
    "worst_symbol": "the position that loses most",
    "model": "engine judged",
    "days": "forecasts judged",
    "exceptions": "days that lost more than VaR 99 %",
    "expected": "exceptions a true model has on average",
    "kupiec_p": "p-value of the share of exceptions",
    "christoffersen_p": "p-value of share and clustering together",
    "z1": "Acerbi-Szekely Z1 of ES 97.5 %; null without an exception",
    "z2": "Acerbi-Szekely Z2 of ES 97.5 %",
    "var_light": "Basel zone of the exceptions",
    "es_light": "zone of Z2 against its simulated critical values",
    "light": "the worse of the two, which acts on a running stream",
    "record": "symbols, model, window and origin as JSON, the same in every row of a day",
}


def bar_table(dataset: str) -> dict[str, Any]:
    """Definition metadata of a bar table."""
    return _table(dataset, BAR_SCHEMA)


def funding_table(dataset: str) -> dict[str, Any]:
    """Definition metadata of a funding table."""
    return _table(dataset, FUNDING_SCHEMA)


def scenarios_table() -> dict[str, Any]:
    """Definition metadata of the scenarios."""
    return _table("scenarios", SCENARIOS_SCHEMA)


def weights_table() -> dict[str, Any]:
    """Definition metadata of the weights."""
    return _table(WEIGHTS, WEIGHTS_SCHEMA)


def risk_table(dataset: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Definition metadata of a table of the risk group; `schema` is what it holds beside the day."""
    return _table(dataset, {"open_time_ms": "Int64", **schema})


SCENARIOS_SCHEMA = {
    "as_of_ms": "Int64",
    "scenario": "Int32",
    "open_time_ms": "Int64",
    "probability": "Float64",
    "returns": "List(Float64)",
    "record": "String",
}
"""As `qtm.portfolio.scenarios.storage.SCHEMA`, whose room would load the solvers with the definitions."""


def _table(dataset: str, schema: dict[str, Any]) -> dict[str, Any]:
    columns = [
        dg.TableColumn(name, type=str(dtype), description=MEANING[name]) for name, dtype in schema.items()
    ]
    reading = (
        "```python\nfrom qtm.market.lake import Lake\nfrom qtm.settings import settings\n\n"
        f'Lake.from_settings(settings()).sql("SELECT * FROM {dataset} LIMIT 5")\n```'
    )
    return {
        "dagster/table_name": dataset,
        "dagster/column_schema": dg.TableSchema(columns=columns),
        "read it with": dg.MetadataValue.md(reading),
    }

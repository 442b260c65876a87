"""The columns of the tables in the lake."""

from __future__ import annotations

import polars as pl

BAR_SCHEMA: dict[str, pl.DataType] = {
    "symbol": pl.String(),
    "open_time_ms": pl.Int64(),
    "open": pl.Float64(),
    "high": pl.Float64(),
    "low": pl.Float64(),
    "close": pl.Float64(),
    "volume": pl.Float64(),
    "quote_volume": pl.Float64(),
    "trades": pl.Int64(),
    "taker_base": pl.Float64(),
    "taker_quote": pl.Float64(),
}
"""Columns of every bar table; prices in quote currency, volumes in base currency unless named quote."""

FUNDING_SCHEMA: dict[str, pl.DataType] = {
    "symbol": pl.String(),
    "funding_time_ms": pl.Int64(),
    "interval_hours": pl.Int64(),
    "rate": pl.Float64(),
}
"""Columns of the funding table; `rate` is paid by longs to shorts per interval, as a fraction of notional."""

TRADE_SCHEMA: dict[str, pl.DataType] = {
    "symbol": pl.String(),
    "time_ms": pl.Int64(),
    "trade_id": pl.Int64(),
    "price": pl.Float64(),
    "qty": pl.Float64(),
    "first_id": pl.Int64(),
    "last_id": pl.Int64(),
    "buyer_is_maker": pl.Boolean(),
}
"""Columns of the aggregate trade tables: what one taker order filled at one price; ids strictly increase."""

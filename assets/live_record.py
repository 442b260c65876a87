"""What the execution journal holds, in tables: orders by state, refusals by control, fills, inventory."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal

import dagster as dg
import polars as pl
from sqlalchemy import Connection, func, select

from assets.presentation import MUTED, plot, table, utc
from qtm.clock import iso_utc
from qtm.store.schema import decisions, fills, orders, runs

NEWEST_FILLS = 30


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """A summary of every account in the operational store; amounts are exact."""

    runs: int
    orders: dict[str, int]
    refused: int
    refusals: pl.DataFrame
    fills: pl.DataFrame
    inventory: pl.DataFrame


def read_journal(connection: Connection) -> JournalRecord:
    """Count orders and refusals and add fills up, over the whole journal."""
    by_status = connection.execute(
        select(orders.c.status, func.count()).group_by(orders.c.status).order_by(orders.c.status)
    ).all()
    refused = connection.execute(
        select(decisions.c.strategy, decisions.c.symbol, decisions.c.controls, func.count().label("refused"))
        .where(decisions.c.verdict == "REFUSED")
        .group_by(decisions.c.strategy, decisions.c.symbol, decisions.c.controls)
        .order_by(func.count().desc())
    ).all()
    rows = connection.execute(
        select(fills, orders.c.strategy)
        .join(orders, orders.c.client_order_id == fills.c.client_order_id)
        .order_by(fills.c.ts_ms, fills.c.trade_id)
    ).mappings()
    executions = pl.DataFrame(
        [
            (
                row["ts_ms"], row["account"], row["strategy"], row["symbol"], row["side"],
                row["qty"], row["price"], row["fee"], row["fee_asset"],
            )
            for row in rows
        ],
        schema={
            "ts_ms": pl.Int64, "account": pl.String, "strategy": pl.String, "symbol": pl.String,
            "side": pl.String, "qty": pl.String, "price": pl.String, "fee": pl.String, "fee_asset": pl.String,
        },
        orient="row",
    )  # fmt: skip
    return JournalRecord(
        runs=connection.execute(select(func.count()).select_from(runs)).scalar_one(),
        orders={row[0]: row[1] for row in by_status},
        refused=sum(row.refused for row in refused),
        refusals=pl.DataFrame(
            [tuple(row) for row in refused],
            schema={"strategy": pl.String, "symbol": pl.String, "controls": pl.String, "refused": pl.Int64},
            orient="row",
        ),
        fills=executions,
        inventory=_inventory(executions),
    )


def journal_metadata(record: JournalRecord) -> dict[str, dg.MetadataValue]:
    """The record as the asset page shows it."""
    shown = record.fills.tail(NEWEST_FILLS).reverse()
    newest = shown.with_columns(
        pl.col("ts_ms").map_elements(iso_utc, return_dtype=pl.String).alias("time")
    ).select("time", "account", "strategy", "symbol", "side", "qty", "price", "fee", "fee_asset")
    states = [{"state": state, "orders": count} for state, count in record.orders.items()]
    metadata: dict[str, dg.MetadataValue] = {
        "stream runs": dg.MetadataValue.int(record.runs),
        "orders": dg.MetadataValue.int(sum(record.orders.values())),
        "refused": dg.MetadataValue.int(record.refused),
        "fills": dg.MetadataValue.int(len(record.fills)),
        "orders by state": table(states),
        "refusals by control": table(record.refusals),
        "bought and sold": table(record.inventory),
        "newest fills": table(newest),
    }
    if len(record.fills) > 1:
        metadata["traded notional"] = _notional_plot(record.fills)
    return metadata


def _inventory(executions: pl.DataFrame) -> pl.DataFrame:
    """Net quantity, turnover and fees per account and symbol, added up in exact decimals, shown as text."""
    net: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    turnover: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    fees: dict[tuple[str, str], dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for row in executions.iter_rows(named=True):
        key = (row["account"], row["symbol"])
        qty = Decimal(row["qty"])
        net[key] += qty if row["side"] == "BUY" else -qty
        turnover[key] += qty * Decimal(row["price"])
        fees[key][row["fee_asset"]] += Decimal(row["fee"])
    rows = [
        {
            "account": account,
            "symbol": symbol,
            "net bought": f"{net[account, symbol]:f}",
            "turnover (quote)": f"{turnover[account, symbol]:.2f}",
            "fees": ", ".join(f"{amount:f} {asset}" for asset, amount in fees[account, symbol].items()),
        }
        for account, symbol in sorted(net)
    ]
    return pl.DataFrame(
        rows, schema=dict.fromkeys(("account", "symbol", "net bought", "turnover (quote)", "fees"), pl.String)
    )


def _notional_plot(executions: pl.DataFrame) -> dg.MarkdownMetadataValue:
    with plot("Traded notional so far, quote currency") as (picture, axis):
        for (symbol,), rows in executions.partition_by("symbol", as_dict=True).items():
            notional = (rows["qty"].cast(pl.Float64) * rows["price"].cast(pl.Float64)).cum_sum()
            axis.step(utc(rows["ts_ms"]), notional, where="post", label=str(symbol), linewidth=1.2)
        axis.legend(fontsize=7, frameon=False, labelcolor=MUTED)
    return picture.markdown

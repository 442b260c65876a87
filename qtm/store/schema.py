"""Tables of the operational database, one schema for SQLite and PostgreSQL.

Amounts are text holding exact decimals: neither database may round money. Times are integers named by their
unit. Rows are added or advanced, never deleted: they are the record of what happened.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)

_ROW_ID = BigInteger().with_variant(Integer(), "sqlite")

runs = Table(
    "runs",
    metadata,
    Column("run_id", String(36), primary_key=True),
    Column("account", String(64), nullable=False),
    Column("strategy", String(64), nullable=False),
    Column("strategy_version", String(16), nullable=False),
    Column("symbols", Text, nullable=False),
    Column("settings", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("heartbeat_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger),
    Column("state", String(12), nullable=False),
    Column("summary", Text),
)
"""One row per run of the stream; `state` is HALTED until armed, then ACTIVE, REDUCING or STOPPED."""

openings = Table(
    "openings",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("asset", String(16), primary_key=True),
    Column("qty", Text, nullable=False),
    Column("recorded_ms", BigInteger, nullable=False),
)
"""Balances the venue showed before our first order; every later balance must be this plus our fills."""

equity_marks = Table(
    "equity_marks",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("peak", Text, nullable=False),
    Column("day_start", Text, nullable=False),
    Column("day", BigInteger, nullable=False),
    Column("marked_ms", BigInteger, nullable=False),
)
"""What the loss limits remember across restarts; `day` counts UTC days since the epoch."""

orders = Table(
    "orders",
    metadata,
    Column("client_order_id", String(36), primary_key=True),
    Column("account", String(64), nullable=False),
    Column("run_id", String(36), ForeignKey("runs.run_id"), nullable=False),
    Column("strategy", String(64), nullable=False),
    Column("symbol", String(32), nullable=False),
    Column("side", String(4), nullable=False),
    Column("type", String(20), nullable=False),
    Column("time_in_force", String(3)),
    Column("qty", Text, nullable=False),
    Column("price", Text),
    Column("reduce_only", Boolean, nullable=False),
    Column("purpose", String(12), nullable=False, server_default="TARGET"),
    Column("stop_price", Text),
    Column("take_profit", Text),
    Column("decided_ms", BigInteger, nullable=False),
    Column("status", String(20), nullable=False),
    Column("reason", Text, nullable=False),
    Column("venue_order_id", String(32)),
    Column("attempts", Integer, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("sent_ns", BigInteger),
    Column("updated_ns", BigInteger, nullable=False),
    Index("ix_orders_status", "account", "status"),
    Index("ix_orders_decided", "account", "strategy", "decided_ms"),
)
"""The outbox: every approved order, on disk before it is on the wire."""

order_events = Table(
    "order_events",
    metadata,
    Column("event_id", _ROW_ID, primary_key=True, autoincrement=True),
    Column("client_order_id", String(36), ForeignKey("orders.client_order_id"), nullable=False),
    Column("ts_ns", BigInteger, nullable=False),
    Column("status", String(20), nullable=False),
    Column("detail", Text, nullable=False),
    Index("ix_order_events_client_order_id", "client_order_id"),
)
"""Every change of an order's state, in order."""

decisions = Table(
    "decisions",
    metadata,
    Column("decision_id", _ROW_ID, primary_key=True, autoincrement=True),
    Column("client_order_id", String(36), nullable=False, unique=True),
    Column("account", String(64), nullable=False),
    Column("run_id", String(36), ForeignKey("runs.run_id"), nullable=False),
    Column("strategy", String(64), nullable=False),
    Column("symbol", String(32), nullable=False),
    Column("verdict", String(8), nullable=False),
    Column("controls", Text, nullable=False),
    Column("decided_ms", BigInteger, nullable=False),
    Column("recorded_ns", BigInteger, nullable=False),
    Column("record", Text, nullable=False),
    Column("hash", String(64), nullable=False),
)
"""The gate's decisions: `record` is canonical JSON with every finding, `hash` chains it to the row before."""

fills = Table(
    "fills",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("symbol", String(32), primary_key=True),
    Column("trade_id", BigInteger, primary_key=True),
    Column("client_order_id", String(36), ForeignKey("orders.client_order_id"), nullable=False),
    Column("side", String(4), nullable=False),
    Column("qty", Text, nullable=False),
    Column("price", Text, nullable=False),
    Column("fee", Text, nullable=False),
    Column("fee_asset", String(16), nullable=False),
    Column("maker", Boolean, nullable=False),
    Column("ts_ms", BigInteger, nullable=False),
    Index("ix_fills_client_order_id", "client_order_id"),
)
"""Executions as the venue reported them, each once."""

kills = Table(
    "kills",
    metadata,
    Column("kill_id", _ROW_ID, primary_key=True, autoincrement=True),
    Column("account", String(64), nullable=False),
    Column("scope", String(10), nullable=False),
    Column("target", String(64), nullable=False),
    Column("actor", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Column("latched_ns", BigInteger, nullable=False),
    Column("first_cancel_ns", BigInteger),
    Column("zero_ns", BigInteger),
    Column("orders_before", Integer),
    Column("cancelled", Integer),
    Column("residual", Integer),
    Column("released_ns", BigInteger),
    Column("released_by", String(64)),
)
"""Kill latches. A row with no `released_ns` blocks its scope, whatever restarts."""

trials = Table(
    "trials",
    metadata,
    Column("trial_id", _ROW_ID, primary_key=True, autoincrement=True),
    Column("run_id", String(36), nullable=False),
    Column("strategy", String(64), nullable=False),
    Column("strategy_version", String(16), nullable=False),
    Column("params", Text, nullable=False),
    Column("symbol", String(32), nullable=False),
    Column("interval", String(4), nullable=False),
    Column("start_ms", BigInteger, nullable=False),
    Column("end_ms", BigInteger, nullable=False),
    Column("lake_version", BigInteger),
    Column("statistics", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("daily_sharpe", Double),
    Column("data_versions", Text),
    Index("ix_trials_strategy", "strategy", "symbol", "interval"),
)
"""Every backtest ever run, so that the number of trials is counted and not remembered.

`daily_sharpe` is among the statistics too; NULL where they could not be read. `lake_version` is that of the
bars, `data_versions` that of every table by name, as JSON; NULL where no table was named.
"""

examinations = Table(
    "examinations",
    metadata,
    Column("examination_id", _ROW_ID, primary_key=True, autoincrement=True),
    Column("candidate", String(64), nullable=False),
    Column("strategy", String(64), nullable=False),
    Column("data_version", BigInteger),
    Column("verdict", Text, nullable=False),
    Column("examined_by", String(64), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Index("ix_examinations_candidate", "candidate"),
)
"""Verdicts on candidates, newest counts; `candidate` is the digest of code, parameters and configuration."""

promotions = Table(
    "promotions",
    metadata,
    Column("promotion_id", _ROW_ID, primary_key=True, autoincrement=True),
    Column("candidate", String(64), nullable=False),
    Column("strategy", String(64), nullable=False),
    Column("rung", String(16), nullable=False),
    Column("granted_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("record", Text, nullable=False),
    Column("previous", String(64), nullable=False, unique=True),
    Column("hash", String(64), nullable=False),
    Index("ix_promotions_candidate", "candidate"),
)
"""Every step up the ladder; `record` is canonical JSON with evidence and people.

`hash` chains the row to the `previous` one, which only one row can follow.
"""

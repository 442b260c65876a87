"""The daily Sharpe ratio of a trial in a column of its own, so that counting trials reads no statistics."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_AT_ONCE = 10_000

_trials = sa.table(
    "trials", sa.column("trial_id"), sa.column("statistics"), sa.column("daily_sharpe", sa.Double())
)


def upgrade() -> None:
    """Add the column, and take its values out of the statistics."""
    op.add_column("trials", sa.Column("daily_sharpe", sa.Double(), nullable=True))
    # Not in SQL: SQLite reads decimals with another last bit than those that are written from now on have.
    connection, last = op.get_bind(), -1
    change = sa.update(_trials).where(_trials.c.trial_id == sa.bindparam("at"))
    while True:
        read = sa.select(_trials.c.trial_id, _trials.c.statistics).where(_trials.c.trial_id > last)
        rows = connection.execute(read.order_by(_trials.c.trial_id).limit(_AT_ONCE)).all()
        if not rows:
            return
        found = [{"at": row.trial_id, "daily_sharpe": _sharpe(row.statistics)} for row in rows]
        connection.execute(change, found)
        last = rows[-1].trial_id


def _sharpe(statistics: str) -> float | None:
    """None for a damaged row, which is named when it is counted."""
    try:
        return float(json.loads(statistics)["daily_sharpe"])
    except (ValueError, KeyError, TypeError):
        return None


def downgrade() -> None:
    """Drop the column; the statistics still hold it."""
    with op.batch_alter_table("trials") as table:
        table.drop_column("daily_sharpe")

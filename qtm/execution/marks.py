"""Peak and start-of-day equity on disk: a restart must not forget a loss."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import delete, insert, select

from qtm.execution.journal import Journal
from qtm.risk.exposure import Exposure
from qtm.store.schema import equity_marks


def load_marks(journal: Journal, exposure: Exposure) -> None:
    """Put the account's remembered marks into `exposure`, if there are any."""
    query = select(equity_marks).where(equity_marks.c.account == journal.account)
    with journal.database.read() as connection:
        row = connection.execute(query).first()
    if row is not None:
        exposure.peak, exposure.day_start, exposure.day = Decimal(row.peak), Decimal(row.day_start), row.day


def save_marks(journal: Journal, exposure: Exposure, ts_ms: int) -> None:
    """Remember the account's marks."""
    if exposure.peak.is_nan() or exposure.day_start.is_nan():
        return
    row = {
        "account": journal.account,
        "peak": str(exposure.peak),
        "day_start": str(exposure.day_start),
        "day": exposure.day,
        "marked_ms": ts_ms,
    }
    with journal.database.write() as connection:
        connection.execute(delete(equity_marks).where(equity_marks.c.account == journal.account))
        connection.execute(insert(equity_marks).values(row))

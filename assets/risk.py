"""Group `risk`: what the book risks each day, and what live trading did."""

import dagster as dg

from assets.failures import failures_in_words
from assets.live_record import journal_metadata, read_journal
from assets.resources import OperationalStore
from qtm.errors import DataError

GROUP = "risk"
OWNERS = ["team:risk"]


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"sqlite"},
    description=(
        "What the execution journal holds: orders by state, refusals by control, fills, inventory and fees "
        "of every account. The sensor `journal_sensor` makes it again whenever orders moved."
    ),
)
def live_trading(store: OperationalStore) -> dg.MaterializeResult:
    """The execution journal, summarised."""
    with failures_in_words():
        if not store.exists():
            raise DataError(
                "there is no execution journal yet",
                where="setting database_url",
                remedy="start `qtm stream` (against `qtm paper serve`), then materialise this again",
            )
        with store.reading() as connection:
            record = read_journal(connection)
    return dg.MaterializeResult(metadata=journal_metadata(record))

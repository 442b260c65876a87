"""What happens outside Dagster and starts work inside it."""

import dagster as dg
from sqlalchemy import select

from assets.resources import OperationalStore
from pipelines.jobs import LIVE_RECORD
from qtm.store.schema import order_events


@dg.sensor(
    job=LIVE_RECORD,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Every 30 s: when the execution journal holds order events that were not there at the last tick, "
        "summarise it again. The cursor is the id and time of the last event seen: a "
        "new database starts anew."
    ),
)
def journal_sensor(context: dg.SensorEvaluationContext, store: OperationalStore) -> dg.SensorResult:
    """Ask for one `live_record` run per batch of new order events; none while nothing trades."""
    if not store.exists():
        return dg.SensorResult(skip_reason="no execution journal yet: no stream has run here")
    with store.reading() as connection:
        newest = connection.execute(
            select(order_events.c.event_id, order_events.c.ts_ns)
            .order_by(order_events.c.event_id.desc())
            .limit(1)
        ).first()
    if newest is None:
        return dg.SensorResult(skip_reason="the execution journal holds no order event yet")
    cursor = f"{newest.event_id}@{newest.ts_ns}"
    if cursor == context.cursor:
        return dg.SensorResult(skip_reason=f"no order event after number {newest.event_id}")
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=cursor)], cursor=cursor)


SENSORS = (journal_sensor,)

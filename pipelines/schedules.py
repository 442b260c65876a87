"""The clock of the daily run and of the question whether it came."""

from __future__ import annotations

import dagster as dg

from pipelines.jobs import COVERAGE, DAILY_CLOSE, ROLL_UPS, UPKEEP

DAILY_SCHEDULE = dg.build_schedule_from_partitioned_job(
    DAILY_CLOSE,
    name="daily_close_schedule",
    hour_of_day=3,
    minute_of_hour=15,
    description=(
        "Every day at 03:15 UTC for the day that closed at midnight; Binance's archive publishes a day's "
        "files within hours of its end. Stopped until a person switches it on."
    ),
)

COVERAGE_SCHEDULE = dg.ScheduleDefinition(
    name="coverage_schedule",
    job=COVERAGE,
    cron_schedule="0 6 * * *",
    execution_timezone="UTC",
    description="Every day at 06:00 UTC, when the daily run has had its retries; switch it on with that.",
)

UPKEEP_SCHEDULE = dg.ScheduleDefinition(
    name="upkeep_schedule",
    job=UPKEEP,
    cron_schedule="30 6 2 * *",
    execution_timezone="UTC",
    description="On the 2nd of each month at 06:30 UTC, when the month before is complete.",
)

ROLL_UP_SCHEDULE = dg.ScheduleDefinition(
    name="roll_up_schedule",
    job=ROLL_UPS,
    cron_schedule=["45 6 * * 1", "45 6 1 * *"],
    execution_timezone="UTC",
    description="Mondays and on the 1st of each month at 06:45 UTC, when the last daily report is there.",
)

SCHEDULES = (DAILY_SCHEDULE, COVERAGE_SCHEDULE, UPKEEP_SCHEDULE, ROLL_UP_SCHEDULE)

"""What has become of each decision, each night: the labels of the day before, and what has matured since. Only days of which something has
changed are written again."""

from datetime import datetime, timedelta

from airflow.sdk import DAG, CronTriggerTimetable
from tidemark_command import STORE, task

with DAG(
    "nightly_outcomes",
    description="Bring the table outcomes up to date: decisions joined with their labels",
    # An hour and a half for what happened before midnight to be archived.
    schedule=CronTriggerTimetable("30 1 * * *", timezone="UTC"),
    start_date=datetime.fromisoformat("2025-01-01T00:00:00+00:00"),
    # One run brings on all nights that were missed.
    catchup=False,
    max_active_runs=1,
    params={"store": STORE},
    tags=["tidemark"],
    doc_md=__doc__,
):
    task(
        "outcomes",
        'tidemark outcomes ${STORE:+--store "$STORE"}',
        timeout=timedelta(hours=3),
        arguments={"STORE": "{{ params.store }}"},
    )

"""Models watched, each day: do frauds come to light that scores don't explain? Then a candidate is trained and waits in the registry."""

from datetime import datetime, timedelta

from airflow.sdk import DAG, CronTriggerTimetable
from tidemark_command import STORE, task

with DAG(
    "watch_models",
    description="Look at what became of decisions, write alerts, and do what open alerts ask for",
    schedule=CronTriggerTimetable("0 5 * * *", timezone="UTC"),
    start_date=datetime.fromisoformat("2025-01-01T00:00:00+00:00"),
    # A look is at all that is archived by then.
    catchup=False,
    max_active_runs=1,
    params={"store": STORE},
    tags=["tidemark"],
    doc_md=__doc__,
):
    look = task(
        "monitor",
        'tidemark monitor --alert ${STORE:+--store "$STORE"}',
        timeout=timedelta(hours=2),
        arguments={"STORE": "{{ params.store }}"},
    )
    # What failed is tried again the next day, or by who reads of it.
    act = task("act", "tidemark alerts act", timeout=timedelta(hours=6), retries=0)
    look >> act

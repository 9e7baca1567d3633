"""Decisions computed again from the raw logs, each night. A mismatch fails the run at once, and bars promotions; an audit that could not
be made is tried again."""

from datetime import datetime, timedelta

from airflow.sdk import DAG, CronTriggerTimetable
from tidemark_command import FEATURES, task

with DAG(
    "nightly_audit",
    description="Recompute the decisions since the audit before bit for bit and record the verdict in the registry",
    schedule=CronTriggerTimetable("0 2 * * *", timezone="UTC"),
    start_date=datetime.fromisoformat("2025-01-01T00:00:00+00:00"),
    # An audit goes on from the one before, whichever day that was, up to the logs' present end.
    catchup=False,
    max_active_runs=1,
    params={"features": FEATURES},
    tags=["tidemark"],
    doc_md=__doc__,
):
    audit = task(
        "audit",
        'found=0\ntidemark audit ${FEATURES:+--features "$FEATURES"} --all || found=$?\n[ "$found" -le 1 ] || exit "$found"\necho "$found"',
        timeout=timedelta(hours=6),
        arguments={"FEATURES": "{{ params.features }}"},
    )
    # Apart, for a mismatch stays one however often it is looked for: no retries.
    verdict = task(
        "verdict",
        'exit "$FOUND"',
        timeout=timedelta(minutes=1),
        arguments={"FOUND": "{{ ti.xcom_pull(task_ids='audit') }}"},
        retries=0,
    )
    audit >> verdict

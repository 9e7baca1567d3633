"""Decisions computed again from the raw logs, each night. A mismatch fails the run at once, and bars promotions; an audit that could not
be made is tried again."""

from datetime import datetime, timedelta

from airflow.sdk import DAG, CronTriggerTimetable, Param
from tidemark_command import FEATURES, task

with DAG(
    "nightly_audit",
    description="Recompute a sample of decisions bit for bit and record the verdict in the registry",
    schedule=CronTriggerTimetable("0 2 * * *", timezone="UTC"),
    start_date=datetime.fromisoformat("2025-01-01T00:00:00+00:00"),
    # An audit covers the log as it is now, not a day of it.
    catchup=False,
    max_active_runs=1,
    params={
        "features": FEATURES,
        "sample": Param(10_000, type="integer", minimum=1, description="About how many decisions are compared."),
    },
    tags=["tidemark"],
    doc_md=__doc__,
):
    audit = task(
        "audit",
        'found=0\ntidemark audit ${FEATURES:+--features "$FEATURES"} --sample "$SAMPLE" || found=$?\n'
        '[ "$found" -le 1 ] || exit "$found"\necho "$found"',
        timeout=timedelta(hours=6),
        arguments={"FEATURES": "{{ params.features }}", "SAMPLE": "{{ params.sample }}"},
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

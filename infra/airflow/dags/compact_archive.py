"""The archive's small files joined into large ones, each night. Archiving goes on meanwhile; what is read meanwhile is read again."""

from datetime import datetime, timedelta

from airflow.sdk import DAG, CronTriggerTimetable
from tidemark_command import STORE, task

with DAG(
    "compact_archive",
    description="Join the small files of the archive's tables",
    # After the night's readers.
    schedule=CronTriggerTimetable("30 3 * * *", timezone="UTC"),
    start_date=datetime.fromisoformat("2025-01-01T00:00:00+00:00"),
    # One compaction does for all nights that were missed.
    catchup=False,
    max_active_runs=1,
    params={"store": STORE},
    tags=["tidemark"],
    doc_md=__doc__,
):
    task(
        "compact",
        'tidemark archive --compact ${STORE:+--store "$STORE"}',
        timeout=timedelta(hours=3),
        arguments={"STORE": "{{ params.store }}"},
    )

"""A new candidate each week. It waits in the registry: what makes a candidate serve is `tidemark promote`, never this."""

from datetime import datetime, timedelta

from airflow.sdk import DAG, CronTriggerTimetable, Param
from tidemark_command import task

with DAG(
    "retrain",
    description="Train and validate on the newest matured data; ends with a registered candidate and a report",
    schedule=CronTriggerTimetable("0 4 * * 1", timezone="UTC"),
    start_date=datetime.fromisoformat("2025-01-01T00:00:00+00:00"),
    # The newest data is what there is to learn from; a week that was missed would be trained on it just the same.
    catchup=False,
    max_active_runs=1,
    params={"reason": Param("schedule", type="string", minLength=1, description="Why; it goes into the registry, for example an alert.")},
    tags=["tidemark"],
    doc_md=__doc__,
):
    task(
        "retrain",
        'tidemark retrain --reason "$REASON" --json retrain.json >&2\ncat retrain.json | tr -d "\\n"',
        timeout=timedelta(hours=6),
        arguments={"REASON": "{{ params.reason }}"},
    )

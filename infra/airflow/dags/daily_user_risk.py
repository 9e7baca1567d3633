"""The risk of every user, each day, from what was known when the day began (UTC). A run given again overwrites its own day only."""

import os
from datetime import datetime, timedelta

from airflow.sdk import DAG, CronTriggerTimetable, Param
from tidemark_command import STORE, task

# From which day on days that were missed are made up for. Without it only the present counts: nobody wants years of runs at a first start.
SINCE = os.environ.get("TIDEMARK_RISK_SINCE")

with DAG(
    "daily_user_risk",
    description="Risk of every user as the day begins: table and topic user-risk",
    # An hour for what happened before midnight to be archived.
    schedule=CronTriggerTimetable("0 1 * * *", timezone="UTC"),
    start_date=datetime.fromisoformat(f"{SINCE or '2025-01-01'}T00:00:00+00:00"),
    catchup=SINCE is not None,
    max_active_runs=1,
    params={
        "store": STORE,
        "engine": Param("auto", enum=["auto", "local", "spark"], description="auto: Spark from 3 million archived records on."),
        "max_lag": Param(
            24, type="number", minimum=0, description="Hours that the archive may be behind the day; else fail, and try again."
        ),
        "topic": Param(True, type="boolean", description="Publish to the topic user-risk too, unless a newer day was."),
    },
    tags=["tidemark"],
    doc_md=__doc__,
):
    task(
        "score_users",
        'tidemark score-users --as-of "$DAY" --engine "$ENGINE" --max-lag "$MAX_LAG" ${STORE:+--store "$STORE"} ${TOPIC:+--topic}',
        timeout=timedelta(hours=6),
        arguments={
            "DAY": "{{ ds }}",
            "ENGINE": "{{ params.engine }}",
            "MAX_LAG": "{{ params.max_lag }}",
            "STORE": "{{ params.store }}",
            "TOPIC": "{{ 'yes' if params.topic else '' }}",
        },
    )

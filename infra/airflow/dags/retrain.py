"""A new candidate each week. It waits in the registry: what makes a candidate serve is `tidemark promote`, never this."""

from datetime import datetime, timedelta

from airflow.sdk import DAG, CronTriggerTimetable, Param
from tidemark_command import FEATURES, STORE, task

with DAG(
    "retrain",
    description="Train and validate on the newest matured data; ends with a registered candidate and a report",
    schedule=CronTriggerTimetable("0 4 * * 1", timezone="UTC"),
    start_date=datetime.fromisoformat("2025-01-01T00:00:00+00:00"),
    # The newest data is what there is to learn from; a week that was missed would be trained on it just the same.
    catchup=False,
    max_active_runs=1,
    params={
        "reason": Param("schedule", type="string", minLength=1, description="Why; it goes into the registry, for example an alert."),
        "features": FEATURES,
        "store": STORE,
        "data": Param("", type="string", description="A file, or a folder of tidemark training-set; empty: the archive."),
        "immature": Param("", enum=["", "left-out", "weighted"], description="Transactions younger than labels take; empty: left out."),
        "propensity": Param("", type="string", description="The file's column with each transaction's chance of being let through."),
        "search": Param(0, type="number", minimum=0, description="Seconds to search for hyper-parameters; 0: the settled ones."),
    },
    tags=["tidemark"],
    doc_md=__doc__,
):
    task(
        "retrain",
        'tidemark retrain --reason "$REASON" --json retrain.json ${FEATURES:+--features "$FEATURES"} ${STORE:+--store "$STORE"} '
        '${DATA:+--data "$DATA"} '
        '${IMMATURE:+--immature "$IMMATURE"} ${PROPENSITY:+--propensity "$PROPENSITY"} '
        '${SEARCH:+--search "$SEARCH"} >&2\ncat retrain.json | tr -d "\\n"',
        timeout=timedelta(hours=6),
        arguments={
            "REASON": "{{ params.reason }}",
            "FEATURES": "{{ params.features }}",
            "STORE": "{{ params.store }}",
            "DATA": "{{ params.data }}",
            "IMMATURE": "{{ params.immature }}",
            "PROPENSITY": "{{ params.propensity }}",
            "SEARCH": "{{ params.search or '' }}",
        },
    )

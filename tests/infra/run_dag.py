"""Runs in Airflow's own environment: one DAG for one day, by ``dag.test()``, told as JSON on the last line of stdout.

run_dag.py DAG_ID DAY CONF
"""

import json
import sys
from datetime import datetime, timedelta
from pathlib import Path

from airflow.configuration import conf
from airflow.dag_processing.dagbag import BundleDagBag


def main() -> None:
    """Runs it without waiting between a task's tries."""
    dag_id, day, given = sys.argv[1:]
    folder = Path(conf.get("core", "dags_folder"))
    bag = BundleDagBag(folder, bundle_path=folder, bundle_name="dags-folder")
    assert not bag.import_errors, bag.import_errors
    dag = bag.dags[dag_id]
    for task in dag.tasks:
        task.retry_delay = timedelta(0)
        task.retry_exponential_backoff = 0
    run = dag.test(logical_date=datetime.fromisoformat(f"{day}T01:00:00+00:00"), run_conf=json.loads(given))
    tasks = {one.task_id: {"state": str(one.state), "tries": one.try_number} for one in run.get_task_instances()}
    print(json.dumps({"state": str(run.state), "tasks": tasks}))


if __name__ == "__main__":
    main()

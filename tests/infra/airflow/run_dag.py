"""Runs in Airflow's own environment: DAGs, one after another, by ``dag.test()``.

    run_dag.py RUNS.json RESULTS.json

A run is {dag, day, conf, environment}, a result {state, tasks: {name: {state, tries}}}. Between a task's tries nobody waits.
"""

import json
import os
import sys
from copy import deepcopy
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.configuration import conf
from airflow.dag_processing.dagbag import BundleDagBag


def main() -> None:
    """Reads the runs, writes the results."""
    wanted, results = map(Path, sys.argv[1:])
    folder = Path(conf.get("core", "dags_folder"))
    bag = BundleDagBag(folder, bundle_path=folder, bundle_name="dags-folder")
    assert not bag.import_errors, bag.import_errors
    for dag in bag.dags.values():
        for task in dag.tasks:
            task.retry_delay, task.retry_exponential_backoff = timedelta(0), 0
    results.write_text(json.dumps([run(bag, **one) for one in json.loads(wanted.read_text())]))


def run(bag: BundleDagBag, dag: str, day: str, conf: dict[str, Any], environment: dict[str, str]) -> dict[str, Any]:
    """One run of a DAG for a day."""
    os.environ.update(environment)
    # A run writes its parameters into the DAG and its tasks, where the next one would find them.
    wanted = deepcopy(bag.dags[dag])
    for task in wanted.tasks:
        task.params = deepcopy(task.params)
    done = wanted.test(logical_date=datetime.fromisoformat(f"{day}T01:00:00+00:00"), run_conf=conf)
    tasks = {one.task_id: {"state": str(one.state), "tries": one.try_number} for one in done.get_task_instances()}
    return {"dag": dag, "state": str(done.state), "tasks": tasks}


if __name__ == "__main__":
    main()

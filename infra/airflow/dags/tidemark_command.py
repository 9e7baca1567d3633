"""A ``tidemark`` command as a task. Its exit status says how it went: 0 well, 1 it found something wrong, 2 something is to be fixed."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import Param

# A service that is restarted, or a compaction that took a file away, is over by the second or third try.
RETRIES = 3
RETRY_DELAY = timedelta(minutes=5)

STORE = Param("", type="string", title="Offline store", description="A folder or s3://…; empty: the deployment's.")
FEATURES = Param("", type="string", title="Feature set", description="Empty: the deployment's.")


def task(task_id: str, command: str, timeout: timedelta, arguments: Mapping[str, str] | None = None, **settings: Any) -> BashOperator:
    """A task that runs ``command`` in Bash, on the PATH and with the TIDEMARK_… variables that Airflow was started with.

    ``arguments``, templates, are its environment variables: what a person types as a parameter is then never read as Bash. The whole is
    ended after ``timeout``, and tried again if it fails.
    """
    retrying = {"retries": RETRIES, "retry_delay": RETRY_DELAY, "retry_exponential_backoff": True, "max_retry_delay": timedelta(hours=1)}
    return BashOperator(
        task_id=task_id,
        bash_command=f"set -eu\n{command}\n",
        env=dict(arguments or {}),
        append_env=True,
        execution_timeout=timeout,
        **{**retrying, **settings},
    )

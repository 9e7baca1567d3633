"""MLflow as our processes import it."""

import subprocess
import sys

import pytest

_ASK = """
import sys
{before}
from mlflow.tracking.request_header.registry import resolve_request_headers
assert resolve_request_headers()["User-Agent"].startswith("mlflow-python-client")
print("feast" in sys.modules)
"""


@pytest.mark.parametrize(
    ("before", "imported"),
    [("from models.registry import mlflow_client; mlflow_client.quiet()", "False"), ("", "True")],
    ids=["ours", "without"],
)
def test_asking_mlflow_imports_no_feast(before: str, imported: str) -> None:
    """Where it does without us, for else this shows nothing."""
    done = subprocess.run([sys.executable, "-c", _ASK.format(before=before)], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == imported, done.stderr

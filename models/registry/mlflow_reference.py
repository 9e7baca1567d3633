"""The reference that a registered version is kept with, by which a monitor tells drift."""

import tempfile
from pathlib import Path

from features.errors import UserError
from models.monitoring.reference import Reference
from models.registry import mlflow_client
from models.registry.record import MODEL_NAME, REFERENCE_FILE


def reference_of(model_digest: str, tracking_uri: str) -> Reference | None:
    """That of the version whose decisions name this digest; None if it was registered without one, or is gone.

    Raises UserError if it can't be read.
    """
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    client = mlflow_client.connect(tracking_uri)
    found = [
        version for version in client.search_model_versions(f"name = '{MODEL_NAME}'") if version.tags.get("model_digest") == model_digest
    ]
    if not found:
        return None
    source = client.get_model_version_download_uri(MODEL_NAME, found[0].version)
    with tempfile.TemporaryDirectory(prefix="tidemark-model-") as scratch:
        try:
            file = Path(download_artifacts(f"{source}/{REFERENCE_FILE}", dst_path=scratch, tracking_uri=tracking_uri))
            content = file.read_bytes()
        except (OSError, MlflowException):
            return None
    try:
        return Reference.from_json(content)
    except ValueError as error:
        raise UserError(f"the {REFERENCE_FILE} of version {found[0].version} can't be read ({error}); train one anew") from None

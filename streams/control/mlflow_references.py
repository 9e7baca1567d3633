"""The references of the model versions that decide, as the registry has them."""

from features.errors import UnavailableError
from models.monitoring.reference import Reference
from models.registry.mlflow_reference import reference_of


class References:
    """Those of one registry. What it has given is remembered, for a version never changes."""

    def __init__(self, tracking_uri: str) -> None:
        self._tracking_uri = tracking_uri
        self._known: dict[str, Reference | None] = {}

    def of(self, model_digest: str) -> Reference | None:
        """That of the version whose decisions name this digest, None if it has none. Raises UnavailableError if the registry can't be
        asked, UserError if what it has can't be read."""
        if model_digest not in self._known:
            from mlflow.exceptions import MlflowException

            try:
                self._known[model_digest] = reference_of(model_digest, self._tracking_uri)
            except (MlflowException, OSError) as error:
                raise UnavailableError(f"the registry at {self._tracking_uri} can't be asked for a reference ({error})") from error
        return self._known[model_digest]

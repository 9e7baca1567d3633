"""What MLflow keeps of how a model came about: data, people, code, quality, pictures, card."""

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from features.errors import UserError
from models.learners.parameters import Parameters
from models.registry.record import EVALUATED, TrainingRecord

if TYPE_CHECKING:
    from mlflow import MlflowClient

_LONGEST_NOTE = 4_500


def log_run(
    client: "MlflowClient",
    run_id: str,
    metrics: Mapping[str, float],
    parameters: Parameters,
    tags: Mapping[str, str],
    record: TrainingRecord | None,
) -> None:
    """Gives a run all that is to be known of a training but the model."""
    from mlflow.entities import Metric, Param, RunTag

    if record is not None:
        log_record(client, run_id, record)
    now = int(time.time() * 1000)
    client.log_batch(
        run_id,
        [Metric(name, value, now, 0) for name, value in metrics.items()],
        [Param(name, str(value)) for name, value in parameters.items()],
        [RunTag(name, value) for name, value in tags.items()],
    )


def log_record(client: "MlflowClient", run_id: str, record: TrainingRecord) -> None:
    """Adds it all to a run."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, RunTag

    now = int(time.time() * 1000)
    tags = {
        **record.tags(),
        "mlflow.user": record.provenance.author,
        "mlflow.source.name": record.provenance.command or "tidemark",
        "mlflow.source.git.commit": record.provenance.code.removesuffix("+changes"),
        "mlflow.note.content": record.card[:_LONGEST_NOTE],
    }
    metrics = [Metric(name, value, now, 0) for name, value in record.evaluation.as_metrics(EVALUATED).items()]
    client.log_batch(run_id, metrics, [], [RunTag(name, value) for name, value in tags.items()])
    profile = msgspec.json.encode({"rows": record.data.rows, "first_ms": record.data.first, "last_ms": record.data.last}).decode()
    source = msgspec.json.encode({"paths": record.data.paths}).decode()
    # MLflow's own digests are short; the whole one is a tag.
    data = Dataset("training data", record.data.digest[:36], "local", source, profile=profile)
    client.log_inputs(run_id, [DatasetInput(data, [InputTag("mlflow.data.context", "training")])])
    with tempfile.TemporaryDirectory(prefix="tidemark-record-") as scratch:
        for path, content in record.beside_the_run().items():
            file = Path(scratch) / path
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(content)
        client.log_artifacts(run_id, scratch)


@contextmanager
def refusing_in_words(tracking_uri: str, doing: str) -> Iterator[None]:
    """Turns what a registry that is down, or a disk that is full, does to the block into a UserError: ``doing`` is what failed."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except OSError as error:  # requests' errors are among them
        place = "" if error.filename is None else f"{error.filename}: "
        reason = place + (error.strerror or _reason(error))
        raise UserError(f"{doing} failed: {reason}; nothing was registered, make room or fix what is named and run it again") from error
    except MlflowException as error:
        raise UserError(
            f"{doing} failed at the registry {tracking_uri}: {_reason(error)}; nothing was registered, see `tidemark doctor` and run it "
            "again"
        ) from error


def _reason(error: Exception) -> str:
    """What a person needs of a library's message."""
    text = str(error).splitlines()[0]
    if any(sign in text for sign in ("Max retries exceeded", "Connection refused", "Connection aborted", "timed out")):
        return "it doesn't answer"
    if "disk is full" in text:
        return "its disk is full"
    return text[:300]

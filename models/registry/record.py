"""What the registry keeps of a model: names, files and digests."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from models.evaluation.judgement import Evaluation
from models.monitoring.reference import Reference
from models.training_set.snapshot import DataSnapshot, Provenance


@dataclass(frozen=True)
class Digests:
    """Hex SHA-256 of the trees' file, of the policy (canonical JSON) and of the features' meaning."""

    model: str
    policy: str
    features: str

    def as_tags(self) -> dict[str, str]:
        """As tags of a model version and as metadata of the folder."""
        return {"model_digest": self.model, "policy_digest": self.policy, "features_digest": self.features}


REFERENCE_FILE, CARD_FILE, EVALUATION_FILE, DATA_FILE = "reference.json", "model_card.md", "evaluation.json", "data.json"
EVALUATED = "eval_"
_LONGEST_PARAM = 5_000


@dataclass(frozen=True)
class TrainingRecord:
    """Of one training: its data and provenance, the evaluation, the reference for drift, the card (Markdown) and plots (PNG by name)."""

    data: DataSnapshot
    provenance: Provenance
    evaluation: Evaluation
    reference: Reference
    card: str
    plots: Mapping[str, bytes] = field(default_factory=dict)

    def beside_the_model(self) -> dict[str, bytes]:
        """Files that belong into the model's own folder."""
        return {REFERENCE_FILE: self.reference.to_json(), CARD_FILE: self.card.encode()}

    def beside_the_run(self) -> dict[str, bytes]:
        """Files that belong to the run, by path."""
        return {
            **self.beside_the_model(),
            EVALUATION_FILE: self.evaluation.to_json(),
            DATA_FILE: msgspec.json.format(msgspec.json.encode(self.data), indent=2) + b"\n",
            **{f"plots/{name}": content for name, content in self.plots.items()},
        }

    def tags(self) -> dict[str, str]:
        """Tags of the run and of the version."""
        return {
            "author": self.provenance.author,
            "date": self.provenance.date,
            "code_version": self.provenance.code,
            "data_paths": ", ".join(self.data.paths)[:_LONGEST_PARAM],
            "data_rows": str(self.data.rows),
            "data_first": str(self.data.first),
            "data_last": str(self.data.last),
            "data_digest": self.data.digest,
        }


MODEL_NAME = "tidemark"
Role = Literal["champion", "candidate"]


@dataclass(frozen=True)
class Registered:
    """A model in the registry: its version, whether it serves or waits, its run, and the digests that decisions will name."""

    version: str
    role: Role
    run_id: str
    digests: Digests

    @property
    def uri(self) -> str:
        """What ``load`` takes."""
        return f"models:/{MODEL_NAME}/{self.version}"

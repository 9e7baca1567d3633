"""Which model decides a transaction, and by which revision of what serves."""

from dataclasses import dataclass

from models.scoring import Scorer


@dataclass(frozen=True)
class Variant:
    """The model a transaction is assigned to, and by which revision of the control topic."""

    scorer: Scorer
    name: str = "champion"
    control_revision: int = 0

    @property
    def identity(self) -> dict[str, str | int]:
        """What its decisions name it by."""
        scorer = self.scorer
        return {
            "model_name": scorer.model_name,
            "model_version": scorer.model_version,
            "model_digest": scorer.model_digest,
            "policy_digest": scorer.policy.digest,
            "variant": self.name,
            "control_revision": self.control_revision,
        }

"""What a stage's process has to know of its surroundings; handed to it whole by whoever starts it."""

from pathlib import Path

import msgspec

from features.definitions import FEATURE_SETS, FeatureSet


class DeploymentConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One deployment, as its workers see it.

    ``application`` prefixes consumer groups and transactional ids; ``currency`` is the one settlement currency (ISO 4217).
    ``online`` False: the online store is left alone, so the API and Feast see no updates.
    ``kafka_security`` are the properties that ``streams/kafka/security.py`` has checked, empty for a broker without TLS and SASL. They,
    ``redis`` and ``mlflow`` may hold passwords, and ``answer_key`` is a secret: hand a configuration on by a pipe, never as an argument;
    its ``repr`` shows none of them.
    ``answer_key`` seals what only this deployment may say (``streams/messages/seal.py``); without one it believes nobody, itself included.
    ``home`` is the folder of what is kept for times without a service; empty: nothing is.
    ``metrics``, if given, is the host:port at which the first stage serves what it counts, the others on the ports after it.
    """

    kafka: str
    redis: str
    mlflow: str
    feast_repo: str
    features: str = "fraud_v1"
    currency: str = "EUR"
    application: str = "tidemark"
    online: bool = True
    metrics: str = ""
    answer_key: str = ""
    home: str = ""
    kafka_security: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"DeploymentConfig(application={self.application!r}, kafka={self.kafka!r}, features={self.features!r})"

    @property
    def feature_set(self) -> FeatureSet:
        """The feature set that both stages compute."""
        return FEATURE_SETS[self.features]

    @property
    def feast_path(self) -> Path:
        """The folder of the Feast repository."""
        return Path(self.feast_repo)

    def group(self, stage: str) -> str:
        """The consumer group, which is the Faust app id, of a stage."""
        return f"{self.application}-{stage}"


LABELS_COPY, INGEST, SCORE, PROFILES, MONITOR, ALERTS = "labels", "ingest", "score", "profiles", "monitor", "alerts"
DECIDING = (LABELS_COPY, INGEST, SCORE, PROFILES)
"""The stages by which transactions are decided; the others watch."""
PROJECTING = (INGEST, SCORE, PROFILES)
"""The stages that write the online store."""

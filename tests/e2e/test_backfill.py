"""From one feature set to another on a living log: refused until the states are built, then as if it had always been the other."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from features.online.feast_store import OnlineReader
from models.registry import mlflow_registry
from streams.config import DeploymentConfig
from streams.delivery.kafka_rebuild import decode_any
from streams.ingest import reapply
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.messages.events import Decision
from streams.messages.validation import Validator
from streams.score import relearn
from streams.state.merchants import ScoreState
from streams.state.users import IngestState
from tests.faults.oracle import contents, restore
from tests.made.records import label, transaction
from tests.made.seal import SEAL
from tests.run.deployment import Deployment, champion
from tests.run.emptied import emptied

START = 1_700_000_000_000


@pytest.fixture
def deployment(shared: Deployment, tmp_path: Path) -> Iterator[Deployment]:
    with emptied(shared, tmp_path / "home", partitions=2) as deployment:
        yield deployment


def test_states_of_another_feature_set_are_built_beside_and_taken_up(deployment: Deployment) -> None:
    champion(deployment.config)
    made = [transaction(i, f"u{i % 7}", f"m{i % 5}", START + i * 3_600_000, device_id=f"d{i % 3}") for i in range(300)]
    deployment.send([*made[:150], label(0, made[3], START + 8 * 86_400_000)])
    deployment.work_until_idle()

    other: DeploymentConfig = msgspec.structs.replace(deployment.config, features="fraud_v2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Deployment, "environment", deployment.environment | {"TIDEMARK_FEATURES": "fraud_v2"})
        refused = deployment.tidemark("worker", "--until-idle", timeout=120)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1), refused.stderr
    assert "computes fraud_v2" in refused.stderr
    assert "tidemark rebuild-state" in refused.stderr
    kept = deployment.tidemark("up", "--features", "fraud_v2")
    assert kept.returncode == 2
    assert "`tidemark rebuild-state --features fraud_v2`" in kept.stderr

    done = deployment.tidemark("rebuild-state", "--features", "fraud_v2")
    assert done.returncode == 0, done.stderr
    assert "state.users[0]: " in done.stdout
    assert "it is this deployment's feature set now" in done.stdout
    registered = champion(other)
    mlflow_registry.promote(registered.version, other.mlflow)
    deployment.send(made[150:])
    deployment.work_until_idle()

    decisions = deployment.messages("decisions", Decision)
    assert Counter(decision.transaction_id for decision in decisions) == Counter(f"t{i}" for i in range(300))
    by_features = Counter(decision.features_digest for decision in decisions)
    assert by_features == {deployment.config.feature_set.digest: 150, other.feature_set.digest: 150}
    log, reader = KafkaLog(KafkaClients.of(other), "test"), OnlineReader(other.feast_path)
    records, batches = deployment.read("transactions"), deployment.read("transactions.by-merchant")
    for partition in (0, 1):
        states: list[IngestState | ScoreState] = []
        for _ in range(2):
            states.append(IngestState(other.feature_set, Validator("transactions", partition, 2, "EUR", SEAL), 2))
            states.append(ScoreState(other.feature_set, 2, 2, other.currency))
        users, merchants, saved_users, saved_merchants = states
        assert isinstance(users, IngestState)
        assert isinstance(merchants, ScoreState)
        reapply(users, [record for record in records if record.partition == partition])
        relearn(merchants, [decode_any(record, partition) for record in batches if record.partition == partition])
        for topic, computed, saved in (("state.users", users, saved_users), ("state.merchants", merchants, saved_merchants)):
            assert restore(log, topic, partition, SEAL, saved)
            assert contents(saved) == contents(computed)
            for name, encoded in zip(computed.entity.names, computed.entity.encode(np.arange(len(computed.entity))), strict=True):
                online = reader.states(name, name)[0 if computed is users else 1]
                assert online is not None
                assert (online.digest, online.state) == (other.feature_set.digest, encoded)
    log.close()


@pytest.mark.slow
def test_a_rebuild_waits_for_workers_and_for_what_is_under_way(deployment: Deployment) -> None:
    champion(deployment.config)
    deployment.send([transaction(i) for i in range(20)])
    with deployment.running("worker"):
        deployment.settle()
        done = deployment.tidemark("rebuild-state", "--features", "fraud_v2")
        assert done.returncode == 2
        assert "have members; stop all workers first" in done.stderr
    deployment.send([transaction(i) for i in range(20, 40)])
    deployment.work_until_idle("--stages", "ingest")
    done = deployment.tidemark("rebuild-state", "--features", "fraud_v2")
    assert done.returncode == 2
    assert "were made for the former features" in done.stderr

"""Scores one transaction now: reads both states, finishes the vector, decides, and has the stream repeat the answer."""

import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import cast

import numpy as np

from features.arrays import Float32
from features.online.feast_store import KeyState, OnlineReader, OnlineStoreError
from features.online.on_demand import vector, vector_of_request
from models.experiments.variant import Variant
from models.reasons import reasons
from streams.config import DeploymentConfig
from streams.control.mlflow_champion import Champion
from streams.health.feast_health import OnlineWatch
from streams.kafka.client import KafkaClients, KafkaError, Message
from streams.messages import answer
from streams.messages.code_digest import code_digest
from streams.messages.decisions import in_words
from streams.messages.events import Decision, Source, Transaction, encode
from streams.messages.headers import answer_header
from streams.messages.partitioner import PRODUCER_SETTING
from streams.messages.seal import Seal
from streams.messages.topics import TRANSACTIONS

_ACKNOWLEDGED_WITHIN_S = 5.0


class NotRecordedError(Exception):
    """The broker did not acknowledge the transaction, so no decision may be returned."""


class SynchronousScorer:
    """Scores transactions one at a time, from any thread. An answer is given only once the broker has the transaction with it.

    ``degrade``: while the online store fails, decide by what the request itself says, all that is known of user and merchant missing.
    """

    def __init__(self, config: DeploymentConfig, *, degrade: bool = False) -> None:
        self._config = config
        self._degrade = degrade
        self._seal = Seal(config.answer_key)
        self._feature_set = config.feature_set
        self._reader = OnlineReader(Path(config.feast_repo))
        self._watch = OnlineWatch(config, self._reader)
        self._champion = Champion(config.mlflow, config.feature_set, config.home)
        # Read once, before the first request would wait for it.
        self._code_digest = code_digest()
        self._producer = KafkaClients.of(config).producer(
            {**PRODUCER_SETTING, "enable.idempotence": True, "linger.ms": 0, "message.timeout.ms": 5_000}
        )
        self._closing = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="delivery reports", daemon=True)
        self._poller.start()

    def score(self, transaction: Transaction) -> Decision:
        """The decision on a valid transaction (event_time in ms), as ``decisions`` will carry it; see its ``degraded``.

        Raises OnlineStoreError if Feast doesn't answer in time or has lost what it had, unless it is to degrade, and NotRecordedError if
        the broker doesn't answer.
        """
        try:
            self._require_whole()
            user, merchant = self._reader.states(transaction.user_id, transaction.merchant_id)
            features = vector(
                self._feature_set,
                user.state if user else None,
                merchant.state if merchant else None,
                transaction.event_time,
                transaction.amount,
                transaction.device_id,
            )
            degraded = False
        except OnlineStoreError:
            if not self._degrade:
                raise
            user = merchant = None
            features = vector_of_request(self._feature_set, transaction.event_time, transaction.amount)
            degraded = True
        decision = self._decide(transaction, features, self._champion.current(), degraded)
        answered = answer.Answer(decision, features.tobytes(), _position(user), _position(merchant), self._code_digest)
        decision.source = self._record(transaction, answered)
        return decision

    def _require_whole(self) -> None:
        """Raises OnlineStoreError if the online store has lost what it had: all users would look as if they were new."""
        lack = self._watch.lack
        if lack is None and self._reader.sentinel() != self._watch.sentinel:
            lack = "has lost its data"
        if lack is not None:
            raise OnlineStoreError(f"it {lack}")

    def ready(self) -> list[str]:
        """What is missing before transactions can be scored, a sentence each; empty if nothing is."""
        missing = []
        if not self._champion.loaded:
            missing.append("there is no champion in the registry yet; train one with tidemark train")
        try:
            self._reader.states("", "")
            self._require_whole()
        except Exception as error:  # readiness reports whatever keeps the store from answering
            missing.append(f"the online store can't be relied on: {error}")
        try:
            self._producer.list_topics(TRANSACTIONS.name, timeout=2)
        except Exception as error:  # and whatever keeps the broker from it
            missing.append(f"Kafka at {self._config.kafka} doesn't answer: {error}")
        return missing

    def close(self) -> None:
        """Ends the threads and connections."""
        self._producer.flush(_ACKNOWLEDGED_WITHIN_S)
        self._closing.set()
        self._poller.join()
        self._watch.close()
        self._champion.close()

    def _decide(self, transaction: Transaction, features: Float32, variant: Variant, degraded: bool) -> Decision:
        scorer = variant.scorer
        scores = scorer.score(features[np.newaxis])
        (action,), (risk_score,), (risk_level,), (probability,) = in_words(scores)
        return Decision(
            transaction_id=transaction.transaction_id,
            event_time=transaction.event_time,
            user_id=transaction.user_id,
            merchant_id=transaction.merchant_id,
            amount=transaction.amount,
            currency=transaction.currency,
            decision=action,
            risk_score=risk_score,
            risk_level=risk_level,
            probability=probability,
            reasons=reasons(scorer, features[np.newaxis])[0] if scores.decision[0] else [],
            model_name=scorer.model_name,
            model_version=scorer.model_version,
            model_digest=scorer.model_digest,
            policy_digest=scorer.policy.digest,
            variant=variant.name,
            control_revision=variant.control_revision,
            features_digest=scorer.features_digest,
            source=Source(TRANSACTIONS.name, -1, -1),
            origin="api",
            decided_at=time.time_ns() // 1_000_000,
            degraded=degraded,
        )

    def _record(self, transaction: Transaction, answered: answer.Answer) -> Source:
        """Produces the transaction with its answer; where the broker put it."""
        delivered: Future[Source] = Future()

        def report(error: KafkaError | None, message: Message) -> None:
            if error is None:
                delivered.set_result(Source(TRANSACTIONS.name, cast(int, message.partition()), cast(int, message.offset())))
            else:
                delivered.set_exception(NotRecordedError(error.str()))

        key, value = transaction.user_id.encode(), encode(transaction)
        headers: list[tuple[str, str | bytes | None]] = [answer_header(self._seal, key, value, answer.encode(answered))]
        self._producer.produce(TRANSACTIONS.name, value, key, on_delivery=report, headers=headers)
        try:
            return delivered.result(_ACKNOWLEDGED_WITHIN_S + 1)
        except TimeoutError:
            raise NotRecordedError(f"no acknowledgement within {_ACKNOWLEDGED_WITHIN_S:.0f} s") from None

    def _poll(self) -> None:
        while not self._closing.is_set():
            self._producer.poll(0.1)


def _position(state: KeyState | None) -> answer.StatePosition:
    return answer.StatePosition(-1, -1) if state is None else answer.StatePosition(state.partition, state.offset)

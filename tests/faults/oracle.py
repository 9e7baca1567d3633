"""The single-pass oracle: what the logs say must have been decided, known and shown, against what was.

INGEST is computed again over each partition of ``transactions``, in one process and one go; what is on ``transactions.by-merchant``
must be that, as a set. SCORE is computed again over the committed merchants' log, whose order is the order of decisions.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.online.feast_store import OnlineReader
from features.state import EntityState
from models.experiments.variant import Variant
from models.registry import mlflow_registry
from models.registry.record import MODEL_NAME
from streams.config import DeploymentConfig
from streams.ingest import Routed, ingest
from streams.kafka.admin import partition_count
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.messages import batches, scoring_log
from streams.messages.dead_letters import letter_in
from streams.messages.events import DeadLetter, Decision, encode
from streams.messages.record import LogRecord, SourcePosition
from streams.messages.seal import Seal
from streams.messages.topics import BY_MERCHANT, DEAD_LETTERS, DECISIONS, SCORING_LOG, STATE_MERCHANTS, STATE_USERS, TRANSACTIONS, USERS
from streams.messages.validation import Validator
from streams.online.profiles import fold
from streams.score import Observed, advance, decide, gave_up
from streams.state import saved_state
from streams.state.merchants import ScoreState
from streams.state.saved_state import Savable
from streams.state.users import IngestState

Hashes = npt.NDArray[np.uint64]


@dataclass
class FaultVerdict:
    """How many of each were found; all but the first three should be zero."""

    transactions: int = 0
    decisions: int = 0
    dead_letters: int = 0
    lost: int = 0
    duplicated: int = 0
    wrong: int = 0
    wrong_state: int = 0
    wrong_online: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether every promise was kept."""
        return not (self.lost or self.duplicated or self.wrong or self.wrong_state or self.wrong_online)

    def note(self, kind: str, count: int, example: object) -> None:
        """Counts faults, and keeps an example."""
        if count:
            setattr(self, kind, getattr(self, kind) + count)
            self.examples.append(f"{kind}: {example}")


@dataclass
class _Output:
    """What was said of each record of one source partition, by offset."""

    decided: npt.NDArray[np.int16]
    decision: Hashes
    model: npt.NDArray[np.int16]
    logged: npt.NDArray[np.int16]
    vector: Hashes
    row: Hashes
    target: npt.NDArray[np.int16]
    seen: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, n: int) -> "_Output":
        numbers = [np.zeros(n, np.int16) for _ in range(3)]
        hashes = [np.zeros(n, np.uint64) for _ in range(3)]
        return cls(numbers[0], hashes[0], numbers[1] - 1, numbers[2], hashes[1], hashes[2], np.full(n, -1, np.int16), np.zeros(n, np.bool_))


class Oracle:
    """Looks at a deployment whose workers have stopped after all was done; ``versions`` are those of the models that served.

    ``failing``: the amounts on which users' states, merchants' states and the model fail, so that such a record must be given up.
    """

    def __init__(self, config: DeploymentConfig, versions: Sequence[str] = ("1",), failing: Mapping[str, int] | None = None) -> None:
        self._config = config
        self._seal = Seal(config.answer_key)
        self._versions = versions
        self._log = KafkaLog(KafkaClients.of(config), "oracle")
        self._sources = partition_count(KafkaClients.of(config), TRANSACTIONS.name)
        self._targets = partition_count(KafkaClients.of(config), BY_MERCHANT.name)
        self._schema = batches.batch_schema(config.feature_set)
        self._outputs: list[_Output] = []
        self._models: dict[str, int] = {}
        self._variants: list[Variant] = []
        self._users: dict[int, IngestState] = {}
        self._merchants: dict[int, ScoreState] = {}
        self._letters: Counter[bytes] = Counter()
        self._failing = {kind: f'"amount":{amount},'.encode() for kind, amount in (failing or {}).items()}
        self._culprits: dict[str, set[SourcePosition]] = {kind: set() for kind in ("user", "merchant", "model")}
        self.verdict = FaultVerdict()

    def judge(self, *, online: bool = True) -> FaultVerdict:
        """The verdict on everything; ``online`` includes what Feast holds."""
        self._outputs = [_Output.of(self._end(TRANSACTIONS.name, source)) for source in range(self._sources)]
        self._read_decisions()
        self._read_scoring_log()
        for source in range(self._sources):
            self._compute_users(source)
        for target in range(self._targets):
            self._compute_merchants(target)
        self._compare_rows()
        self._compare_letters()
        self._compare_states()
        if online:
            self._compare_online()
        self._log.close()
        return self.verdict

    def _end(self, topic: str, partition: int) -> int:
        return self._log.bounds(topic, partition)[1]

    def _read(self, topic: str) -> Iterator[tuple[int, LogRecord]]:
        for partition in range(partition_count(KafkaClients.of(self._config), topic)):
            for records in self._records(topic, partition):
                for record in records:
                    yield partition, record

    def _records(self, topic: str, partition: int) -> Iterator[list[LogRecord]]:
        yield from self._log.read(topic, partition, *self._log.bounds(topic, partition))

    def _read_decisions(self) -> None:
        read = msgspec.json.Decoder(Decision).decode
        for _, record in self._read(DECISIONS.name):
            decision = read(record.value or b"")
            output, offset = self._outputs[decision.source.partition], decision.source.offset
            output.decided[offset] += 1
            output.decision[offset] = _hash(decision)
            output.model[offset] = self._models.setdefault(decision.model_digest, len(self._models))
            self.verdict.decisions += 1
        by_digest = {}
        for version in self._versions:
            scorer = mlflow_registry.load(f"models:/{MODEL_NAME}/{version}", self._config.mlflow)
            by_digest[scorer.model_digest] = Variant(scorer)
        self._variants = [by_digest[digest] for digest in self._models]

    def _read_scoring_log(self) -> None:
        for partition, record in self._read(SCORING_LOG.name):
            if not self._seal.is_ours(SCORING_LOG.name, partition, record):
                continue
            table = scoring_log.decode(record.value or b"")
            hashes = _vector_hashes(table["vector"].combine_chunks().flatten().to_numpy().reshape(len(table), -1))
            sources, offsets = table["source_partition"].to_numpy(), table["source_offset"].to_numpy()
            for source in np.unique(sources):
                here = sources == source
                np.add.at(self._outputs[source].logged, offsets[here], 1)
                self._outputs[source].vector[offsets[here]] = hashes[here]

    def _compute_users(self, source: int) -> None:
        validator = Validator(TRANSACTIONS.name, source, self._sources, self._config.currency, self._seal)
        state = self._users[source] = IngestState(self._config.feature_set, validator, self._targets)
        counts: Counter[str] = Counter()
        state.failed = self._culprits["user"]
        for records in self._records(TRANSACTIONS.name, source):
            self._find_culprits(source, records)
            for routed in ingest([(state, records)], counts):
                rows = self._decode(routed).rows
                offsets = rows["offset"].to_numpy()
                self._outputs[source].row[offsets] = _row_hashes(rows)
                self._outputs[source].target[offsets] = routed.partition

    def _find_culprits(self, source: int, records: Sequence[LogRecord]) -> None:
        for kind, amount in self._failing.items():
            self._culprits[kind] |= {(source, record.offset) for record in records if amount in (record.value or b"")}

    def _decode(self, routed: Routed) -> batches.Batch:
        return batches.decode(routed.value, routed.headers, (routed.partition, 0), self._schema, self._config.feature_set)

    def _compute_merchants(self, target: int) -> None:
        state = self._merchants[target] = ScoreState(self._config.feature_set, self._targets, self._sources, self._config.currency)
        state.failed = self._culprits["merchant"]
        counts: Counter[str] = Counter()
        for records in self._records(BY_MERCHANT.name, target):
            read = [
                batches.decode(record.value or b"", record.headers, (target, record.offset), self._schema, self._config.feature_set)
                for record in records
                if self._seal.is_ours(BY_MERCHANT.name, target, record)
            ]
            for batch in read:
                self._compare_said_rows(target, batch.rows)
            for begin in range(0, len(read), 64):
                self._compare_decisions(advance([(state, read[begin : begin + 64])], counts))

    def _compare_said_rows(self, target: int, rows: pa.RecordBatch) -> None:
        sources, offsets, hashes = rows["source"].to_numpy(), rows["offset"].to_numpy(), _row_hashes(rows)
        for source in np.unique(sources):
            here = sources == source
            output = self._outputs[source]
            off = offsets[here]
            wrong = (output.row[off] != hashes[here]) | (output.target[off] != target)
            self.verdict.note("wrong", int(wrong.sum()), f"rows of transactions[{source}] at {off[wrong][:3]} on by-merchant[{target}]")
            output.seen[off] = True

    def _compare_decisions(self, observed: Observed) -> None:
        verdict = self.verdict
        observed = self._without_undecidable(observed)
        self._letters.update(observed.refused)
        n = len(observed.rows)
        verdict.transactions += n
        sources, offsets = observed.rows["source"].to_numpy(), observed.rows["offset"].to_numpy()
        vectors = _vector_hashes(observed.vectors)
        model = np.array([self._outputs[s].model[o] for s, o in zip(sources, offsets, strict=True)], np.int16)
        for number in np.unique(model):
            here = np.flatnonzero(model == number)
            if number < 0:
                verdict.note("lost", len(here), f"no decision on transactions[{sources[here[0]]}] at {offsets[here[0]]}")
                continue
            part = Observed(observed.rows.take(pa.array(here)), observed.position[here], np.ascontiguousarray(observed.vectors[here]), [])
            for i, (_, message) in zip(here, decide(part, self._variants[number], self._config.currency, 0).decisions, strict=True):
                output, offset = self._outputs[sources[i]], offsets[i]
                where = f"transactions[{sources[i]}] at {offset}"
                verdict.note(
                    "wrong", int(output.decision[offset] != _hash(msgspec.json.decode(message, type=Decision))), f"decision on {where}"
                )
                verdict.note("wrong", int(output.logged[offset] == 1 and output.vector[offset] != vectors[i]), f"vector of {where}")
                verdict.note("lost", int(output.logged[offset] == 0), f"scoring log of {where}")
        for source in np.unique(sources):
            off = offsets[sources == source]
            output = self._outputs[source]
            twice = np.maximum(output.decided[off], output.logged[off]) > 1
            verdict.note("duplicated", int(twice.sum()), f"transactions[{source}] at {off[twice][:3]}")
            output.decided[off] = output.logged[off] = 0

    def _without_undecidable(self, observed: Observed) -> Observed:
        """Those on which the model fails refused."""
        places = zip(observed.rows["source"].to_pylist(), observed.rows["offset"].to_pylist(), strict=True)
        here = np.array([place in self._culprits["model"] for place in places], np.bool_)
        if not here.any():
            return observed
        refused = [*observed.refused, *(gave_up(observed.rows, i) for i in np.flatnonzero(here).tolist())]
        return Observed(observed.rows.filter(pa.array(~here)), observed.position[~here], observed.vectors[~here], refused)

    def _compare_rows(self) -> None:
        for source, output in enumerate(self._outputs):
            missing = np.flatnonzero((output.target >= 0) & ~output.seen)
            self.verdict.note("lost", len(missing), f"rows of transactions[{source}] at {missing[:3]}")
            # Those that the oracle met were set to zero.
            invented = np.flatnonzero((output.decided > 0) | (output.logged > 0))
            self.verdict.note("wrong", len(invented), f"decisions nobody asked for, on transactions[{source}] at {invented[:3]}")

    def _expect_letters_of_users(self) -> None:
        """One for each record of users that is refused; they are repeated if their stage dies, which it mustn't where there are any."""
        count = partition_count(KafkaClients.of(self._config), USERS.name)
        for partition in range(count):
            validator = Validator(USERS.name, partition, count, self._config.currency)
            for records in self._records(USERS.name, partition):
                self._letters.update(fold(records, validator, {}, Counter()))

    def _compare_letters(self) -> None:
        self._expect_letters_of_users()
        found = Counter(record.value or b"" for _, record in self._read(DEAD_LETTERS.name) if letter_in(record, self._seal) is not None)
        self.verdict.dead_letters = sum(found.values())
        for letter, count in (self._letters - found).items():
            self.verdict.note("lost", count, letter[:200])
        for letter, count in (found - self._letters).items():
            known = letter in self._letters
            self.verdict.note("duplicated" if known else "wrong", count, letter[:200])

    def _compare_states(self) -> None:
        states: Sequence[tuple[str, dict[int, IngestState] | dict[int, ScoreState]]] = (
            (STATE_USERS.name, self._users),
            (STATE_MERCHANTS.name, self._merchants),
        )
        for topic, by_partition in states:
            for partition, expected in by_partition.items():
                found = self._empty(partition, expected)
                if not restore(self._log, topic, partition, self._seal, found):
                    self.verdict.note("wrong_state", len(expected.entity), f"{topic}[{partition}] holds nothing")
                    continue
                differing = _differences(contents(found), contents(expected))
                self.verdict.note("wrong_state", len(differing), f"{topic}[{partition}] {differing[:3]}")

    def _empty(self, partition: int, like: IngestState | ScoreState) -> Savable:
        if isinstance(like, IngestState):
            return IngestState(self._config.feature_set, like.validator, self._targets)
        return ScoreState(self._config.feature_set, self._targets, self._sources, self._config.currency)

    def _compare_online(self) -> None:
        reader = OnlineReader(self._config.feast_path, timeout=2.0)
        users = {name: encoded for state in self._users.values() for name, encoded in _encoded(state.entity)}
        merchants = {name: encoded for state in self._merchants.values() for name, encoded in _encoded(state.entity)}
        for name, encoded in users.items():
            found, _ = reader.states(name, "nobody")
            self.verdict.note("wrong_online", int(found is None or found.state != encoded), f"user {name}")
        for name, encoded in merchants.items():
            _, found = reader.states("nobody", name)
            self.verdict.note("wrong_online", int(found is None or found.state != encoded), f"merchant {name}")


def restore(log: KafkaLog, topic: str, partition: int, seal: Seal, empty: Savable) -> bool:
    """Puts an empty state where a partition of the state topic says; False if that says nothing."""
    return saved_state.restore(empty, log.newest(topic, partition, seal), topic).saved is not None


def contents(state: Savable) -> dict[object, object]:
    """All that a state knows, by key or by kind, in canonical form."""
    entity = state.entity
    labels = dict(zip(entity.names, state.labels(entity.names, 2**62), strict=True))
    known: dict[object, object] = {("key", name): (encoded, labels[name]) for name, encoded in _encoded(entity)}
    known["progress"] = state.progress()
    if isinstance(state, IngestState):
        known["taken"] = state.taken._taken
    return known


def _differences(found: dict[object, object], expected: dict[object, object]) -> list[object]:
    return [name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)]


def _encoded(entity: EntityState) -> Iterator[tuple[str, bytes]]:
    return zip(entity.names, entity.encode(np.arange(len(entity))), strict=True)


def _hash(decision: Decision) -> int:
    decision.decided_at = 0
    return int.from_bytes(blake2b(encode(decision), digest_size=8).digest(), "little")


_FACTORS = np.random.default_rng(0).integers(1, 2**63, 256, dtype=np.uint64) | np.uint64(1)


def _vector_hashes(vectors: npt.NDArray[np.float32]) -> Hashes:
    words = np.ascontiguousarray(vectors).view(np.uint32).astype(np.uint64)
    return np.asarray((words * _FACTORS[: words.shape[1]]).sum(1, dtype=np.uint64))


def _row_hashes(rows: pa.RecordBatch) -> Hashes:
    width = rows["user_features"].type.list_size
    vectors = np.nan_to_num(rows["user_features"].flatten().to_numpy(zero_copy_only=False), nan=-1.0).astype(np.float32)
    features = np.zeros((len(rows), width), np.float32)
    valid = rows["user_features"].is_valid().to_numpy(zero_copy_only=False)
    features[valid] = vectors.reshape(-1, width)
    names = ("kind", "transaction_id", "event_time", "user_id", "merchant_id", "amount", "fraud", "payload")
    others = zip(*(rows[name].to_pylist() for name in names), strict=True)
    return np.array([hash(row) & 0xFFFFFFFFFFFFFFFF for row in others], np.uint64) ^ _vector_hashes(features)


def letters(config: DeploymentConfig) -> list[DeadLetter]:
    """All dead letters."""
    log = KafkaLog(KafkaClients.of(config), "oracle")
    seal = Seal(config.answer_key)
    found = [
        letter
        for partition in range(partition_count(KafkaClients.of(config), DEAD_LETTERS.name))
        for records in log.read(DEAD_LETTERS.name, partition, *log.bounds(DEAD_LETTERS.name, partition))
        for record in records
        if (letter := letter_in(record, seal)) is not None
    ]
    log.close()
    return found

"""Both stages, pure, while everything happens to them that may: each transaction is decided once, and states are what the logs say."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec import structs

from features.arrays import RecordKind
from features.definitions import DAY, FEATURE_SETS, HOUR
from streams.ingest import Routed, ingest, reapply
from streams.messages import batches
from streams.messages.batches import Batch
from streams.messages.partitioner import partition_of
from streams.messages.record import LogRecord
from streams.messages.validation import Validator
from streams.score import advance
from streams.state import saved_state
from streams.state.merchants import ScoreState
from streams.state.saved_state import Savable, Saver
from streams.state.users import IngestState
from tests.made.records import KAFKA_TIME, label, transaction
from tests.made.saved_states import Topic, contents

START = 1_700_000_000_000
V2 = FEATURE_SETS["fraud_v2"]
SCHEMA = batches.batch_schema(V2)
SOURCES, TARGETS = 2, 2
USERS, MERCHANTS = st.integers(0, 5), st.integers(0, 3)

State = TypeVar("State", bound=Savable)
Decided = tuple[int, int, bytes]
"""Source partition and offset of a transaction, and its vector."""


@dataclass
class Owned(Generic[State]):
    """A partition of a stage: its owner's state, and what is committed of it."""

    state: State
    saver: Saver
    topic: Topic = field(default_factory=Topic)
    committed: int = 0
    position: int = 0


def users_state(source: int) -> IngestState:
    return IngestState(V2, Validator("transactions", source, SOURCES, "EUR"), TARGETS)


def merchants_state() -> ScoreState:
    return ScoreState(V2, TARGETS, SOURCES, "EUR")


def sent_batches(target: int, sent: list[Routed]) -> list[Batch]:
    return [batches.decode(one.value, one.headers, (target, offset), SCHEMA, V2) for offset, one in enumerate(sent)]


class Stages(RuleBasedStateMachine):
    """INGEST says things at least once and commits after; what SCORE decides and its positions become visible together."""

    @initialize()
    def start(self) -> None:
        self.now = START
        self.made: list[LogRecord] = []
        self.log: list[list[LogRecord]] = [[] for _ in range(SOURCES)]
        self.bus: list[list[Routed]] = [[] for _ in range(TARGETS)]
        self.decided: list[Decided] = []
        self.refused: Counter[bytes] = Counter()
        self.users = [self.owned(users_state(source)) for source in range(SOURCES)]
        self.merchants = [self.owned(merchants_state()) for _ in range(TARGETS)]

    def owned(self, state: State) -> Owned[State]:
        return Owned(state, Saver(state))

    def append(self, record: LogRecord) -> None:
        source = partition_of(record.key or b"", SOURCES)
        log = self.log[source]
        # A Kafka time of its own for each, some minutes apart, so that the memory of duplicates is bounded by count and by age.
        log.append(structs.replace(record, offset=len(log), timestamp=KAFKA_TIME + 60_000 * sum(map(len, self.log))))

    @rule(
        user=st.integers(0, 5), merchant=st.integers(0, 3), amount=st.integers(0, 5_000), hours=st.integers(0, 5), device=st.integers(0, 3)
    )
    def produce(self, user: int, merchant: int, amount: int, hours: int, device: int) -> None:
        self.now += hours * HOUR
        made = self.transaction(user, merchant, self.now, amount, device)
        self.made.append(made)
        self.append(made)

    @rule(user=USERS, merchant=MERCHANTS, days=st.floats(0, 60))
    def produce_late(self, user: int, merchant: int, days: float) -> None:
        made = self.transaction(user, merchant, self.now - int(days * DAY), 100, 1)
        self.made.append(made)
        self.append(made)

    def transaction(self, user: int, merchant: int, time: int, amount: int, device: int) -> LogRecord:
        name = f"t{len(self.made)}"
        return transaction(0, f"u{user}", f"m{merchant}", time, amount, transaction_id=name, device_id=f"d{device}" if device else None)

    @rule(back=st.integers(0, 30))
    def duplicate(self, back: int) -> None:
        if self.made:
            self.append(self.made[-1 - back % len(self.made)])

    @rule(back=st.integers(0, 30))
    def conflict(self, back: int) -> None:
        if self.made:
            made = self.made[-1 - back % len(self.made)]
            self.append(structs.replace(made, value=msgspec.json.encode({**msgspec.json.decode(made.value or b""), "amount": 999_999})))

    @rule(user=USERS, value=st.sampled_from([b"{", b"", b"null", b'{"amount":-1}', b"\xff"]))
    def poison(self, user: int, value: bytes) -> None:
        self.append(LogRecord(0, 0, f"u{user}".encode(), value, []))

    @rule(back=st.integers(0, 30), is_fraud=st.booleans(), after=st.integers(-2, 10))
    def label(self, back: int, is_fraud: bool, after: int) -> None:
        if self.made:
            self.append(label(0, self.made[-1 - back % len(self.made)], self.now + after * DAY, is_fraud))

    @rule(back=st.integers(0, 30), is_fraud=st.booleans(), merchant=MERCHANTS, days=st.sampled_from([-60, -1, 0, 1, 60]))
    def label_that_names_something_else(self, back: int, is_fraud: bool, merchant: int, days: int) -> None:
        if self.made:
            sent = label(0, self.made[-1 - back % len(self.made)], self.now, is_fraud)
            message = msgspec.json.decode(sent.value or b"")
            message |= {"merchant_id": f"m{merchant}", "event_time": message["event_time"] + days * DAY + 1}
            self.append(structs.replace(sent, value=msgspec.json.encode(message)))

    @rule(user=USERS, merchant=MERCHANTS)
    def label_before_its_transaction(self, user: int, merchant: int) -> None:
        ahead = self.transaction(user, merchant, self.now, 100, 0)
        self.append(label(0, ahead, self.now))
        self.made.append(ahead)

    @rule(days=st.sampled_from([1, 5, 20, 45, 90]))
    def days_pass(self, days: int) -> None:
        self.now += days * DAY

    @rule(source=st.integers(0, SOURCES - 1), most=st.integers(1, 8), commits=st.booleans())
    def take_transactions(self, source: int, most: int, commits: bool) -> None:
        owned = self.users[source]
        self.say(owned.state, self.log[source][owned.position : owned.position + most])
        owned.position = min(owned.position + most, len(self.log[source]))
        if commits:
            owned.committed = owned.position

    @rule(partition=st.integers(0, TARGETS - 1), most=st.integers(1, 8))
    def take_batches(self, partition: int, most: int) -> None:
        owned = self.merchants[partition]
        read = sent_batches(partition, self.bus[partition])[owned.position : owned.position + most]
        if read:
            observed = advance([(owned.state, read)], Counter())
            places = zip(observed.rows["source"].to_pylist(), observed.rows["offset"].to_pylist(), strict=True)
            self.decided += [(*place, vector.tobytes()) for place, vector in zip(places, observed.vectors, strict=True)]
            self.refused.update(observed.refused)
            owned.position = owned.committed = owned.position + len(read)

    def say(self, state: IngestState, records: list[LogRecord]) -> None:
        for sent in ingest([(state, records)], Counter()) if records else []:
            self.bus[sent.partition].append(sent)

    @rule(stage=st.booleans(), number=st.integers(0, 1), most=st.integers(1, 4))
    def save(self, stage: bool, number: int, most: int) -> None:
        owned = self.users[number] if stage else self.merchants[number]
        # A save commits the positions too.
        owned.topic.write(owned.saver.chunk(owned.position, most))
        owned.committed = owned.position

    @rule(source=st.integers(0, SOURCES - 1))
    def crash_ingest(self, source: int) -> None:
        owned = self.users[source]
        owned.state = users_state(source)
        self.recover(owned)
        state, log = owned.state, self.log[source]
        reapply(state, log[self.begin : owned.committed]) if owned.committed > self.begin else None
        state.ahead = {}
        owned.position = owned.committed

    @rule(partition=st.integers(0, TARGETS - 1))
    def crash_score(self, partition: int) -> None:
        owned = self.merchants[partition]
        owned.state = merchants_state()
        self.recover(owned)
        read = sent_batches(partition, self.bus[partition])[self.begin : owned.committed]
        advance([(owned.state, read)], Counter()) if read else None
        owned.state.ahead = {}
        owned.position = owned.committed

    def recover(self, owned: Owned[State]) -> None:
        restored = saved_state.restore(owned.state, owned.topic, "here")
        owned.saver, self.begin = restored.saver, restored.saved or 0

    @rule(number=st.integers(0, 1), stage=st.booleans())
    def reassign(self, number: int, stage: bool) -> None:
        """The owner saves everything, and another takes over."""
        owned = self.users[number] if stage else self.merchants[number]
        while owned.saver.in_round or owned.saver.saved != owned.position:
            owned.topic.write(owned.saver.chunk(owned.position, 3))
        owned.committed = owned.position
        self.crash_ingest(number) if stage else self.crash_score(number)

    @rule(source=st.integers(0, SOURCES - 1), most=st.integers(1, 8), behind=st.integers(0, 5))
    def speak_as_a_former_owner(self, source: int, most: int, behind: int) -> None:
        """One that has stalled says what its successor says too, before or after it."""
        begin = max(0, self.users[source].committed - behind)
        state = users_state(source)
        reapply(state, self.log[source][:begin]) if begin else None
        self.say(state, self.log[source][begin : begin + most])

    @invariant()
    def no_transaction_is_decided_twice(self) -> None:
        if hasattr(self, "decided"):
            assert len({decided[:2] for decided in self.decided}) == len(self.decided)

    def teardown(self) -> None:
        if not hasattr(self, "log"):
            return
        for source in range(SOURCES):
            self.take_transactions(source, len(self.log[source]) + 1, True)
        for target in range(TARGETS):
            self.take_batches(target, len(self.bus[target]) + 1)
        expected_bus = []
        for source, owned in enumerate(self.users):
            unhurt = users_state(source)
            expected_bus += ingest([(unhurt, self.log[source])], Counter()) if self.log[source] else []
            assert contents(owned.state) == contents(unhurt)
        expected: list[tuple[int, int]] = []
        for sent in expected_bus:
            rows = batches.decode(sent.value, sent.headers, (sent.partition, 0), SCHEMA, V2).rows
            asked = rows.filter(rows["kind"].to_numpy() == RecordKind.TRANSACTION)
            expected += zip(asked["source"].to_pylist(), asked["offset"].to_pylist(), strict=True)
        assert sorted(decided[:2] for decided in self.decided) == sorted(expected)
        decided, refused = [], Counter[bytes]()
        for target, owned_merchants in enumerate(self.merchants):
            undisturbed = merchants_state()
            read = sent_batches(target, self.bus[target])
            if not read:
                continue
            observed = advance([(undisturbed, read)], Counter())
            places = zip(observed.rows["source"].to_pylist(), observed.rows["offset"].to_pylist(), strict=True)
            decided += [(*place, vector.tobytes()) for place, vector in zip(places, observed.vectors, strict=True)]
            refused.update(observed.refused)
            assert contents(owned_merchants.state) == contents(undisturbed)
            # Whoever left one behind, its rows were sent again.
            assert owned_merchants.state.gaps == {}
        assert sorted(self.decided) == sorted(decided)
        assert self.refused == refused


Stages.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
TestStages = Stages.TestCase

"""A slow, obviously right statement of every feature, written from the design alone, for auditors and tests.

It takes nothing of Tidemark but the windows of a feature set. It keeps every event of each key in plain lists and recomputes each feature
from scratch for each transaction. It forgets only what must be: a key that the clock, the latest event time of all, has left far behind.
Where the compiled kernel and this file disagree, this file is read first.

Times are integer milliseconds since 1970 (UTC), amounts integer minor units; every feature is a float32 value.
"""

import math
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple, Protocol, Self

from features.definitions import Entity, FeatureSet

DAY = 86_400_000

DEVICES_REMEMBERED = 8


BOTH: tuple[Entity, Entity] = ("user", "merchant")


class OracleWindow(NamedTuple):
    """A window of `length` ms that moves in steps of `hop` ms and, if `delay` is not 0, leaves that many newest ms out."""

    length: int
    hop: int
    delay: int = 0

    def bounds(self, anchor: int) -> tuple[int, int]:
        """The event times [start, end) that the window covers at `anchor`."""
        newest = (anchor - self.delay) // self.hop  # the tile of the (delayed) anchor
        oldest = newest - self.length // self.hop
        end = newest if self.delay else newest + 1  # a delayed window leaves its newest tile out
        return oldest * self.hop, end * self.hop


class Transaction(Protocol):
    """What the oracle reads of a transaction."""

    @property
    def transaction_id(self) -> str: ...  # noqa: D102
    @property
    def event_time(self) -> int: ...  # noqa: D102
    @property
    def user_id(self) -> str: ...  # noqa: D102
    @property
    def merchant_id(self) -> str: ...  # noqa: D102
    @property
    def amount(self) -> int: ...  # noqa: D102
    @property
    def device_id(self) -> str | None: ...  # noqa: D102


class Label(Protocol):
    """What the oracle reads of a label; `event_time` is that of the labelled transaction."""

    @property
    def transaction_id(self) -> str: ...  # noqa: D102
    @property
    def event_time(self) -> int: ...  # noqa: D102
    @property
    def user_id(self) -> str: ...  # noqa: D102
    @property
    def merchant_id(self) -> str: ...  # noqa: D102
    @property
    def label_time(self) -> int: ...  # noqa: D102
    @property
    def is_fraud(self) -> bool: ...  # noqa: D102


class Event(NamedTuple):
    """One applied transaction of a key, with the mean amount of all that the key had before it; one so old that it is beyond all memory
    counts in no window."""

    time: int
    amount: int
    device: str | None
    in_windows: bool = True
    mean_before: float = math.nan

    def is_large(self, percent: int) -> bool:
        """Whether the amount was above so many percent of the mean, when it came."""
        return quotient(self.amount, self.mean_before) > percent / 100


class PlacedLabel(NamedTuple):
    """A label where its transaction's labels act: with the event time and merchant that the first of them named."""

    transaction_id: str
    event_time: int
    user_id: str
    merchant_id: str
    label_time: int
    is_fraud: bool


class OracleVerdict(NamedTuple):
    """The label of one transaction that counts at the moment."""

    label_time: int
    is_fraud: bool
    event_time: int


@dataclass(frozen=True)
class Summary:
    """What people look up about a user, as of the user's last event and including it; means in float64."""

    count_30d: int
    mean_30d: float
    count: int
    mean: float


@dataclass
class Key:
    """All that was ever applied to one user or one merchant, in the order of the log."""

    events: list[Event] = field(default_factory=list)
    verdicts: dict[tuple[str, str, int], OracleVerdict] = field(default_factory=dict)
    anchor: int | None = None
    too_late: int = 0
    forgotten: int = 0  # how many of the first events count in no window and have left no device

    def as_remembered(self, floor: float) -> "Key":
        """The key itself, or what is left of it if nothing of it is as young as `floor`."""
        frauds = [verdict.event_time for verdict in self.verdicts.values() if verdict.is_fraud]
        youngest = max(frauds if self.anchor is None else [self.anchor, *frauds], default=None)
        if youngest is None or youngest >= floor:
            return self
        verdicts = {identity: verdict for identity, verdict in self.verdicts.items() if verdict.event_time >= floor}
        return Key(self.events, verdicts, self.anchor, self.too_late, len(self.events))

    def anchor_for(self, event_time: int) -> int:
        """A late transaction is judged by what is known now; it never rewinds its key."""
        return event_time if self.anchor is None else max(event_time, self.anchor)

    def amounts_within(self, bounds: tuple[int, int]) -> list[int]:
        """The amounts of the events that a window with these bounds covers."""
        start, end = bounds
        return [event.amount for event in self.events[self.forgotten :] if event.in_windows and start <= event.time < end]

    def large_within(self, bounds: tuple[int, int], percent: int) -> int:
        """How many of these were large when they came."""
        start, end = bounds
        return sum(event.is_large(percent) for event in self.events[self.forgotten :] if event.in_windows and start <= event.time < end)

    def frauds_within(self, bounds: tuple[int, int]) -> int:
        """How many of these turned out to be fraud."""
        start, end = bounds
        return sum(1 for verdict in self.verdicts.values() if verdict.is_fraud and start <= verdict.event_time < end)

    def devices(self, anchor: int, oldest_covered: Callable[[int], int]) -> dict[str, int]:
        """The devices remembered at `anchor`, least recently used first, each with its smallest event time since it is remembered.

        Whoever comes back when no window covers the last anchor any more has none.
        """
        remembered: dict[str, int] = {}
        last: int | None = None
        for number, event in enumerate([*self.events, Event(anchor, 0, None)]):
            now = event.time if last is None else max(last, event.time)
            if number == self.forgotten or (last is not None and last < oldest_covered(now)):
                remembered = {}
            last = now
            if event.device is None:
                continue
            smallest = min(event.time, remembered.pop(event.device, event.time))
            remembered[event.device] = smallest  # now the most recently used
            if len(remembered) > DEVICES_REMEMBERED:
                del remembered[next(iter(remembered))]
        return remembered


class Oracle:
    """Recomputes the features of a transaction from everything that was applied before it.

    Windows go by name. `devices` adds what is known of the user's device, `large` counts, in the amount windows of these names, a user's
    amounts that were above so many percent of the mean before them. What is older than the clock of the slowest of the `sources`
    allows is forgotten; until each has had a transaction, nothing is.
    """

    def __init__(
        self,
        amount_windows: Mapping[str, OracleWindow],
        fraud_windows: Mapping[str, OracleWindow],
        devices: bool = False,
        sources: int = 1,
        large: Iterable[tuple[int, str]] = (),
    ) -> None:
        self.amount_windows = amount_windows
        self.fraud_windows = fraud_windows
        self.with_devices = devices
        self.large = tuple(large)
        self.users: dict[str, Key] = {}
        self.merchants: dict[str, Key] = {}
        self.first_labels: dict[tuple[str, str], tuple[int, str]] = {}
        self.clock: dict[int, int] = {}
        self.sources = sources

    @classmethod
    def of(cls, feature_set: FeatureSet, sources: int = 1) -> Self:
        """The oracle of a feature set: of its definition it takes length, hop and delay of each window, whether there are devices, and
        what is large."""
        amounts, frauds = (
            {window.name: OracleWindow(window.length, window.hop, window.delay) for window in windows}
            for windows in (feature_set.activity, feature_set.outcome)
        )
        return cls(amounts, frauds, feature_set.devices, sources, [(percent, window.name) for percent, window in feature_set.large])

    def observe(self, transaction: Transaction) -> dict[str, float]:
        """The features of `transaction` given what was applied so far; changes nothing."""
        return request_features(transaction) | self.observe_key("user", transaction) | self.observe_key("merchant", transaction)

    def observe_key(self, entity: Entity, transaction: Transaction, source: int = 0) -> dict[str, float]:
        """Only what is known of the transaction's user, or of its merchant."""
        keys, name = (self.users, transaction.user_id) if entity == "user" else (self.merchants, transaction.merchant_id)
        key = keys.get(name, Key()).as_remembered(self._floor(transaction.event_time, source))
        features = self.key_features(entity, key, transaction)
        if entity == "user":
            features |= self.large_features(key, transaction)
        if self.with_devices and entity == "user":
            features |= self.device_features(key, transaction)
        return {feature: as_float32(value) for feature, value in features.items()}

    def apply_transaction(self, transaction: Transaction, source: int = 0, entities: Iterable[Entity] = BOTH) -> None:
        """Make `transaction` part of what its user and its merchant, or one of them, have seen."""
        floor = self._floor(transaction.event_time, source)
        self.move_clock(transaction, source)
        event = Event(transaction.event_time, transaction.amount, transaction.device_id, transaction.event_time >= floor)
        for key in self._keys_of(transaction, entities):
            key.anchor = key.anchor_for(event.time)
            if event.time < max(self._oldest_covered(key.anchor), floor):
                key.too_late += 1
            before = mean_of(event.amount for event in key.events) if self.large else math.nan
            key.events.append(event._replace(mean_before=before))

    def move_clock(self, transaction: Transaction, source: int = 0) -> None:
        """Bring the clock on by a transaction."""
        self.clock[source] = max(transaction.event_time, self.clock.get(source, transaction.event_time))

    def move_anchor(self, transaction: Transaction) -> None:
        """Bring on the anchor of a user about whom nothing is asked but which labels come too late."""
        key = self.users.setdefault(transaction.user_id, Key())
        key.anchor = key.anchor_for(transaction.event_time)

    def apply_label(self, label: Label) -> None:
        """A label that no window of its user reaches counts nowhere, whatever its merchant's windows."""
        placed = self.place(label)
        if not self.is_beyond_horizon(placed):
            self.note_label(placed)

    def place(self, label: Label) -> PlacedLabel:
        """The label where the first one of its transaction, known by user and id, acts. A first one that lies before all memory by now is
        forgotten; then this is the first."""
        identity = (label.user_id, label.transaction_id)
        if identity not in self.first_labels or self.first_labels[identity][0] < self._floor():
            self.first_labels[identity] = (label.event_time, label.merchant_id)
        event_time, merchant_id = self.first_labels[identity]
        return PlacedLabel(label.transaction_id, event_time, label.user_id, merchant_id, label.label_time, label.is_fraud)

    def is_beyond_horizon(self, label: Label) -> bool:
        """Whether the labelled transaction lies before every window of its user, or beyond all memory."""
        anchor = self.users.get(label.user_id, Key()).anchor
        if label.event_time < self._floor():
            return True
        return anchor is not None and label.event_time < self._oldest_covered(anchor)

    def note_label(self, label: Label, entities: Iterable[Entity] = BOTH) -> None:
        """One label per transaction counts, once it is placed: the newest by label time, at equal label time the later in the log."""
        identity = (label.user_id, label.transaction_id, label.event_time)
        for key in self._keys_of(label, entities):
            known = key.verdicts.get(identity)
            if known is None or label.label_time >= known.label_time:
                key.verdicts[identity] = OracleVerdict(label.label_time, label.is_fraud, label.event_time)

    def summary(self, user_id: str) -> Summary:
        """Count and mean of the last 30 days and of all time, as of the user's last event and with it, as far as that is remembered.

        Raises KeyError for a user without a transaction.
        """
        key = self.users[user_id].as_remembered(self._floor())
        if key.anchor is None:
            raise KeyError(user_id)
        month = key.amounts_within(self.amount_windows["30d"].bounds(key.anchor))
        ever = [event.amount for event in key.events]
        return Summary(len(month), mean_of(month), len(ever), mean_of(ever))

    def key_features(self, entity: str, key: Key, transaction: Transaction) -> dict[str, float]:
        """The features of one key, in float64, before `transaction` is applied."""
        anchor = key.anchor_for(transaction.event_time)
        features: dict[str, float] = {}
        for name, window in self.amount_windows.items():
            amounts = key.amounts_within(window.bounds(anchor))
            features[f"{entity}_tx_count_{name}"] = len(amounts)
            features[f"{entity}_mean_amount_{name}"] = mean_of(amounts)
            features[f"{entity}_amount_ratio_{name}"] = quotient(transaction.amount, mean_of(amounts))
        for name, window in self.fraud_windows.items():
            matured = len(key.amounts_within(window.bounds(anchor)))
            frauds = key.frauds_within(window.bounds(anchor))
            features[f"{entity}_matured_count_{name}"] = matured
            features[f"{entity}_fraud_count_{name}"] = frauds
            features[f"{entity}_fraud_rate_{name}"] = quotient(frauds, matured)
        if key.events:
            newest = max(event.time for event in key.events)
            features[f"{entity}_seconds_since_last"] = (anchor - newest) / 1000
            features[f"{entity}_age_seconds"] = (anchor - min(event.time for event in key.events)) / 1000
            features[f"{entity}_last_amount"] = [event.amount for event in key.events if event.time == newest][-1]
        else:
            features[f"{entity}_seconds_since_last"] = math.nan
            features[f"{entity}_age_seconds"] = 0
            features[f"{entity}_last_amount"] = math.nan
        return features

    def large_features(self, user: Key, transaction: Transaction) -> dict[str, float]:
        """How many of the user's amounts were large."""
        anchor = user.anchor_for(transaction.event_time)
        return {
            f"user_large_count_{percent}pct_{name}": user.large_within(self.amount_windows[name].bounds(anchor), percent)
            for percent, name in self.large
        }

    def device_features(self, user: Key, transaction: Transaction) -> dict[str, float]:
        """The device at hand against the user's last devices."""
        anchor = user.anchor_for(transaction.event_time)
        remembered = user.devices(anchor, self._oldest_covered)
        device = transaction.device_id
        if device is None:
            new, age = math.nan, math.nan
        elif device in remembered:
            new, age = 0.0, (anchor - remembered[device]) / 1000
        else:
            new, age = 1.0, 0.0
        return {"user_new_device": new, "user_device_age_seconds": age, "user_device_count": len(remembered)}

    def _keys_of(self, message: Transaction | Label, entities: Iterable[Entity]) -> list[Key]:
        floor, found = self._floor(), []
        for entity in entities:
            keys, name = (self.users, message.user_id) if entity == "user" else (self.merchants, message.merchant_id)
            key = keys[name] = keys.get(name, Key()).as_remembered(floor)
            found.append(key)
        return found

    def _floor(self, time: int | None = None, source: int = 0) -> float:
        """Where memory begins once a source's clock has come to `time`: whole days before the slowest clock's day, as many as the windows
        reach and seven more."""
        clock = self.clock if time is None else {**self.clock, source: max(time, self.clock.get(source, time))}
        if len(clock) < self.sources:
            return -math.inf
        windows = [*self.amount_windows.values(), *self.fraud_windows.values()]
        coarsest = max(window.hop for window in windows)
        day = math.ceil(DAY / coarsest) * coarsest
        reach = max(window.delay + window.length + window.hop for window in windows)
        return min(clock.values()) // day * day - math.ceil((reach + 7 * DAY) / day) * day

    def _oldest_covered(self, anchor: int) -> int:
        """The smallest event time that any window covers at `anchor`; what is older is too late."""
        windows = [*self.amount_windows.values(), *self.fraud_windows.values()]
        return min(window.bounds(anchor)[0] for window in windows)


def request_features(transaction: Transaction) -> dict[str, float]:
    """What follows from the transaction alone, at its own event time."""
    moment = datetime.fromtimestamp(transaction.event_time // 1000, tz=UTC)
    return {
        "amount": transaction.amount,
        "hour": moment.hour,
        "weekday": moment.weekday(),
        "night": moment.hour <= 6,
        "weekend": moment.weekday() in (5, 6),
    }


def mean_of(amounts: Iterable[int]) -> float:
    """The mean in float64 of an exact integer sum, NaN of nothing."""
    values = list(amounts)
    return quotient(sum(values), len(values))


def quotient(part: float, whole: float) -> float:
    """Both sides first to float64; NaN where there is nothing to divide by."""
    if math.isnan(whole) or whole == 0:
        return math.nan
    return float(part) / float(whole)


def as_float32(value: float) -> float:
    """The nearest float32, as a Python float."""
    rounded: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return rounded

"""What is handed from a partition to the online store: the changed states of one entity, as columns, or users' profiles."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from features.arrays import Int64
from features.definitions import Entity


@dataclass(frozen=True, slots=True)
class Summary:
    """Sums that people look up, one entry a key: transactions and amount (minor units) in the stats window, and of all time."""

    window_count: Int64
    window_amount: Int64
    count: Int64
    amount: Int64


@dataclass(frozen=True, slots=True)
class Snapshot:
    """States of keys as they were when the next offset of their source partition was ``position``.

    ``keys``, ``states`` (encoded) and ``anchors`` (int64 ms; NEVER for a key known from labels only) have one entry a key. ``digest`` is
    the feature set's; users have a ``summary``. ``everything`` means that these are all keys of the partition, not just the changed ones.
    """

    entity: Entity
    digest: str
    partition: int
    position: int
    keys: list[str]
    states: list[bytes]
    anchors: Int64
    summary: Summary | None = None
    everything: bool = False

    def __post_init__(self) -> None:
        if not len(self.keys) == len(self.states) == len(self.anchors):
            raise ValueError(f"a snapshot of {len(self.keys)} keys has {len(self.states)} states and {len(self.anchors)} anchors")
        if (self.summary is not None) != (self.entity == "user"):
            raise ValueError(f"a snapshot of {self.entity}s must {'have' if self.entity == 'user' else 'not have'} a summary")

    def __len__(self) -> int:
        return len(self.keys)

    def part(self, begin: int, end: int) -> "Snapshot":
        """The keys from ``begin`` to before ``end``."""
        here = slice(begin, end)
        of = self.summary
        summary = None if of is None else Summary(of.window_count[here], of.window_amount[here], of.count[here], of.amount[here])
        return Snapshot(
            self.entity, self.digest, self.partition, self.position, self.keys[here], self.states[here], self.anchors[here], summary
        )


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of a user: since when it holds and when the user was created (ms), country and segment."""

    since: int
    created_at: int
    country: str
    segment: str


@dataclass(frozen=True, slots=True)
class Profiles:
    """Profiles by user as they were when the next offset of their source partition was ``position``; None for a user that was removed.

    ``everything`` as in ``Snapshot``.
    """

    partition: int
    position: int
    of: Mapping[str, Profile | None]
    everything: bool = False

    def __len__(self) -> int:
        return len(self.of)

    def part(self, begin: int, end: int) -> "Profiles":
        """The users from ``begin`` to before ``end``."""
        return Profiles(self.partition, self.position, dict(islice(self.of.items(), begin, end)))

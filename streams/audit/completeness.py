"""Is all decided that had to be, and published once, as it was logged?

The auditor recomputes what is in scoring-log; this asks whether that is everything, and whether ``decisions`` says the same. It goes by
places on ``transactions``, so it keeps some ten bytes an offset, whatever the decisions hold, until all before it is settled.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from features.arrays import Float64, Int64, RecordKind
from models.policy import ACTIONS, RISK_LEVELS
from models.scoring import Scores
from streams.audit.causes import Cause
from streams.audit.places import Places
from streams.messages.events import Decision, decode_decision, encode
from streams.messages.record import SourcePosition
from streams.messages.topics import DECISIONS, SCORING_LOG, TRANSACTIONS
from streams.score import Observed

_EXAMPLES = 500
_MOST = 1 << 44
_SHARED = (
    *("transaction_id", "user_id", "merchant_id", "event_time", "amount", "probability", "origin", "variant", "model_version"),
    *("model_digest", "policy_digest", "features_digest", "control_revision"),
)
"""What scoring-log and a decision both say, beside the place."""

PLACES = ("logged", "published", "computed")
"""What is kept of places, by name."""

_encode = msgspec.msgpack.Encoder().encode
Judge = Callable[[str, Float64], Scores]
"""What the policy of a model, given by its digest, makes of probabilities."""


class Incomplete(NamedTuple):
    """A transaction that isn't decided, or not published once as it was logged. ``place`` is None for what has none."""

    place: SourcePosition | None
    cause: Cause
    sentence: str

    @property
    def where(self) -> str:
        """Which transaction this is, for people."""
        return "a record" if self.place is None else f"{TRANSACTIONS.name}[{self.place[0]}] at {self.place[1]}"


class SavedCompleteness(NamedTuple):
    """What is not settled: numbers of places by name (``places.TABLE``), and the decisions that came before what they rest on."""

    places: dict[str, pa.Table]
    early: list[bytes]


class Completeness:
    """Of all decisions, whatever their feature set; those of ``judged_features`` (a digest) are compared with what ``judge`` says too.

    First ``log`` the rows of scoring-log and ``compute`` what the auditor recomputes, then ``publish`` what lies on decisions, then ask.
    """

    def __init__(self, currency: str, judged_features: str, judge: Judge) -> None:
        self.decisions = 0
        self.causes: Counter[Cause] = Counter()
        self.examples: list[Incomplete] = []
        self._currency, self._judged_features, self._judge = currency, judged_features, judge
        self._logged, self._published, self._noted = Places(np.uint64), Places(np.uint8), Places(np.bool_)
        self._computed = Places(np.bool_)
        self._early: list[Decision] = []
        self._places = dict(zip(PLACES, (self._logged, self._published, self._computed), strict=True))

    @property
    def mismatches(self) -> int:
        """How many were found."""
        return self.causes.total()

    def log(self, rows: pa.Table) -> None:
        """The next rows of scoring-log."""
        columns = [rows[name].to_pylist() for name in _SHARED]
        digests = np.array([_digest(content) for content in zip(*columns, strict=True)], np.uint64)
        self._logged.set(_int64(rows["source_partition"]), _int64(rows["source_offset"]), digests)

    def compute(self, observed: Observed) -> None:
        """Valid transactions of batches that SCORE has processed."""
        self._computed.set(_int64(observed.rows["source"]), _int64(observed.rows["offset"]), True)

    def publish(self, values: Sequence[bytes], *, logged: bool) -> list[Incomplete]:
        """The next decisions. If what they rest on is all ``logged`` by now, one that isn't there is foreign, as is one of those before;
        else that is seen once scoring-log has been read further."""
        early: list[Decision] = []
        if logged:
            early, self._early = self._early, early
        found, decisions = [], []
        for value in values:
            self.decisions += 1
            try:
                decisions.append(decode_decision(value))
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                found.append(_foreign(f"{DECISIONS.name} holds what is no decision ({error})"))
        found += self._compare(early, logged=True) + self._compare(decisions, logged=logged)
        return self._note(found)

    def missing(self) -> list[Incomplete]:
        """What is logged and was never published, though all decisions that were there when it was logged are read."""
        sentence = f"it is in {SCORING_LOG.name}, {DECISIONS.name} has no decision on it"
        return self._note([Incomplete(place, "missing decision", sentence) for place in self._logged.where(self._are_unpublished)])

    def undecided(self, unsent: Sequence[pa.RecordBatch], ingested: Mapping[int, int], waiting: Places) -> list[SourcePosition]:
        """Valid transactions without a decision: those that SCORE has passed, and those that INGEST has passed (its positions are
        ``ingested``) and that are ``unsent`` (recomputed rows), unless they wait for SCORE."""
        found = list(self._computed.where(self._are_undecided))
        for rows in unsent:
            sources, offsets = _int64(rows["source"]), _int64(rows["offset"])
            passed = np.array([offset < ingested.get(source, 0) for source, offset in zip(sources, offsets, strict=True)], np.bool_)
            asked = (rows["kind"].to_numpy() == RecordKind.TRANSACTION) & passed & (waiting.get(sources, offsets) == 0)
            asked &= self._are_undecided(np.zeros(0), sources, offsets)
            found += zip(sources[asked].tolist(), offsets[asked].tolist(), strict=True)
        return sorted(set(found))

    def settle(self, unsent: Sequence[pa.RecordBatch], learned: Sequence[int]) -> dict[int, int]:
        """Forgets what needs no other look, and returns the offset of each source before which that is all. So far as ``learned`` the
        sources are recomputed; ``unsent`` are rows thereof that no order has named, those of one source together."""
        first = dict(enumerate(learned))
        unsettled = [*self._computed.where(self._are_undecided), *self._logged.where(self._are_unpublished)]
        unsettled += [(rows["source"][0].as_py(), rows["offset"][0].as_py()) for rows in unsent if len(rows)]
        for source, offset in unsettled:
            first[source] = min(first[source], offset)
        for places in self._places.values():
            places.forget_before(first)
        return first

    def saved(self) -> SavedCompleteness:
        """What the next audit needs, to go on."""
        return SavedCompleteness({name: places.table() for name, places in self._places.items()}, list(map(encode, self._early)))

    def resume(self, saved: SavedCompleteness, settled: Mapping[int, int]) -> None:
        """Goes on where another was whose ``saved`` this is; ``settled`` is what its ``settle`` returned."""
        for name, places in self._places.items():
            places.forget_before(settled)
            places.take(saved.places[name])
        self._early = list(map(decode_decision, saved.early))

    def note_undecided(self, places: Collection[SourcePosition]) -> list[Incomplete]:
        """Counts these, of which there is no dead letter either."""
        sentence = "it is valid and INGEST has passed it, and there is neither a decision nor a dead letter"
        return self._note([Incomplete(place, "undecided", sentence) for place in sorted(places)])

    def _are_undecided(self, _numbers: np.ndarray, sources: Int64, offsets: Int64) -> np.ndarray:
        return np.asarray((self._logged.get(sources, offsets) == 0) & ~self._noted.get(sources, offsets))

    def _are_unpublished(self, _numbers: np.ndarray, sources: Int64, offsets: Int64) -> np.ndarray:
        return np.asarray((self._published.get(sources, offsets) == 0) & ~self._noted.get(sources, offsets))

    def _compare(self, decisions: Sequence[Decision], *, logged: bool) -> list[Incomplete]:
        if not decisions:
            return []
        sources, offsets = (np.array(of_each, np.int64) for of_each in zip(*map(_place, decisions), strict=True))
        known = self._logged.get(sources, offsets).tolist()
        times: Counter[SourcePosition] = Counter()
        for place, before in zip(map(_place, decisions), self._published.get(sources, offsets).tolist(), strict=True):
            times[place] = before
        same = [expected != 0 and _content(decision) == expected for decision, expected in zip(decisions, known, strict=True)]
        verdicts, found = self._verdicts(decisions, same), []
        settled = self._logged.are_settled(sources, offsets).tolist()
        for decision, expected, is_same, verdict, is_settled in zip(decisions, known, same, verdicts, settled, strict=True):
            place = _place(decision)
            if is_settled and decision.source.topic == TRANSACTIONS.name:
                sentence = f"{DECISIONS.name} has another decision on {decision.transaction_id!r}, which was settled before"
                found.append(Incomplete(place, "repeated decision", sentence))
            elif not expected and not logged:
                self._early.append(decision)
            elif not expected or decision.source.topic != TRANSACTIONS.name:
                found.append(_foreign(f"{DECISIONS.name} has a decision on {decision.transaction_id!r} that is not in {SCORING_LOG.name}"))
            else:
                times[place] += 1
                if times[place] > 1:
                    sentence = f"{DECISIONS.name} has another decision on {decision.transaction_id!r}"
                    found.append(Incomplete(place, "repeated decision", sentence))
                elif differing := self._differing(decision, verdict, is_same=is_same):
                    found.append(Incomplete(place, "differing decision", f"the decision on {decision.transaction_id!r} has {differing}"))
        published = np.array([place for place, count in times.items() if count], np.int64).reshape(-1, 2)
        self._published.set(published[:, 0], published[:, 1], 1)
        return found

    def _differing(self, decision: Decision, verdict: tuple[str, int, str] | None, *, is_same: bool) -> str:
        if not is_same:
            return f"other content than {SCORING_LOG.name}; tidemark explain {decision.transaction_id} shows what that has"
        if decision.currency != self._currency:
            return f"currency {decision.currency}, the deployment's is {self._currency}"
        if verdict is not None and (decision.decision, decision.risk_score, decision.risk_level) != verdict:
            return f"{decision.decision}, {decision.risk_score}, {decision.risk_level}; by the policy it is {', '.join(map(str, verdict))}"
        return ""

    def _verdicts(self, decisions: Sequence[Decision], same: Sequence[bool]) -> list[tuple[str, int, str] | None]:
        """Action, risk score and level that follow from each one's probability. One that isn't the same as is logged may name a model that
        there isn't."""
        found: list[tuple[str, int, str] | None] = [None] * len(decisions)
        by_model: dict[str, list[int]] = {}
        for i, (decision, is_same) in enumerate(zip(decisions, same, strict=True)):
            if is_same and decision.features_digest == self._judged_features:
                by_model.setdefault(decision.model_digest, []).append(i)
        for digest, here in by_model.items():
            scores = self._judge(digest, np.array([decisions[i].probability for i in here], np.float64))
            for i, action, score, level in zip(here, scores.decision, scores.risk_score, scores.risk_level, strict=True):
                found[i] = ACTIONS[action], int(score), RISK_LEVELS[level]
        return found

    def _note(self, found: Sequence[Incomplete]) -> list[Incomplete]:
        self.causes.update(one.cause for one in found)
        self.examples += found[: max(0, _EXAMPLES - len(self.examples))]
        # A foreign decision may name any place.
        noted = [one.place for one in found if one.place is not None and one.cause in ("undecided", "missing decision")]
        if noted:
            places = np.array(noted, np.int64)
            self._noted.set(places[:, 0], places[:, 1], True)
        return list(found)


def _foreign(sentence: str) -> Incomplete:
    return Incomplete(None, "foreign decision", sentence)


def _place(decision: Decision) -> SourcePosition:
    """Where its transaction is, by what it says; nowhere if no log could have that."""
    source = decision.source
    return (source.partition, source.offset) if 0 <= source.partition < _MOST and 0 <= source.offset < _MOST else (-1, -1)


def _content(decision: Decision) -> int:
    return _digest([getattr(decision, name) for name in _SHARED])


def _digest(content: Sequence[object]) -> int:
    # Never 0, which stands for none.
    return int.from_bytes(blake2b(_encode(tuple(content)), digest_size=8).digest(), "little") | 1


def _int64(column: pa.ChunkedArray | pa.Array) -> Int64:
    return np.asarray(column.to_numpy(), np.int64)

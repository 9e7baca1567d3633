"""Audits decisions: is the vector that each rested on, and the probability, what the logs and the model say, bit for bit?

For a range of the scoring log: ``expect`` its rows, bring the recomputation up to ``needs``, hand over what that ``observe``s, ``settle``.
A state that the API read lies shortly before the decision in the log, so expect the next rows before the recomputation goes on; what is
found to lie behind all the same is a ``straggler``, to be looked at by a recomputation that begins anew.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.arrays import Float32, Int64
from features.definitions import FEATURE_SETS, FeatureSet
from features.online.on_demand import vector, vector_of_request
from models.scoring import Scorer
from streams.audit.computed import ComputedDecision, keys_of_logged, keys_of_recomputed
from streams.audit.oracle_share import OracleShare
from streams.audit.places import Places
from streams.audit.recomputation import Recomputation, StateAt
from streams.audit.scored import Mismatch, Scored, differences
from streams.messages import answer, scoring_log
from streams.messages.record import SourcePosition
from streams.score import Observed

_SPREAD = np.uint64(0x9E3779B97F4A7C15)


@dataclass
class Tally:
    """How many decisions were audited: of the stream, of the API, and of those the degraded ones, which rest on the request alone.

    Not audited: what is ``repeated`` in the log, as after delivery at least once, and what was made with other feature sets that this
    version knows, by name.
    """

    stream: int = 0
    api: int = 0
    degraded: int = 0
    repeated: int = 0
    other_features: Counter[str] = field(default_factory=Counter)

    @property
    def audited(self) -> int:
        """All that were."""
        return self.stream + self.api

    def add(self, other: "Tally") -> None:
        """Adds another's figures."""
        self.stream += other.stream
        self.api += other.api
        self.degraded += other.degraded
        self.repeated += other.repeated
        self.other_features += other.other_features


class SavedComparison(NamedTuple):
    """What was recomputed and is in no row of the scoring log so far, and which places were settled (``places.TABLE``)."""

    observed: list[Observed]
    settled: pa.Table


class Audit:
    """Of a feature set's decisions; ``portion`` (0–1) of them, chosen by place. ``scorer_of`` gives the model of a digest."""

    def __init__(
        self,
        feature_set: FeatureSet,
        recomputation: Recomputation,
        share: OracleShare | None,
        scorer_of: Callable[[str], Scorer],
        portion: float = 1.0,
    ) -> None:
        self.tally = Tally()
        self.stragglers: list[pa.Table] = []
        self._feature_set, self._recomputation, self._share, self._scorer_of = feature_set, recomputation, share, scorer_of
        self._portion = portion
        self._others = {other.digest: other.name for other in FEATURE_SETS.values() if other is not feature_set}
        self._expected: list[tuple[pa.Table, list[Scored]]] = []
        self._observed: list[Observed] = []
        self._disagreed: dict[SourcePosition, tuple[Float32, Float32]] = {}
        self._settled = Places(np.bool_)

    def expect(self, rows: pa.Table) -> None:
        """The next rows of the scoring log, whose vectors are of one width."""
        rows = self._chosen(rows)
        digests = rows["features_digest"].cast(pa.string())
        for digest, count in Counter(digests.to_pylist()).items():
            if digest in self._others:
                self.tally.other_features[self._others[digest]] += count
                rows = rows.filter(pc.not_equal(rows["features_digest"].cast(pa.string()), digest))
        by_api = np.flatnonzero(pc.equal(rows["origin"].cast(pa.string()), "api").to_numpy())
        answered = {i: Scored.of(rows, i) for i in by_api.tolist()}
        behind = {i for i, scored in answered.items() if not all(map(self._recomputation.ask, states_read([scored])))}
        if behind:
            late = np.isin(np.arange(len(rows)), list(behind))
            self.stragglers.append(rows.filter(pa.array(late)))
            rows = rows.filter(pa.array(~late))
        self._expected.append((rows, [scored for i, scored in answered.items() if i not in behind]))

    def needs(self, expected: int | None = None) -> tuple[dict[int, int], dict[int, int]]:
        """Up to before which offsets of ``transactions`` and of ``transactions.by-merchant``, by partition, the recomputation must come to
        settle all that is expected, or the first ``expected`` calls of that."""
        sources: dict[int, int] = {}
        targets: dict[int, int] = {}
        for rows, _ in self._expected[:expected]:
            for needed, kind in ((sources, "source"), (targets, "log")):
                partitions, offsets = rows[f"{kind}_partition"].to_numpy(), rows[f"{kind}_offset"].to_numpy()
                for partition in np.unique(partitions).tolist():
                    needed[partition] = max(needed.get(partition, 0), int(offsets[partitions == partition].max()) + 1)
        return sources, targets

    def observe(self, observed: Observed) -> None:
        """What the recomputation says."""
        if self._share is not None:
            for row, expected in self._share.differing(observed).items():
                place = observed.rows["source"][row].as_py(), observed.rows["offset"][row].as_py()
                self._disagreed[place] = (observed.vectors[row], expected)
        if self._portion < 1.0:
            chosen = self._is_chosen(keys_of_recomputed(observed.rows))
            observed = Observed(observed.rows.filter(pa.array(chosen)), observed.position[chosen], observed.vectors[chosen], [])
        self._observed.append(observed)

    def settle(self, expected: int | None = None) -> list[Mismatch]:
        """Compares all that is expected, or the first ``expected`` calls of that, for which the recomputation has come far enough."""
        due, self._expected = self._expected[:expected], self._expected[len(self._expected) if expected is None else expected :]
        computed = ComputedDecision.of(self._observed, len(self._feature_set.names))
        found = self._by_oracle(due) if self._disagreed else []
        for rows, answered in due:
            if len(rows):
                found += self._compare(rows, {scored.place: scored for scored in answered}, computed)
                found += self._compare_scores(rows)
        self._observed = computed.rest()
        waited_for = set(states_read([scored for _, answered in self._expected for scored in answered]))
        for state in {*states_read([scored for _, answered in due for scored in answered])} - waited_for:
            self._recomputation.states.pop(state, None)
        return found

    def forget_before(self, settled: Mapping[int, int]) -> None:
        """What lies before these offsets of ``transactions``, by partition, is settled: another row on it is one too many."""
        self._settled.forget_before(settled)
        self._observed = [left for left in (_from(one, settled) for one in self._observed) if len(left.rows)]

    def saved(self) -> SavedComparison:
        """What the next audit needs, to go on. All that was expected must be settled."""
        return SavedComparison(list(self._observed), self._settled.table())

    def resume(self, saved: SavedComparison, settled: Mapping[int, int]) -> None:
        """Goes on where another was whose ``saved`` this is; see ``forget_before`` for ``settled``."""
        self._observed = list(saved.observed)
        self._settled.forget_before(settled)
        self._settled.take(saved.settled)

    def _chosen(self, rows: pa.Table) -> pa.Table:
        if self._portion >= 1.0:
            return rows
        return rows.filter(pa.array(self._is_chosen(keys_of_logged(rows))))

    def _is_chosen(self, keys: Int64) -> np.ndarray:
        return np.asarray((keys.astype(np.uint64) * _SPREAD) >> np.uint64(32) < self._portion * 2**32)

    def _compare(self, rows: pa.Table, answered: Mapping[SourcePosition, Scored], computed: ComputedDecision) -> list[Mismatch]:
        names, served = self._feature_set.names, scoring_log.vectors(rows)
        at = computed.find(keys_of_logged(rows))
        again = self._note(rows)
        by_api = pc.equal(rows["origin"].cast(pa.string()), "api").to_numpy()
        own = pc.equal(rows["features_digest"].cast(pa.string()), self._feature_set.digest).to_numpy()
        self.tally.repeated += int(np.count_nonzero(again))
        self.tally.stream += int(np.count_nonzero(~by_api & ~again))
        self.tally.api += int(np.count_nonzero(by_api & ~again))

        same = np.zeros(len(rows), np.bool_)
        if served.shape[1] == len(names):
            here = np.flatnonzero(at >= 0)
            same[here] = (served[here].view(np.uint32) == computed.vectors[at[here]].view(np.uint32)).all(1)
        found = []
        for i in np.flatnonzero(~again & ~(same & own & ~by_api)).tolist():
            scored = answered.get(_place(rows, i)) or Scored.of(rows, i)
            row = int(at[i])
            mismatch = self._judge(scored, None if row < 0 else (computed.rows, row, computed.vectors[row].copy()))
            if mismatch is not None:
                found.append(mismatch)
        return found

    def _judge(self, scored: Scored, computed: tuple[pa.Table, int, Float32] | None) -> Mismatch | None:
        names = self._feature_set.names
        if computed is None:
            sentence = "by the logs it was taken before, or is refused, so that there was nothing to decide"
            return Mismatch("vector", scored, None, "duplicate", sentence)
        rows, row, expected = computed
        if scored.states is not None:
            answered = answer.decode(rows["payload"][row].as_py()) if rows["payload"][row].is_valid else None
            degraded = answered is not None and answered.decision.degraded
            self.tally.degraded += degraded
            time, amount = rows["event_time"][row].as_py(), rows["amount"][row].as_py()
            expected = (
                vector_of_request(self._feature_set, time, amount)
                if degraded
                else answered_vector(self._feature_set, self._recomputation, scored, time, amount)
            )
        if scored.features_digest != self._feature_set.digest:
            sentence = f"it rests on features of digest {scored.features_digest[:12]}, which this version doesn't know"
            return Mismatch("vector", scored, expected, "definition version", sentence, differences(names, scored.vector, expected))
        if scored.vector.tobytes() == expected.tobytes():
            return None
        return Mismatch("vector", scored, expected, None, "", differences(names, scored.vector, expected))

    def _compare_scores(self, rows: pa.Table) -> list[Mismatch]:
        digests = np.array(rows["model_digest"].cast(pa.string()).to_pylist())
        stated, served = rows["probability"].to_numpy(), scoring_log.vectors(rows)
        found = []
        for digest in np.unique(digests).tolist():
            scorer = self._scorer_of(digest)
            here = np.flatnonzero(digests == digest)
            if served.shape[1] != len(scorer.feature_names):
                continue
            probabilities = scorer.score(served[here]).probability
            for i, probability in zip(here.tolist(), probabilities.tolist(), strict=True):
                if probability != stated[i]:
                    found.append(wrong_probability(Scored.of(rows, i), probability))
        return found

    def _by_oracle(self, due: Sequence[tuple[pa.Table, list[Scored]]]) -> list[Mismatch]:
        found = []
        for rows, _ in due:
            for i in range(len(rows)):
                by_kernel, by_oracle = self._disagreed.pop(_place(rows, i), (None, None))
                if by_kernel is not None and by_oracle is not None:
                    sentence = "the kernel and the oracle of this version disagree about it"
                    differing = differences(self._feature_set.names, by_kernel, by_oracle)
                    found.append(Mismatch("oracle", Scored.of(rows, i), by_oracle, "code version", sentence, differing))
        return found

    def _note(self, rows: pa.Table) -> np.ndarray:
        """Which rows were settled before."""
        sources, offsets = (rows[name].to_numpy().astype(np.int64) for name in ("source_partition", "source_offset"))
        again = np.asarray(self._settled.are_settled(sources, offsets) | self._settled.get(sources, offsets))
        again[np.delete(np.arange(len(rows)), np.unique(keys_of_logged(rows), return_index=True)[1])] = True
        self._settled.set(sources, offsets, True)
        return again


def answered_vector(feature_set: FeatureSet, recomputation: Recomputation, scored: Scored, event_time: int, amount: int) -> Float32:
    """What the API must have made of the states that it read, which the recomputation was asked for."""
    user, merchant = (None if state is None else recomputation.states.get(state) for state in scored.states or (None, None))
    return vector(feature_set, user, merchant, event_time, amount, recomputation.devices.get(scored.place))


def wrong_probability(scored: Scored, expected: float) -> Mismatch:
    """The model gives another probability for the vector that was logged."""
    close = np.float32(expected) != 0 and abs(scored.probability - expected) <= 4 * np.spacing(np.float32(expected))
    sentence = f"model {scored.model_digest[:12]} gives {expected!r} on the logged vector, {scored.probability!r} is logged"
    return Mismatch("probability", scored, None, "float" if close else "unknown", sentence)


def _from(observed: Observed, settled: Mapping[int, int]) -> Observed:
    """What lies at these offsets of its source or behind."""
    begin = np.array([settled[source] for source in observed.rows["source"].to_pylist()], np.int64)
    left = observed.rows["offset"].to_numpy() >= begin
    if left.all():
        return observed
    return Observed(observed.rows.filter(pa.array(left)), observed.position[left], observed.vectors[left], [])


def _place(rows: pa.Table, i: int) -> SourcePosition:
    return rows["source_partition"][i].as_py(), rows["source_offset"][i].as_py()


def states_read(scored: Sequence[Scored]) -> list[StateAt]:
    """All states that the API read for these."""
    return [state for one in scored for state in one.states or () if state is not None]

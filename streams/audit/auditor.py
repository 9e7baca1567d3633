"""The auditor: takes the scoring log as it comes, recomputes, compares, and finds the cause of what differs.

It goes once over the logs, from their beginning or from where an audit was saved. Only for what differs, and for what the API made of older
states than usual, it goes over them again.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from features.definitions import FeatureSet
from models.scoring import Scorer
from streams.audit import causes
from streams.audit.causes import Case, Cause
from streams.audit.comparison import Audit, states_read
from streams.audit.dossier import Dossiers, History
from streams.audit.oracle_share import Checked, OracleShare
from streams.audit.recomputation import Recomputation, Shape, StateAt, Watcher
from streams.audit.saved_audit import Beginning, SavedAudit, beginning_of_logs
from streams.audit.scored import Mismatch, Scored
from streams.messages import batches
from streams.messages.code_digest import code_digest
from streams.messages.record import Record
from streams.messages.topics import BY_MERCHANT, TRANSACTIONS
from streams.score import Observed

Reader = Callable[[str, int, int, int], Iterator[Sequence[Record]]]
"""Yields the records of a topic's partition from one offset up to before another."""

# A cause costs some milliseconds, and a look at the whole log.
_EXAMINED = 500


@dataclass
class Findings:
    """All that differs: how many by cause, None for those beyond the first five hundred, whose cause wasn't looked for, and examples."""

    causes: Counter[Cause | None] = field(default_factory=Counter)
    examples: list[Mismatch] = field(default_factory=list)

    @property
    def mismatches(self) -> int:
        """How many decisions can't be reproduced."""
        return self.causes.total()

    def note(self, mismatches: Sequence[Mismatch]) -> None:
        """Adds some."""
        self.causes.update(mismatch.cause for mismatch in mismatches)
        self.examples += mismatches[: max(0, _EXAMINED - len(self.examples))]


class Auditor:
    """Audits a ``portion`` (0–1) of a feature set's decisions; of an ``oracle_share`` of all keys what is known is computed by the oracle
    too. ``watchers`` see all that is applied.

    With ``since`` it goes on there, without oracle and watchers, who would miss what was before. ``beginnings``, the last first, are those
    from which the logs can be gone over again; if none are given they are whole.
    """

    def __init__(
        self,
        feature_set: FeatureSet,
        shape: Shape,
        read: Reader,
        scorer_of: Callable[[str], Scorer],
        portion: float = 1.0,
        oracle_share: float = 0.01,
        watchers: Sequence[Watcher] = (),
        observers: Sequence[Callable[[Observed], None]] = (),
        since: SavedAudit | None = None,
        beginnings: Sequence[Beginning] | None = None,
    ) -> None:
        self.findings, self.portion, self.checked = Findings(), portion, Checked()
        self._feature_set, self._shape, self._read, self._scorer_of = feature_set, shape, read, scorer_of
        self._beginnings = [beginning_of_logs(shape.sources, shape.targets)] if beginnings is None else beginnings
        share = OracleShare(feature_set, shape, oracle_share, self.checked) if oracle_share and since is None else None
        self._observers = observers
        watching = [watcher for watcher in (share, *watchers) if watcher is not None]
        if since is not None and watching:
            raise ValueError("an audit that goes on from a saved one has no watchers")
        self.recomputation = Recomputation(feature_set, shape, watching, None if since is None else since.recomputation)
        self.audit = Audit(feature_set, self.recomputation, share, scorer_of, portion)
        if since is not None:
            self.audit.resume(since.comparison, since.so_far.settled)
        self._taken = 0
        self._unexamined: list[Mismatch] = []

    def take(self, rows: Sequence[pa.Table]) -> None:
        """The next rows of the scoring log. What was taken before them is settled: the states that the API read lie before them."""
        before = self._taken
        for table in _by_width(rows):
            self.audit.expect(table)
            self._taken += 1
        self._settle(before)

    def finish(self) -> list[Mismatch]:
        """Settles all that was taken and finds the causes of what differs; returns what is new."""
        self._settle(self._taken)
        found, self._unexamined = self._unexamined + self._settle_stragglers(), []
        found = self._with_causes(found)
        self.findings.note(found)
        return found

    def states(self, wanted: Sequence[StateAt]) -> dict[StateAt, bytes | None]:
        """Encoded states as of any positions that the logs have by now; without those that lie before all that is known."""
        behind = [state for state in wanted if not self.recomputation.ask(state)]
        self.bring_to(*_up_to([state for state in wanted if state not in behind]))
        found = {state: self.recomputation.states.pop(state) for state in wanted if state not in behind}
        if not behind:
            return found
        again = self._again(behind)
        for _ in self._bring(again, *_up_to([state for state in behind if again.ask(state)])):
            pass
        return found | again.states

    def bring_to(self, sources: Mapping[int, int], targets: Mapping[int, int]) -> None:
        """Recomputes up to these positions of ``transactions`` and of ``transactions.by-merchant``, by partition, or further."""
        for observed in self._bring(self.recomputation, sources, targets):
            for observe in self._observers:
                observe(observed)
            self.audit.observe(observed)

    def forget_before(self, settled: Mapping[int, int]) -> None:
        """What lies before these offsets of ``transactions``, by partition, needs no other look."""
        self.audit.forget_before(settled)
        self.recomputation.forget_before(settled)

    def history(self, scored: Scored) -> History | None:
        """All that the decision's keys had seen when it was made; None if by the logs there was nothing to decide."""
        return self._histories([scored]).get(scored.place)

    def _settle(self, expected: int) -> None:
        if not expected:
            return
        self.bring_to(*self.audit.needs(expected))
        self._unexamined += self.audit.settle(expected)
        self._taken -= expected

    def _settle_stragglers(self) -> list[Mismatch]:
        stragglers, self.audit.stragglers = self.audit.stragglers, []
        if not stragglers:
            return []
        again = self._again(states_read([Scored.of(rows, i) for rows in stragglers for i in range(len(rows))]))
        audit = Audit(self._feature_set, again, None, self._scorer_of)
        for table in _by_width(stragglers):
            audit.expect(table)
        for observed in self._bring(again, *audit.needs()):
            audit.observe(observed)
        found = audit.settle()
        self.audit.tally.add(audit.tally)
        sentence = "the API read states from before all that logs and saved audits go back to"
        return found + [
            Mismatch("vector", Scored.of(rows, i), None, "lag", sentence) for rows in audit.stragglers for i in range(len(rows))
        ]

    def _again(self, states: Sequence[StateAt]) -> Recomputation:
        """A recomputation that begins before these states, as near as it can; before none if there is none such."""
        fitting = (beginning for beginning in self._beginnings if all(map(beginning.is_before, states)))
        return Recomputation(self._feature_set, self._shape, (), next(fitting, self._beginnings[-1]).load())

    def _with_causes(self, found: Sequence[Mismatch]) -> list[Mismatch]:
        """The same, with causes as far as they are looked for."""
        unknown = [mismatch for mismatch in found if mismatch.cause is None and mismatch.expected is not None][:_EXAMINED]
        if not unknown:
            return list(found)
        histories = self._histories([mismatch.scored for mismatch in unknown])
        cases = []
        for mismatch in unknown:
            history, scored = histories.get(mismatch.scored.place), mismatch.scored
            assert mismatch.expected is not None
            foreign = scored.code_digest not in ("", code_digest())
            case = Case(scored.vector, mismatch.expected, history, foreign)
            cases.append((case, causes.suspicions(self._feature_set, case)))
        verdicts = {id(mismatch): verdict for mismatch, verdict in zip(unknown, causes.verdicts(cases), strict=True)}
        return [
            replace(mismatch, cause=verdicts[id(mismatch)][0], sentence=verdicts[id(mismatch)][1]) if id(mismatch) in verdicts else mismatch
            for mismatch in found
        ]

    def _histories(self, asked: Sequence[Scored]) -> dict[tuple[int, int], History]:
        """None of any where the logs have lost their beginning: what a key had seen can't be said by half."""
        if not any(beginning.is_of_logs for beginning in self._beginnings):
            return {}
        dossiers = Dossiers({scored.user_id for scored in asked}, {scored.merchant_id for scored in asked})
        again = Recomputation(self._feature_set, self._shape, [dossiers])
        sources, targets = _up_to([state for scored in asked for state in scored.states or () if state is not None])
        for scored in asked:
            for needed, (partition, offset) in ((sources, scored.place), (targets, scored.log_place)):
                needed[partition] = max(needed.get(partition, 0), offset + 1)
        for _ in self._bring(again, sources, targets):
            pass
        found = {}
        for scored in asked:
            if scored.states is None:
                history = dossiers.before(scored.place, scored.user_id, scored.merchant_id)
            else:
                user, merchant = (-1 if state is None else state.offset for state in scored.states)
                history = dossiers.as_of(scored.place, scored.user_id, scored.merchant_id, user, merchant)
            if history is not None:
                found[scored.place] = history
        return found

    def _bring(self, recomputation: Recomputation, sources: Mapping[int, int], targets: Mapping[int, int]) -> Iterator[Observed]:
        """Brings a recomputation up to these positions, and as much further as the order asks for; yields what it says."""
        needed = dict(sources)
        read = {}
        for target, until in targets.items():
            order = [
                batches.decode_order(record.value or b"", record.headers, (target, record.offset))
                for records in self._read(BY_MERCHANT.name, target, recomputation.ordered[target], until)
                for record in records
                if self._shape.seal.is_ours(BY_MERCHANT.name, target, record)
            ]
            read[target] = order
            for batch in order:
                for source, last in _last_offsets(batch).items():
                    needed[source] = max(needed.get(source, 0), last + 1)
        for source, until in needed.items():
            for records in self._read(TRANSACTIONS.name, source, recomputation.learned[source], until):
                recomputation.learn(source, records, records[-1].offset + 1)
            recomputation.learn(source, [], until)
        for target, order in read.items():
            yield from recomputation.order(target, order, targets[target])


def _last_offsets(batch: batches.Batch) -> dict[int, int]:
    sources, offsets = batch.rows["source"].to_pylist(), batch.rows["offset"].to_pylist()
    # Each source's rows stand in its order.
    return dict(zip(sources, offsets, strict=True))


def _up_to(states: Sequence[StateAt]) -> tuple[dict[int, int], dict[int, int]]:
    """The positions at which all of these are known."""
    sources: dict[int, int] = {}
    targets: dict[int, int] = {}
    for state in states:
        needed = sources if state.entity == "user" else targets
        needed[state.partition] = max(needed.get(state.partition, 0), state.offset + 1)
    return sources, targets


def _by_width(rows: Sequence[pa.Table]) -> list[pa.Table]:
    """The rows in as few tables as the widths of their vectors allow."""
    by_type: dict[pa.Schema, list[pa.Table]] = {}
    for table in rows:
        by_type.setdefault(table.schema.field("vector").type, []).append(table)
    # In one piece, for single rows of many are slow to find.
    return [pa.concat_tables(tables).combine_chunks() for tables in by_type.values()]

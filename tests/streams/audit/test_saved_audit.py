"""An audit that goes on from a saved one finds what one finds that looks at everything, wherever it was cut."""

import os
import re
from dataclasses import replace
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from features.errors import UserError
from streams.audit.arrow_saved_audits import SavedAudits
from streams.audit.auditor import Auditor
from streams.audit.completeness import Completeness
from streams.audit.recomputation import StateAt
from streams.audit.saved_audit import AuditedSoFar, Beginning, SavedAudit, beginning_of_logs, differs_in
from streams.messages.code_digest import code_digest
from streams.messages.seal import Seal
from tests.made.records import FRAUD_V1, scorer, transaction
from tests.made.seal import SEAL
from tests.streams.audit.run_of_stages import LATER, TURN, Run, answered, history, run

WHOLE = run(history())
LOGGED, READ, ORDERED = len(WHOLE.scoring_log), len(WHOLE.transactions), len(WHOLE.by_merchant)
DECIDED = [0, *accumulate(map(len, WHOLE.scored()))]


class Audited:
    """An audit without Kafka, of what lies between positions."""

    def __init__(self, left: Run, since: SavedAudit | None = None, beginnings: list[Beginning] | None = None) -> None:
        self.left = left
        self.positions = since.so_far.positions if since else {"scoring-log": [0], "decisions": [0]}
        self.complete = Completeness("EUR", FRAUD_V1.digest, lambda _, probability: scorer().judged(probability))
        if since is not None:
            self.complete.resume(since.completeness, since.so_far.settled)
        observers = [self.complete.compute]
        self.auditor = Auditor(
            FRAUD_V1, left.shape, left.read, lambda _: scorer(), 1.0, 0.0, (), observers, since=since, beginnings=beginnings
        )

    def catch_up(self, logged: int, published: int, ingested: int = 0, scored: int = 0) -> "Audited":
        """Takes the logs up to these positions."""
        rows = self.left.scored()[self.positions["scoring-log"][0] : logged]
        for table in rows:
            self.complete.log(table)
        self.auditor.take(rows)
        self.auditor.finish()
        self.complete.publish(self.left.decisions[self.positions["decisions"][0] : published], logged=False)
        self.auditor.bring_to({0: ingested}, {0: scored})
        self.positions = {"scoring-log": [logged], "decisions": [published]}
        return self

    def saved(self) -> SavedAudit:
        recomputed = self.auditor.recomputation
        settled = self.complete.settle(list(recomputed.unnamed()), recomputed.learned)
        self.auditor.forget_before(settled)
        positions = {**self.positions, "transactions": recomputed.learned, "transactions.by-merchant": recomputed.ordered}
        return SavedAudit(so_far(positions, settled), recomputed.saved(), self.auditor.audit.saved(), self.complete.saved())

    @property
    def found(self) -> tuple[dict[str, int], int]:
        """What differs by cause, and how many decisions were audited."""
        self.complete.publish([], logged=True)
        self.complete.missing()
        causes = self.auditor.findings.causes + self.complete.causes
        return {str(cause): count for cause, count in causes.items()}, self.auditor.audit.tally.audited


def so_far(positions: dict[str, list[int]], settled: dict[int, int]) -> AuditedSoFar:
    return AuditedSoFar(
        at="2026-01-01T00:00:00+00:00",
        audits=1,
        audited=10,
        features="fraud_v1",
        features_digest=FRAUD_V1.digest,
        currency="EUR",
        code_digest=code_digest(),
        positions=positions,
        topic_ids={"transactions": "a", "decisions": "b"},
        settled=settled,
    )


@pytest.fixture(scope="module")
def audits(tmp_path_factory: pytest.TempPathFactory) -> SavedAudits:
    return SavedAudits(tmp_path_factory.mktemp("home=ä") / "audits" / "fraud_v1", FRAUD_V1, SEAL)


def through_files(audits: SavedAudits, audit: SavedAudit) -> SavedAudit:
    audits.save(audit)
    return audits.found()[0][0].load()


def states(auditor: Auditor) -> list[bytes]:
    recomputed = auditor.recomputation
    return [
        encoded
        for state in (*recomputed.users, *recomputed.merchants)
        for name in sorted(state.entity.names)
        for encoded in state.entity.encode(np.array([state.entity.keys[name]], np.int64))
    ]


def cuts() -> st.SearchStrategy[list[tuple[int, int, int, int]]]:
    """Positions at which audits end, each at or behind the one before."""
    one = st.tuples(st.integers(0, LOGGED), st.integers(0, DECIDED[-1]), st.integers(0, READ), st.integers(0, ORDERED))
    return st.lists(one, min_size=1, max_size=3).map(lambda several: list(zip(*map(sorted, zip(*several, strict=True)), strict=True)))


@settings(deadline=None, max_examples=15)
@given(cuts())
def test_wherever_it_was_cut_all_is_audited_once_and_right(audits: SavedAudits, several: list[tuple[int, int, int, int]]) -> None:
    audit, total = Audited(WHOLE), 0
    for (logged, published, ingested, scored), (next_logged, *_) in pairwise([*several, (LOGGED, 0, 0, 0)]):
        # What is published is logged by the next time.
        audit.catch_up(logged, min(published, DECIDED[next_logged]), ingested, scored)
        total += audit.auditor.audit.tally.audited
        assert not audit.auditor.findings.causes + audit.complete.causes
        audit = Audited(WHOLE, through_files(audits, audit.saved()))
    audit.catch_up(LOGGED, DECIDED[-1], READ, ORDERED)
    found, audited = audit.found
    assert (found, total + audited) == ({}, DECIDED[-1])
    at_once = Audited(WHOLE).catch_up(LOGGED, DECIDED[-1], READ, ORDERED)
    assert states(audit.auditor) == states(at_once.auditor)


def half_way(audits: SavedAudits, left: Run = WHOLE) -> SavedAudit:
    """Of about half of it, some of which isn't published yet."""
    logged = LOGGED // 2
    published = sum(map(len, left.scored()[:logged])) - 3
    return through_files(audits, Audited(left).catch_up(logged, published, READ - 20, ORDERED - 5).saved())


def test_what_is_settled_is_no_longer_kept(audits: SavedAudits) -> None:
    since = half_way(audits)
    (begin,) = since.so_far.settled.values()
    assert begin > 0
    assert all(min(places["offset"].to_pylist(), default=begin) >= begin for places in since.completeness.places.values())
    everything = Audited(WHOLE).catch_up(LOGGED, DECIDED[-1], READ, ORDERED).saved()
    assert everything.so_far.settled == {0: READ}
    assert not any(map(len, everything.completeness.places.values()))
    assert not everything.comparison.observed


def test_what_comes_later_and_differs_is_found(audits: SavedAudits) -> None:
    since = half_way(audits)
    published = since.so_far.positions["decisions"][0]
    last = WHOLE.decisions[-1]

    def found(decisions: list[bytes]) -> dict[str, int]:
        return Audited(replace(WHOLE, decisions=decisions), since).catch_up(LOGGED, len(decisions), READ, ORDERED).found[0]

    assert found(WHOLE.decisions) == {}
    assert found(WHOLE.decisions[: published + 1] + WHOLE.decisions[published + 2 :]) == {"missing decision": 1}
    assert found([*WHOLE.decisions[:published], *WHOLE.decisions[published + 1 :]]) == {"missing decision": 1}, "logged before"
    assert found([*WHOLE.decisions, last]) == {"repeated decision": 1}
    assert found([*WHOLE.decisions, WHOLE.decisions[0]]) == {"repeated decision": 1}, "settled before"
    assert found([*WHOLE.decisions, last.replace(b'"offset":', b'"offset":9')]) == {"foreign decision": 1}
    assert found([*WHOLE.decisions[:-1], last.replace(b'"amount":', b'"amount":1')]) == {"differing decision": 1}


def test_a_vector_that_rests_on_what_was_before_is_compared(audits: SavedAudits) -> None:
    since = half_way(audits)
    rows = WHOLE.scored()
    at = rows[-1].schema.get_field_index("vector")
    vectors = np.array(rows[-1]["vector"].to_pylist(), np.float32)
    vectors[0, -1] += 1
    changed = rows[-1].set_column(at, "vector", pa.FixedSizeListArray.from_arrays(vectors.ravel(), vectors.shape[1]))
    left = Run(WHOLE.transactions, WHOLE.by_merchant, WHOLE.scoring_log, WHOLE.decisions)
    left.scored = lambda: [*rows[:-1], changed]  # type: ignore[method-assign]
    audit = Audited(left, since, [Beginning([READ - 20], [ORDERED - 5], lambda: since.recomputation)]).catch_up(LOGGED, DECIDED[-1])
    (mismatch,) = [one for one in audit.auditor.findings.examples if one.what == "vector"]
    assert (mismatch.cause, "no longer tell" in mismatch.sentence) == ("unknown", True)


def test_a_row_on_what_is_settled_is_repeated(audits: SavedAudits) -> None:
    since = half_way(audits)
    left = replace(WHOLE, scoring_log=[*WHOLE.scoring_log, WHOLE.scoring_log[0]])
    audit = Audited(left, since).catch_up(LOGGED + 1, DECIDED[-1], READ, ORDERED)
    assert (audit.found[0], audit.auditor.audit.tally.repeated) == ({}, len(WHOLE.scored()[0]))


@pytest.fixture(scope="module")
def asked() -> Run:
    """A run whose last transaction the API decided, on states of long before."""
    return run([*WHOLE.transactions, answered(WHOLE, 40, 3)])


def test_states_that_the_api_read_before_are_found_from_an_audit_before_that_or_the_logs(audits: SavedAudits, asked: Run) -> None:
    early = Audited(WHOLE).catch_up(2, 0).saved()
    since = through_files(audits, Audited(WHOLE).catch_up(LOGGED, DECIDED[-1], READ, ORDERED).saved())

    def beginning(of: SavedAudit) -> Beginning:
        return Beginning(of.recomputation.learned, of.recomputation.ordered, lambda: of.recomputation)

    def found(beginnings: list[Beginning]) -> dict[str, int]:
        audit = Audited(asked, since, beginnings)
        return audit.catch_up(len(asked.scoring_log), len(asked.decisions)).found[0]

    assert beginning(early).is_before(StateAt("user", 0, 40, "u1"))
    assert not beginning(since).is_before(StateAt("user", 0, 40, "u1"))
    assert found([beginning(since), beginning_of_logs(1, 1)]) == {}
    assert found([beginning(since), beginning(early)]) == {}
    assert found([beginning(since)]) == {"lag": 1}


def test_of_a_key_that_was_quiet_since_the_saved_state_is_the_one_that_the_api_read(audits: SavedAudits) -> None:
    """Though neither logs nor an earlier audit go back that far."""
    # So many that the one asked about is a turn of its own.
    more = range(READ, READ + 2 * TURN - READ % TURN)
    quiet = [*WHOLE.transactions, *(transaction(number, "u0", "m0", LATER - 100 + number - READ, 100) for number in more)]
    before = run(quiet)
    last = max(record.offset for record in WHOLE.transactions if b'"u1"' in (record.value or b""))
    asked = run([*quiet, answered(before, last, len(WHOLE.by_merchant) - 1)])
    everything = Audited(before).catch_up(len(before.scoring_log), len(before.decisions), len(quiet), len(before.by_merchant))
    since = through_files(audits, everything.saved())
    only = Beginning(since.recomputation.learned, since.recomputation.ordered, lambda: since.recomputation)
    audit = Audited(asked, since, [only]).catch_up(len(asked.scoring_log), len(asked.decisions))
    assert (audit.found, audit.auditor.audit.tally.api) == (({}, 1), 1)


def test_only_the_last_two_are_kept_and_leftovers_go(audits: SavedAudits, tmp_path: Path) -> None:
    own = SavedAudits(tmp_path / "audits", FRAUD_V1, SEAL)
    assert own.found() == ([], [])
    audit = half_way(audits)
    (tmp_path / "audits" / ".unfinished-999999999").mkdir(parents=True)
    folders = [own.save(audit) for _ in range(3)]
    assert sorted(path.name for path in own.folder.iterdir()) == [folder.name for folder in folders[1:]]
    assert [one.folder for one in own.found()[0]] == folders[:0:-1]


def spoil(file: Path, how: str) -> None:
    content = file.read_bytes()
    if how == "changed":
        file.write_bytes(
            content.replace(b'"audited": 10', b'"audited": 99') if file.suffix == ".json" else content[:-9] + b"?" + content[-8:]
        )
        return
    file.unlink()
    if how == "a pipe":  # to be waited for in vain
        os.mkfifo(file)


@pytest.mark.parametrize("how", ["changed", "missing", "a pipe"])
@pytest.mark.parametrize("name", ["saved.json", "states.arrow", "places.arrow"])
def test_what_was_changed_is_left_aside_for_the_one_before(audits: SavedAudits, tmp_path: Path, name: str, how: str) -> None:
    own = SavedAudits(tmp_path / "audits", FRAUD_V1, SEAL)
    first, second = (own.save(half_way(audits)) for _ in range(2))
    spoil(second / name, how)
    usable, (why,) = own.found()
    assert [one.folder for one in usable] == [first]
    assert re.search(rf"saved audit in {second} is left aside, .*\({name}", why)
    third = own.save(usable[0].load())
    assert [one.folder for one in own.found()[0]] == [third]
    assert own.found()[1] == [], "nobody needs what is older than a good one"


def test_another_deployments_is_left_aside(audits: SavedAudits) -> None:
    half_way(audits)
    usable, aside = SavedAudits(audits.folder, FRAUD_V1, Seal("another")).found()
    assert usable == []
    assert "not sealed by this deployment" in aside[0]


def test_a_place_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "audits").write_text("x")
    with pytest.raises(UserError, match="is no folder; remove it"):
        SavedAudits(tmp_path / "audits", FRAUD_V1, SEAL).found()
    with pytest.raises(UserError, match=r"audits can't be saved in .*audits/fraud_v1 \("):
        SavedAudits(tmp_path / "audits" / "fraud_v1", FRAUD_V1, SEAL).require_writable()


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({}, ""),
        ({"features_digest": "0"}, "the feature set has changed"),
        ({"currency": "USD"}, "it is of amounts in USD"),
        ({"topic_ids": {"transactions": "c", "decisions": "b"}}, "transactions was created again since"),
        ({"topic_ids": {"transactions": "a", "decisions": "c"}}, ""),
        ({"positions": {"transactions": [1], "decisions": [2]}}, "transactions had another number of partitions"),
    ],
)
def test_one_of_other_logs_is_not_gone_on_from(changed: dict[str, object], why: str) -> None:
    known = structs.replace(so_far({"transactions": [1, 1], "decisions": [2]}, {}), **changed)
    assert differs_in(known, FRAUD_V1.digest, "EUR", {"transactions": 2}, {"transactions": "a", "decisions": "b"}) == why


def test_an_audit_that_goes_on_has_no_watchers(audits: SavedAudits) -> None:
    since = half_way(audits)
    with pytest.raises(ValueError, match="no watchers"):
        Auditor(FRAUD_V1, WHOLE.shape, WHOLE.read, lambda _: scorer(), watchers=[object()], since=since)  # type: ignore[list-item]

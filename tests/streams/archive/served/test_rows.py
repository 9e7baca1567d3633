"""What was served, joined with what became of it: who is learnt from, as what, and who is left out."""

from pathlib import Path

import pytest

from features.definitions import DAY
from features.errors import UserError
from features.offline.storage import Storage
from models.training_set.label_maturity import Immature
from models.training_set.rows import TrainingSet
from streams.archive.served.parquet_tables import ServedArchive
from streams.archive.served.rows import served_rows
from tests.made.served_decisions import T0, V1, archive_served, decided, label, table


def learnt(
    rows: list[dict[str, object]], labels: list[dict[str, object]], as_of: float = 30, immature: Immature = "left-out"
) -> TrainingSet:
    tables = table("scoring-log", rows), table("labels", labels), table("decisions", rows)
    return served_rows(*tables, V1, T0, T0 + 100 * DAY, T0 + int(as_of * DAY), 7 * DAY, immature).training_set(V1.names)


def test_without_a_label_by_maturity_it_was_legitimate() -> None:
    rows = learnt([decided("a", 1), decided("b", 2), decided("c", 3)], [label("b", 2, 6)])
    assert rows.is_fraud.tolist() == [False, True, False]
    assert rows.vectors[:, 0].tolist() == [1.0, 2.0, 3.0]
    assert rows.vectors.shape == (3, len(V1.names))
    assert rows.user is not None
    assert len(set(rows.user.tolist())) == 1


def test_a_blocked_one_without_a_label_is_left_out_and_one_with_a_label_is_not() -> None:
    rows = learnt(
        [decided("seen", 1, verdict="block"), decided("unseen", 2, verdict="block"), decided("reviewed", 3, verdict="review")],
        [label("seen", 1, 4)],
    )
    assert rows.event_time.tolist() == [T0 + DAY, T0 + 3 * DAY]
    assert (rows.is_fraud.tolist(), rows.unlabelled) == ([True, False], 1)


def test_immature_ones_are_left_out_and_so_are_labels_from_later() -> None:
    # day  1 ........ 8        as of 10        label of "early" only on day 12
    rows = learnt([decided("early", 1), decided("young", 8)], [label("early", 1, 12), label("young", 8, 9)], as_of=10)
    assert (rows.is_fraud.tolist(), rows.immature) == ([False], 1)


def test_immature_ones_are_weighted_by_how_late_labels_come() -> None:
    # As of 20: frauds took 2 and 6 days; 19.9 is too young for any, of 16 half would be known, 17 is a fraud that is known already.
    rows = learnt(
        [decided("a", 1), decided("b", 2), decided("c", 3), decided("d", 16), decided("e", 17), decided("f", 19.9)],
        [label("a", 1, 3), label("b", 2, 8), label("e", 17, 18), label("d", 16, 21)],
        as_of=20,
        immature="weighted",
    )
    assert rows.weight is not None
    assert rows.weight.tolist() == [1.0, 1.0, 1.0, 0.5, 1.0]
    assert (rows.is_fraud.tolist(), rows.immature) == ([True, True, False, False, True], 1)
    with pytest.raises(UserError, match="--immature weighted needs matured frauds"):
        learnt([decided("a", 1), decided("b", 9)], [], as_of=10, immature="weighted")


def test_a_young_blocked_one_without_a_label_has_no_weight_either() -> None:
    rows = learnt([decided("a", 1), decided("b", 16, verdict="block")], [label("a", 1, 3)], as_of=20, immature="weighted")
    assert (rows.event_time.tolist(), rows.unlabelled) == ([T0 + DAY], 1)


def test_the_newest_label_counts() -> None:
    rows = learnt(
        [decided("a", 1), decided("b", 1)], [label("a", 1, 2), label("a", 1, 5, False), label("b", 1, 5), label("b", 1, 3, False)]
    )
    assert dict(zip(["a", "b"], rows.is_fraud.tolist(), strict=True)) == {"a": False, "b": True}


def test_what_was_said_twice_counts_once() -> None:
    rows = learnt([decided("a", 1), decided("a", 1, offset=7), decided("b", 2)], [label("a", 1, 2), label("a", 1, 2)])
    assert rows.is_fraud.tolist() == [True, False]


def test_the_same_id_of_another_user_is_another_transaction() -> None:
    rows = learnt([decided("a", 1), decided("a", 2, user_id="v")], [label("a", 1, 2)])
    assert rows.is_fraud.tolist() == [True, False]


def test_vectors_of_other_features_are_no_rows() -> None:
    sentence = "no decision on fraud_v1 in the range; change --from, --to or --features, or run `tidemark archive`"
    with pytest.raises(UserError, match=sentence):
        learnt([decided("a", 1, features_digest="0" * 64)], [])
    with pytest.raises(UserError, match="1 labels of the range come after --as-of and 0 of its transactions were blocked unseen"):
        learnt([decided("a", 1)], [], as_of=3)


def test_the_archives_tables_give_the_same(tmp_path: Path) -> None:
    rows = [decided("a", 1), decided("b", 2, verdict="block"), decided("c", 3), decided("d", 4)]
    labels, copied = [label("a", 1, 6)], [label("d", 4, 8) | {"kind": "label"}, {"kind": "transaction", "transaction_id": "x"}]
    store = Storage.of(tmp_path)
    archive_served(store, rows, labels, copied)
    archive = ServedArchive.of(store)
    assert (archive.first, archive.last, archive.snapshot.rows) == (T0 + DAY, T0 + 4 * DAY, 4)
    found = archive.training_set(V1, T0, T0 + 100 * DAY, T0 + 30 * DAY, 7 * DAY)
    assert found.is_fraud.tolist() == [True, False, True]
    assert found.unlabelled == 1
    assert len(archive.snapshot.digest) == 64


def test_an_empty_archive_is_told(tmp_path: Path) -> None:
    assert not ServedArchive.exists(Storage.of(tmp_path))
    with pytest.raises(UserError, match=r"no decision is archived at .*; run `tidemark archive --once`, or give a file with --data"):
        ServedArchive.of(Storage.of(tmp_path))

"""A training set made ahead of training: the same by Spark as in one process, and read back as it was made."""

import json
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from features.definitions import DAY, FEATURE_SETS
from features.errors import UserError
from features.offline.storage import Storage
from models.registry import mlflow_client, mlflow_registry
from models.training_set.label_maturity import Immature
from models.training_set.rows import TrainingSet
from models.training_set.thinning import thin_table
from streams.archive.served.parquet_folder import DESCRIPTION, description_of, read_training_set
from streams.archive.served.parquet_tables import ServedArchive
from tests.made.served_decisions import T0, archive_served, decided, label
from tests.run.command_line import home_at
from tests.run.command_line import ran as tidemark

V1 = FEATURE_SETS["fraud_v1"]
DAYS, A_DAY = 80, 60
AS_OF = "2025-03-22"  # T0 + 80 days
OPTIONS = ("--as-of", AS_OF, "--keep-every", "3")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Eighty days of decisions on random vectors, one in ten a fraud, some sent twice, some blocked unseen, some labelled twice."""
    home = tmp_path_factory.mktemp("training-set")
    rng = np.random.default_rng(0)
    rows, labels, copied = [], [], []
    for number in range(DAYS * A_DAY):
        day = float(rng.integers(0, DAYS * 96)) / 96
        fraud = rng.random() < 0.1
        vector = dict(zip(V1.names, rng.normal(2.0 * fraud, 1.0, len(V1.names)).astype(np.float32).tolist(), strict=True))
        vector[V1.names[3]] = float("nan")
        row = decided(f"t{number}", day, number, "block" if rng.random() < 0.05 else "approve", user_id=f"u{number % 97}", **vector)
        rows += [row] * (2 if rng.random() < 0.02 else 1)
        if fraud:
            known = label(f"t{number}", day, day + rng.random() * 6) | {"user_id": row["user_id"]}
            (copied if rng.random() < 0.5 else labels).append(known | {"kind": "label"})
            if rng.random() < 0.1:
                labels.append(label(f"t{number}", day, day + 6.5, False) | {"user_id": row["user_id"]})
    store = Storage.of(home / "offline")
    archive_served(store, rows, labels, copied)
    with home_at(home):
        yield home


@pytest.fixture(scope="module")
def folder(home: Path) -> Path:
    """By Spark, older legitimate rows thinned."""
    tidemark("training-set", home / "made", *OPTIONS)
    return home / "made"


def read(folder: Path, immature: Immature = "left-out") -> TrainingSet:
    described = description_of(folder)
    return read_training_set(folder, described, V1, described.begin, described.end, immature)


def equal(one: TrainingSet, other: TrainingSet) -> dict[str, bool]:
    def same(name: str) -> bool:
        mine, theirs = getattr(one, name), getattr(other, name)
        return mine.tobytes() == theirs.tobytes() if isinstance(mine, np.ndarray) else mine == theirs

    return {field.name: same(field.name) for field in fields(one)}


def test_spark_makes_what_one_process_makes_bit_for_bit(home: Path, folder: Path) -> None:
    tidemark("training-set", home / "local", "--as-of", AS_OF)
    # In place of what lay there.
    tidemark("training-set", home / "local", *OPTIONS, "--engine", "local")
    found = equal(read(folder), read(home / "local"))
    assert found == dict.fromkeys(found, True)
    assert description_of(folder) == description_of(home / "local")
    tidemark("training-set", home / "whole", "--as-of", AS_OF)
    archive = ServedArchive.of(Storage.of(home / "offline"))
    whole = archive.training_set(V1, archive.first, archive.last + 1, T0 + 80 * DAY, 7 * DAY)
    found = equal(read(home / "whole"), whole)
    assert found == dict.fromkeys(found, True)


def test_of_older_legitimate_rows_one_in_three_stays_three_times_as_heavy(home: Path, folder: Path) -> None:
    archive = ServedArchive.of(Storage.of(home / "offline"))
    whole = archive.rows(V1, archive.first, archive.last + 1, T0 + 80 * DAY, 7 * DAY)
    rows, described = read(folder), description_of(folder)
    assert rows.weight is not None
    older = rows.event_time < described.whole_from
    assert set(rows.weight[older & ~rows.is_fraud].tolist()) == {3.0}
    assert set(rows.weight[~older | rows.is_fraud].tolist()) == {1.0}
    assert rows.frauds == whole.training_set(V1.names).frauds
    assert rows.weight.sum() == pytest.approx(len(whole.table), rel=0.05)
    assert (rows.immature, rows.unlabelled) == (whole.immature, whole.unlabelled)
    assert described.whole_from == T0 + (80 - 7 - 35) * DAY + 1
    assert len(thin_table(whole.table, 3, described.whole_from)) == len(rows.is_fraud) == described.rows


def test_immature_ones_are_there_by_choice_weighted_by_how_much_is_known(home: Path, folder: Path) -> None:
    tidemark("training-set", home / "young", *OPTIONS, "--immature", "weighted")
    tidemark("training-set", home / "young-local", *OPTIONS, "--immature", "weighted", "--engine", "local")
    rows = read(home / "young", "weighted")
    found = equal(rows, read(home / "young-local", "weighted"))
    assert found == dict.fromkeys(found, True)
    assert description_of(home / "young") == description_of(home / "young-local")
    archive = ServedArchive.of(Storage.of(home / "offline"))
    whole = archive.training_set(V1, archive.first, archive.last + 1, T0 + 80 * DAY, 7 * DAY, "weighted")
    assert rows.weight is not None
    assert whole.weight is not None
    young = rows.event_time > T0 + 73 * DAY
    assert rows.weight[young].tolist() == whole.weight[whole.event_time > T0 + 73 * DAY].tolist()
    assert len(set(rows.weight[young].tolist())) > 50
    assert (rows.immature, rows.unlabelled) == (whole.immature, whole.unlabelled)
    # Who wants them left out finds what a folder without them holds.
    left, right = read(home / "young"), read(folder)
    found = equal(left, replace(right, immature=left.immature, unlabelled=left.unlabelled))
    assert found == dict.fromkeys(found, True)
    assert left.immature + left.unlabelled == right.immature + right.unlabelled


def test_immature_ones_are_learnt_from_as_the_folder_has_them(home: Path) -> None:
    tidemark("training-set", home / "young", *OPTIONS, "--immature", "weighted", "--engine", "local")
    tidemark("train", "--data", home / "young", "--json", home / "young.json")
    tidemark("train", "--data", home / "young", "--immature", "left-out", "--json", home / "old.json")
    young, old = (json.loads((home / f"{name}.json").read_text()) for name in ("young", "old"))
    assert (young["parameters"]["immature"], old["parameters"]["immature"]) == ("weighted", "left-out")
    assert young["rows"] == description_of(home / "young").rows > old["rows"]
    assert young["label_unknown"] < old["label_unknown"]
    # They choose and judge nothing.
    assert young["evaluation"] == old["evaluation"]


def test_a_model_is_trained_from_it(home: Path, folder: Path) -> None:
    tidemark("train", "--data", folder, "--json", home / "trained.json")
    made = json.loads((home / "trained.json").read_text())
    assert made["rows"] == description_of(folder).rows
    client = mlflow_client.connect(f"sqlite:///{home / 'mlflow.db'}")
    assert client.get_run(made["run_id"]).data.tags["data_digest"] == description_of(folder).source.digest


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("train", "--data", "FOLDER", "--as-of", "2025-03-01"), r"the labels in .* are those known by 2025-03-22; leave out --as-of"),
        (("train", "--data", "FOLDER", "--immature", "weighted"), "the immature transactions were left out of .*; leave out --immature"),
        (
            ("retrain", "--reason", "x", "--data", "FOLDER", "--propensity", "p"),
            r"the labels in .* are those known by 2025-03-22; leave out",
        ),
        (("train", "--data", "FOLDER", "--features", "fraud_v2"), r"holds vectors of fraud_v1, not fraud_v2; use --features fraud_v1"),
        (("train", "--data", "FOLDER", "--from", "2030-01-01"), "no transaction from --from to --to; give a range that the training set"),
        (("training-set", "HOME", "--as-of", AS_OF), "holds other things than a training set; name a new folder, or empty it"),
        (("training-set", "HOME/new", "--from", "2030-01-01"), "the archive has no decision on fraud_v1 in the range"),
        (("training-set", "HOME/new", "--as-of", "2025-01-02"), "labels of the range come after --as-of and 0 of its transactions were"),
    ],
)
def test_what_can_not_be_is_one_sentence(home: Path, folder: Path, arguments: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        tidemark(*(argument.replace("FOLDER", str(folder)).replace("HOME", str(home)) for argument in arguments))


def test_a_folder_that_is_not_whole_is_not_read(home: Path, folder: Path) -> None:
    tidemark("training-set", home / "local", *OPTIONS, "--engine", "local")
    broken = home / "broken"
    broken.mkdir()
    (broken / DESCRIPTION).write_bytes((folder / DESCRIPTION).read_bytes())
    with pytest.raises(UserError, match=r"broken can't be read \(.*\); make it anew with tidemark training-set"):
        tidemark("train", "--data", broken)
    (file,) = (home / "local").glob("*.parquet")
    pq.write_table(pq.read_table(file).drop_columns([V1.names[7]]), broken / file.name)
    with pytest.raises(UserError, match=rf"broken has no column {V1.names[7]}; make it anew"):
        tidemark("train", "--data", broken)
    pq.write_table(pq.read_table(file).slice(1), broken / file.name)
    with pytest.raises(UserError, match=r"broken has [\d,]+ rows where training_set.json says"):
        tidemark("train", "--data", broken)


@pytest.mark.parametrize("source", ["archive", "folder"])
def test_retraining_takes_folders_and_immature_rows_too(home: Path, tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_HOME", str(tmp_path))
    given: tuple[str | Path, ...] = ("--store", home / "offline", "--as-of", AS_OF, "--immature", "weighted")
    if source == "folder":
        tidemark("training-set", tmp_path / "rows", *given, "--keep-every", "3", "--engine", "local")
        given = ("--data", tmp_path / "rows")

    def retrained(seed: int) -> dict[str, Any]:
        options = ("--reason", "x", "--history-days", "28", "--seed", str(seed), "--json", tmp_path / "report.json")
        tidemark("retrain", *given, *options)
        return dict(json.loads((tmp_path / "report.json").read_text()))

    # Without a champion on all rows; then, beside one that knows them all, one that doesn't know the weeks held back.
    first, second = retrained(0), retrained(1)
    assert (first["status"], second["status"], retrained(1)["status"]) == ("trained", "not_compared", "unchanged")
    assert first["parameters"]["immature"] == second["parameters"]["immature"] == "weighted"
    whole, part = (int(mlflow_registry.tags(version, f"sqlite:///{tmp_path / 'mlflow.db'}")["trained_to"]) for version in ("1", "2"))
    assert whole == pytest.approx(T0 + 80 * DAY, abs=DAY // 2)
    assert part == pytest.approx(T0 + (80 - 7 - 7 - 7) * DAY, abs=DAY // 2)
    # By the labels of that day, when its youngest rows were immature; a folder has those of another day.
    assert (second["as_of"] == second["to"]) == (source == "archive")

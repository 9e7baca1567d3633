"""``tidemark monitor`` over an archive: figures as a plain count has them, with labels that come late, twice, or are taken back."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.definitions import DAY, FEATURE_SETS
from features.errors import UserError
from features.offline.storage import Storage
from models.registry import mlflow_registry
from tests.made.served_decisions import T0, archive_served, decided, label
from tests.run.command_line import home_at
from tests.run.command_line import ran as tidemark

V1 = FEATURE_SETS["fraud_v1"]
DAYS, A_DAY = 40, 60
AS_OF = "2025-02-10"  # T0 + 40 days


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """Decisions on random vectors by two versions; the second's amounts are a hundred times as large."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(DAYS * A_DAY):
        day = float(rng.integers(0, DAYS * 96)) / 96
        fraud, second = bool(rng.random() < 0.1), day >= 25
        vector = dict(zip(V1.names, rng.normal(2.0 * fraud, 1.0, len(V1.names)).astype(np.float32).tolist(), strict=True))
        probability = float(np.clip(0.3 * fraud + rng.random() * 0.5, 0, 1))
        action = "block" if probability > 0.7 else "review" if probability > 0.4 else "approve"
        made.append(
            {
                **decided(f"t{number}", day, number, action, user_id=f"u{number % 97}", **vector),
                "probability": probability,
                "model_version": "2" if second else "1",
                "model_digest": "second" if second else "first",
                "variant": "champion",
                "merchant_id": "m",
                "fraud": fraud,
                "day": day,
            }
        )
    return made


@pytest.fixture(scope="module")
def home(rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("monitor")
    labels, copied = [], []
    for number, row in enumerate(rows):
        if row["fraud"] and not (row["decision"] == "block" and number % 3):
            known = label(row["transaction_id"], row["day"], row["day"] + 1 + number % 5) | {"user_id": row["user_id"]}
            (copied if number % 2 else labels).append(known | {"kind": "label"})
            if number % 7 == 0:  # taken back
                labels.append(label(row["transaction_id"], row["day"], row["day"] + 6.5, False) | {"user_id": row["user_id"]})
    archive_served(Storage.of(home / "offline"), [*rows, *rows[:20]], labels, copied)
    with home_at(home):
        yield home


def monitored(home: Path, *arguments: str) -> dict[str, Any]:
    tidemark("monitor", "--json", home / "monitor.json", *arguments)
    return dict(json.loads((home / "monitor.json").read_text()))


def expected(rows: list[dict[str, Any]], as_of_day: float, digest: str) -> dict[str, int]:
    """By a loop: what became of each transaction by that day."""
    count = dict.fromkeys(("decisions", "immature", "unseen", "tp", "fp", "fn", "tn"), 0)
    for number, row in enumerate(rows):
        if row["model_digest"] != digest or row["event_time"] > T0 + as_of_day * DAY:
            continue
        day = row["event_time"] / DAY - T0 / DAY
        has_label = row["fraud"] and not (row["decision"] == "block" and number % 3)
        known = has_label and int((row["day"] + 1 + number % 5) * DAY) <= as_of_day * DAY
        back = known and number % 7 == 0 and int((row["day"] + 6.5) * DAY) <= as_of_day * DAY
        fraud, flagged = known and not back, row["decision"] != "approve"
        count["decisions"] += 1
        if row["event_time"] + 7 * DAY > T0 + as_of_day * DAY:
            count["immature"] += 1
        elif row["decision"] == "block" and not known:
            count["unseen"] += 1
        else:
            count["tp" if flagged and fraud else "fp" if flagged else "fn" if fraud else "tn"] += 1
        assert day >= 0
    return count


@pytest.mark.parametrize(("as_of", "day"), [(AS_OF, 40), ("2025-01-31", 30)])
def test_each_versions_figures_are_those_of_a_plain_count(home: Path, rows: list[dict[str, Any]], as_of: str, day: int) -> None:
    found = monitored(home, "--as-of", as_of)
    assert [version["version"] for version in found["versions"]] == ["1", "2"]
    for version in found["versions"]:
        count, said = expected(rows, day, version["digest"]), version["performance"]
        assert {name: said[name] for name in ("decisions", "immature", "unseen")} == {
            name: count[name] for name in ("decisions", "immature", "unseen")
        }
        if not (count["tp"] and count["fp"]):
            continue
        figures = {name: figure["value"] for name, figure in said["all"]["figures"].items()}
        assert figures["review_precision"] == pytest.approx(count["tp"] / (count["tp"] + count["fp"]))
        assert figures["review_recall"] == pytest.approx(count["tp"] / (count["tp"] + count["fn"]))
        assert figures["review_false_positive_rate"] == pytest.approx(count["fp"] / (count["fp"] + count["tn"]))


def test_a_range_is_told_apart_and_an_empty_one_refused(home: Path) -> None:
    found = monitored(home, "--from", "2025-01-30", "--as-of", AS_OF)
    assert [version["version"] for version in found["versions"]] == ["2"]
    with pytest.raises(UserError, match="nothing was decided from 2030-01-01"):
        monitored(home, "--from", "2030-01-01")
    with pytest.raises(UserError, match="--labels-after none leaves nothing to judge by"):
        monitored(home, "--labels-after", "none")


def test_a_version_that_the_registry_lacks_is_judged_without_drift(home: Path) -> None:
    assert {version["drift"] for version in monitored(home, "--as-of", AS_OF)["versions"]} == {None}
    assert "no reference is kept with this version" in tidemark("monitor", "--as-of", AS_OF)


def test_drift_is_from_what_the_version_was_made_of(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    """One feature of a version's later decisions has moved, and of no other."""
    with home_at(tmp_path):
        made, later = tmp_path / "made", tmp_path / "later"
        labels = [label(row["transaction_id"], row["day"], row["day"] + 2) | {"user_id": row["user_id"]} for row in rows if row["fraud"]]
        archive_served(Storage.of(made), rows, labels, [])
        tidemark("train", "--store", made, "--as-of", AS_OF)
        digest = mlflow_registry.load("models:/tidemark/1", f"sqlite:///{tmp_path / 'mlflow.db'}").model_digest
        moved = [{**row, "model_digest": digest, V1.names[5]: np.float32(row[V1.names[5]] + 2)} for row in rows]
        archive_served(Storage.of(later), moved, labels, [])
        tidemark("monitor", "--store", later, "--as-of", AS_OF, "--json", tmp_path / "monitor.json")
    (version,) = json.loads((tmp_path / "monitor.json").read_text())["versions"]
    far = [drift["name"] for drift in version["drift"] if drift["name"] in V1.names and drift["level"] == "much"]
    assert far == [V1.names[5]]

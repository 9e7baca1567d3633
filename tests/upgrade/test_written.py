"""What this program writes is what its version has promised to write: no format changes unnoticed."""

import json
from pathlib import Path

import pytest

from models.registry.mlflow_folder import write_folder
from streams.archive.archived_topics import ARCHIVED
from tests.upgrade import make, models
from tests.upgrade.golden import HERE, read, text, versions

NEWEST = versions()[-1]
WHAT_TO_DO = f"""this program writes another format than tests/upgrade/{NEWEST}. If that is meant: where {NEWEST} is released, add the next
version's folder (python -m tests.upgrade.make), see that the old ones are still read, and say so in CHANGELOG.md"""

# Where and when they were written is in them, or the trees of the model beside them: see the tests that read them, and below.
READ_ONLY = ("archive.json", "registry.json", "scores.json")


@pytest.fixture(scope="module")
def written() -> dict[str, object]:
    return {name: json.loads(text(content)) for name, content in make.files(models.newest()).items()}


@pytest.mark.parametrize("file", sorted(file.name for file in (HERE / NEWEST).glob("*.json") if file.name not in READ_ONLY))
def test_the_bytes_are_those_of_the_newest_version(written: dict[str, object], file: str) -> None:
    assert written[file] == read(NEWEST, file), WHAT_TO_DO


def test_every_file_written_is_a_golden_one(written: dict[str, object]) -> None:
    assert {*written, *READ_ONLY} == {file.name for file in (HERE / NEWEST).glob("*.json")}


def test_a_model_folder_has_the_same_files_and_the_same_content(tmp_path: Path) -> None:
    scorer = models.newest()
    folder = tmp_path / models.FOLDER
    write_folder(
        folder, scorer.booster, models.POLICY, models.FEATURE_SET, "m-0123456789abcdef", "0" * 32, models.record().beside_the_model()
    )
    kept = HERE / NEWEST / models.FOLDER
    assert sorted(file.name for file in folder.iterdir()) == sorted(file.name for file in kept.iterdir())
    for name in ("model.ubj", "policy.json", "features.json", "reference.json", "model_card.md"):
        assert (folder / name).read_bytes() == (kept / name).read_bytes(), name
    assert models.metadata(folder) == models.metadata(kept)


def test_a_model_is_registered_under_the_same_tags(tmp_path: Path) -> None:
    assert models.registry(models.newest(), tmp_path) == read(NEWEST, "registry.json"), WHAT_TO_DO


def test_an_archives_columns_keep_their_names_and_types() -> None:
    kept = read(NEWEST, "archive_columns.json")
    for topic, archived in ARCHIVED.items():
        now = {field.name: str(field.type) for field in archived.schema}
        assert {name: now.get(name) for name in kept[topic]} == kept[topic], topic

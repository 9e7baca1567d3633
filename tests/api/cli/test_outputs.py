"""No command writes over what it reads, or over what nobody of ours has made, and none works for long only to fail at writing."""

import json
from inspect import signature
from pathlib import Path
from typing import get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from api.cli.commands import COMMANDS, app_of
from features.errors import UserError
from tests.run.command_line import home_at
from tests.run.command_line import ran as run

NAMES = [name for section in COMMANDS.values() for name in section]


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    with home_at(tmp_path / "home"):
        yield


def refused(command: str, *arguments: str | Path) -> str:
    with pytest.raises(UserError) as error:
        run(command, *arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def callbacks(name: str) -> list[object]:
    return [info.callback for info in app_of(name).registered_commands]


# What commands read; a training set's folder is looked at by what writes it, for it may hold nothing else.
READ = {"policy", "file", "data", "folder"}


@pytest.mark.parametrize("name", NAMES)
def test_every_path_that_a_command_takes_is_read_or_declared_as_written(name: str) -> None:
    for callback in callbacks(name):
        for parameter in signature(callback).parameters.values():  # type: ignore[arg-type]
            kind, *infos = get_args(parameter.annotation) or (parameter.annotation,)
            if Path in (kind, *get_args(kind)):
                (info,) = infos
                assert bool(info.writable) != (parameter.name in READ), parameter


def test_the_check_sees_what_is_written() -> None:
    (backtest,) = callbacks("backtest")
    taken = signature(backtest).parameters  # type: ignore[arg-type]
    assert {name for name, one in taken.items() if any(getattr(info, "writable", False) for info in get_args(one.annotation))} == {
        "scores",
        "summary",
    }


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("train", "--data", "f.parquet", "--json", "f.parquet"),
            "--json f.parquet is what --data names to be read, and would be lost; name",
        ),
        (("train", "--data", "f.parquet", "--json", "link.json"), "--json link.json is what --data names to be read"),
        (("retrain", "--reason", "x", "--data", "f.parquet", "--json", "link.json"), "--json link.json is what --data names"),
        (("promote", "1", "--data", "f.parquet", "--json", "link.json"), "--json link.json is what --data names"),
        (("score-users", "--data", "f.parquet", "--json", "link.json"), "--json link.json is what --data names"),
        (("replay", "f.parquet", "--columns", "tidemark", "--json", "link.json"), "--json link.json is what FILE names"),
        (("backtest", "f.parquet", "--columns", "tidemark", "--scores", "f.parquet"), "--scores f.parquet is what FILE names"),
        (("backtest", "f.parquet", "--columns", "tidemark", "--scores", "./sub/../f.parquet"), "is what FILE names"),
        (
            ("backtest", "f.parquet", "--columns", "tidemark", "--scores", "mine.parquet"),
            "mine.parquet exists and was not made by tidemark; ",
        ),
        (
            ("simulate", "--out", "mine.parquet"),
            "--out mine.parquet exists and was not made by tidemark; name another file, or add --force",
        ),
        (("simulate", "--out", "odd.parquet"), "--out odd.parquet exists and was not made by tidemark"),
        (("train", "--json", "notes.json"), "--json notes.json exists and was not made by tidemark; name another file, or add --force"),
        (("audit", "--json", "notes.json"), "--json notes.json exists and was not made by tidemark"),
        (("promote", "1", "--json", "notes.json"), "--json notes.json exists and was not made by tidemark; name another file"),
        (("simulate", "--out", "new.csv"), "--out new.csv is written as Parquet; name a file that ends in .parquet"),
        (("simulate", "--out", "/dev/null"), "--out /dev/null is no plain file; name one that ends in .parquet"),
        (("simulate", "--out", "null.parquet"), "--out null.parquet is no plain file"),
        (("archive", "--json", "new.parquet"), "--json new.parquet is written as JSON; name a file that ends in .json"),
        (("archive", "--json", "sub"), "--json sub is a folder; name a file in it"),
        (("train", "--json", "notes.json/x.json"), "--json notes.json/x.json can't be written: Not a directory; name a file in a folder"),
        (("train", "--json", f"{'x' * 300}.json"), "can't be written: File name too long; name a file in a folder that you may write to"),
        (("dead-letters", "--json", "/proc/x.json"), "--json /proc/x.json can't be written: No such file or directory"),
        (
            ("features", "export", "--from", "2025-01-01", "--to", "2025-01-02", "--out", "x", "--json", "notes.json"),
            "notes.json exists and was not made",
        ),
        (("training-set", "rows", "--json", "notes.json"), "notes.json exists and was not made by tidemark"),
    ],
)
def test_outputs_are_checked_before_anything_is_done(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    pq.write_table(pa.table({"x": [1]}), "f.parquet")
    pq.write_table(pa.table({"x": [1]}), "mine.parquet")
    Path("link.json").symlink_to("f.parquet")
    Path("null.parquet").symlink_to("/dev/null")
    Path("odd.parquet").write_text("no Parquet")
    Path("notes.json").write_text('{"my": "notes"}')
    Path("sub").mkdir()
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file() and not path.is_symlink()}
    assert sentence in refused(*arguments)
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file() and not path.is_symlink()} == before
    assert Path("/dev/null").is_char_device()
    assert not (tmp_path / "home").exists()


def test_what_a_command_has_made_may_be_made_again() -> None:
    small = ("simulate", "--users", "5", "--merchants", "2", "--days", "1", "--out", "made.parquet", "--json", "made.json")
    for _ in range(2):
        run(*small)
    assert json.loads(Path("made.json").read_text())["made_by"] == "tidemark"
    table = pq.read_table("made.parquet")
    pq.write_table(table.replace_schema_metadata(None), "made.parquet")
    assert "made.parquet exists" in refused(*small)
    run(*small, "--force")
    assert pq.read_table("made.parquet").equals(table)


def test_an_empty_file_holds_nothing_to_lose_and_a_pipe_is_written() -> None:
    Path("empty.json").touch()
    small = ("simulate", "--users", "5", "--merchants", "2", "--days", "1", "--out", "made.parquet")
    run(*small, "--json", "empty.json")
    assert json.loads(Path("empty.json").read_text())["transactions"] >= 1
    run(*small, "--json", "/dev/null")
    assert Path("/dev/null").is_char_device()


def test_a_file_of_ones_own_in_a_folder_of_somebody_elses_and_a_link_that_leads_nowhere() -> None:
    Path("link.json").symlink_to("there/x.json")
    small = ("simulate", "--users", "5", "--merchants", "2", "--days", "1", "--out", "made.parquet")
    run(*small, "--json", "link.json")
    assert json.loads(Path("there/x.json").read_text())["made_by"] == "tidemark"
    assert Path("link.json").is_symlink()
    Path("dead.json").symlink_to("/proc/nowhere/x.json")
    assert "--json dead.json can't be written" in refused(*small, "--json", "dead.json")


def test_force_of_promote_means_something_else() -> None:
    Path("notes.json").write_text('{"my": "notes"}')
    assert refused("promote", "1", "--force", "--reason", "x", "--json", "notes.json").endswith("; name another file")

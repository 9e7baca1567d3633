"""``tidemark simulate`` and ``tidemark replay`` as they are typed; what needs a broker is tested with the replay."""

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from api.cli import main
from features.errors import UserError
from features.history.moments import day_range
from infra.local import services
from tests.run.command_line import ran as run

SMALL = ("--users", "50", "--merchants", "80", "--days", "3")


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in services.OUTSIDE_VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TIDEMARK_HOME", str(tmp_path / "home"))


def refused(*arguments: str) -> str:
    """The error of a command that must not be taken."""
    with pytest.raises(UserError) as raised:
        run(*arguments)
    return str(raised.value)


def test_a_file_is_simulated_and_counted(tmp_path: Path) -> None:
    out, summary = tmp_path / "x.parquet", tmp_path / "new" / "s.json"
    assert str(out) in run("simulate", "--out", str(out), *SMALL, "--json", str(summary))
    counted = json.loads(summary.read_text())
    assert counted["transactions"] == pq.read_metadata(out).num_rows > 100
    assert counted["file"] == str(out)


def test_to_and_days_are_two_ways_to_say_the_same(tmp_path: Path) -> None:
    for name, range_ in (("a", ("--days", "3")), ("b", ("--to", "2025-02-04"))):
        run("simulate", "--out", str(tmp_path / name), "--users", "50", "--merchants", "80", "--from", "2025-02-01", *range_)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_seed_drift_and_takeovers_change_what_is_simulated(tmp_path: Path) -> None:
    files = set()
    for number, options in enumerate(((), ("--seed", "1"), ("--drift-at", "2025-01-02"), ("--takeovers", "500"))):
        run("simulate", "--out", str(tmp_path / str(number)), *SMALL, *options)
        files.add((tmp_path / str(number)).read_bytes())
    assert len(files) == 4


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "either --out FILE.parquet or --topic"),
        (("--out", "x", "--topic"), "either --out FILE.parquet or --topic"),
        (("--out", "x", "--rate", "5"), "--rate and --labels-after are for --topic"),
        (("--out", "x", "--days", "3", "--to", "2025-02-01"), "--to and --days contradict each other"),
        (("--out", "x", "--to", "2024-12-31"), "--to 2024-12-31 must lie after --from 2025-01-01"),
        (("--out", "x", "--from", "1.2.2025"), "--from 1.2.2025 is no day; write it as 2018-08-01"),
        (("--out", "x", "--drift-at", "later"), "--drift-at later is no day"),
        (("--out", "x", "--users", "0"), "--users 0 is too small"),
        (("--topic", "--rate", "fast"), "--rate fast is not a rate"),
        (("--topic",), "Kafka is not running; start it with `tidemark up`"),
    ],
)
def test_what_simulate_refuses(options: tuple[str, ...], sentence: str) -> None:
    assert sentence in refused("simulate", *options)


class TestReplay:
    @pytest.fixture
    def file(self, tmp_path: Path) -> str:
        run("simulate", "--out", str(tmp_path / "x.parquet"), *SMALL)
        return str(tmp_path / "x.parquet")

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            (("--columns", "handbook"), 'column "TRANSACTION_ID" is missing in x.parquet'),
            (("--columns", "handbok"), '"handbok" is no preset'),
            (("--columns", "tidemark", "--rate", "fast"), "--rate fast is not a rate"),
            (("--columns", "tidemark", "--labels-after", "soon"), "--labels-after soon is not a duration"),
            (("--columns", "tidemark", "--from", "2025-01-03", "--to", "2025-01-03"), "must lie after"),
            (("--columns", "tidemark", "--from", "2026-01-01"), "has no transaction and no label from 2026-01-01"),
            (("--columns", "tidemark", "--to", "2024-01-01"), "has no transaction and no label before 2024-01-01"),
            (("--columns", "tidemark"), "Kafka is not running; start it with `tidemark up`, or name one in TIDEMARK_KAFKA"),
        ],
    )
    def test_what_it_refuses(self, file: str, options: tuple[str, ...], sentence: str) -> None:
        assert sentence in refused("replay", file, *options)

    def test_the_user_reads_one_line_and_the_status_is_2(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(sys, "argv", ["tidemark", "replay", str(tmp_path / "no.csv"), "--columns", "handbook"])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        assert capsys.readouterr().err == f"error: there is no file {tmp_path / 'no.csv'}; name a CSV or Parquet file\n"


def test_a_range_is_whole_days_in_utc() -> None:
    assert day_range("2018-08-01", "2018-08-02") == (1_533_081_600_000, 1_533_168_000_000)
    assert day_range(None, None) == (None, None)


def test_a_summary_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "can't be written" in refused("simulate", "--out", str(tmp_path / "x"), *SMALL, "--json", str(tmp_path / "file" / "s.json"))

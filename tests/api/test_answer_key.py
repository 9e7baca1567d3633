import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api.answer_key import answer_key, ensure
from features.errors import UserError

GIVEN = "a key that an operator has thought of"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TIDEMARK_ANSWER_KEY", "TIDEMARK_ANSWER_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)


def test_it_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(ensure, [tmp_path / "home"] * 8))
    (key,) = found
    assert (len(key), answer_key(tmp_path / "home")) == (64, key)
    assert key != ensure(tmp_path / "another")
    assert [file.name for file in (tmp_path / "home").iterdir()] == ["answer.key"]
    assert stat.S_IMODE((tmp_path / "home" / "answer.key").stat().st_mode) == 0o600


def test_the_environment_counts_before_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ensure(tmp_path)
    (tmp_path / "secret").write_text(f"{GIVEN} in a file\n")
    monkeypatch.setenv("TIDEMARK_ANSWER_KEY_FILE", str(tmp_path / "secret"))
    assert answer_key(tmp_path) == f"{GIVEN} in a file"
    monkeypatch.setenv("TIDEMARK_ANSWER_KEY", GIVEN)
    assert answer_key(tmp_path) == GIVEN
    assert ensure(tmp_path / "none") == GIVEN
    assert not (tmp_path / "none").exists()


def test_a_file_that_an_editor_has_marked_is_read_as_it_was_meant(tmp_path: Path) -> None:
    (tmp_path / "answer.key").write_bytes(b"\xef\xbb\xbf" + GIVEN.encode() + b"\r\n")
    assert answer_key(tmp_path) == GIVEN


def test_what_is_no_key_is_refused_without_showing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"there is no .*answer\.key.* run tidemark up"):
        answer_key(tmp_path)
    (tmp_path / "answer.key").write_bytes(b"\xff" * 40)
    with pytest.raises(UserError, match="can't be read"):
        answer_key(tmp_path)
    monkeypatch.setenv("TIDEMARK_ANSWER_KEY_FILE", str(tmp_path))
    with pytest.raises(UserError, match=r"TIDEMARK_ANSWER_KEY_FILE names can't be read .* copy it"):
        answer_key(tmp_path)
    monkeypatch.setenv("TIDEMARK_ANSWER_KEY", "plugh-4712")
    with pytest.raises(UserError, match="the key in TIDEMARK_ANSWER_KEY has 10 characters, at least 32 are needed") as refused:
        answer_key(tmp_path)
    assert "plugh" not in str(refused.value)

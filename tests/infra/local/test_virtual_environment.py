"""An environment of its own is made once, and what keeps it from being made is reported."""

import hashlib
import sys
from pathlib import Path

import pytest

from infra.local import virtual_environment
from infra.local.errors import ServiceError


def test_what_keeps_it_from_being_made_is_reported_with_the_fix(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("something==1.0\n")  # no hash
    with pytest.raises(ServiceError, match=r"the environment of Something could not be made \(.*hash.*\); fix that and run"):
        virtual_environment.ensure(tmp_path / "made", requirements, "Something")
    assert not (tmp_path / "made" / "made-of").exists(), "what is half made doesn't count"


def test_what_is_there_is_used(tmp_path: Path) -> None:
    requirements, folder = tmp_path / "requirements.txt", tmp_path / "made"
    requirements.write_text("something==1.0\n")
    folder.mkdir()
    (folder / "made-of").write_text(hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest())
    assert virtual_environment.ensure(folder, requirements, "Something") == folder / "bin" / "python"
    requirements.write_text("something==2.0\n")
    with pytest.raises(ServiceError):
        virtual_environment.ensure(folder, requirements, "Something")

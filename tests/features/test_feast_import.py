import subprocess
import sys
from pathlib import Path

SCRIPT = """
import typeguard
from features.feast_import import import_feast

before = typeguard.typechecked
import_feast()
assert typeguard.typechecked is before
from feast import Entity
Entity(name="user")
try:
    Entity(name=b"user")
except typeguard.TypeCheckError:
    print("Feast's arguments are checked")
except Exception:
    pass

@typeguard.typechecked
def others(x: int) -> int:
    return x

try:
    others("1")
except typeguard.TypeCheckError:
    print("others' arguments are checked")
"""


def test_feast_alone_goes_without_typeguard(tmp_path: Path) -> None:
    """In a process of its own, for Feast is imported once. Where Feast comes first, its arguments are checked: else this shows nothing."""
    checked = "Feast's arguments are checked"
    usual = _lines(tmp_path / "usual.py", "import feast\n" + SCRIPT)
    assert checked in usual
    assert _lines(tmp_path / "quick.py", SCRIPT) == [line for line in usual if line != checked] == ["others' arguments are checked"]


def _lines(file: Path, script: str) -> list[str]:
    file.write_text(script)
    done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()

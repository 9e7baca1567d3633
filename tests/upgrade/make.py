"""Writes the golden files of the version that this program is to be: ``python -m tests.upgrade.make 0.3.0``."""

import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from models.scoring import Scorer
from tests.upgrade import messages, models, states
from tests.upgrade.golden import HERE, text


def files(scorer: Scorer) -> Mapping[str, object]:
    """All that this program writes which doesn't depend on when or where."""
    return {**states.files(), **messages.files(scorer), **models.files()}


def write(folder: Path) -> None:
    """Writes a version's folder, which must not exist yet."""
    folder.mkdir()
    models.write(folder)
    scorer = models.read(folder.name)
    for name, content in (files(scorer) | {"scores.json": models.scores(scorer)}).items():
        (folder / name).write_text(text(content))
    with tempfile.TemporaryDirectory() as scratch:
        (folder / "registry.json").write_text(text(models.registry(scorer, Path(scratch))))
    messages.write_archive(folder / "archive", scorer)
    for log in (folder / "archive").rglob("_delta_log/*.json"):
        # Where this machine keeps its files is nobody's business.
        log.write_text(re.sub(r"file://[^\"]*/archive/", "file:///archive/", log.read_text()))
    (folder / "archive.json").write_text(text({topic: messages.rows_of_archive(folder / "archive", topic) for topic in messages.ARCHIVED}))


if __name__ == "__main__":
    target = HERE / sys.argv[1]
    if target.exists():
        sys.exit(f"{target} exists; what a released version wrote stays as it is, remove it only if {sys.argv[1]} isn't released yet")
    try:
        write(target)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise

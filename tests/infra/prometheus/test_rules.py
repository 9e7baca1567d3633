"""Rules and objectives by Prometheus's own tool: well-formed, and each alert fires when it should and not otherwise."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.run import prometheus

pytestmark = pytest.mark.monitoring

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[3]
RULES = prometheus.CONFIG / "rules"


@pytest.fixture(params=prometheus.folders() or [None], ids=str)
def promtool(request: pytest.FixtureRequest) -> Path:
    return prometheus.program(request.param, "promtool")


def test_the_configuration_is_valid(promtool: Path, tmp_path: Path) -> None:
    copy = tmp_path / "prometheus"
    shutil.copytree(prometheus.CONFIG, copy)
    said = prometheus.run(promtool, "check", "config", copy / "prometheus.yml")
    assert "is valid prometheus config file" in said


@pytest.mark.parametrize("file", sorted(RULES.glob("*.yml")), ids=lambda file: file.stem)
def test_rules_are_well_formed(promtool: Path, file: Path) -> None:
    prometheus.run(promtool, "check", "rules", file)


@pytest.mark.parametrize("file", sorted(HERE.glob("*.yml")), ids=lambda file: file.stem)
def test_alerts_fire_when_they_should_and_not_otherwise(promtool: Path, file: Path) -> None:
    prometheus.run(promtool, "test", "rules", file)


def test_a_broken_objective_that_nobody_tells_is_found(promtool: Path, tmp_path: Path) -> None:
    """The cases can fail: with a threshold so high that it is never crossed, one does."""
    (tmp_path / "tests" / "infra" / "prometheus").mkdir(parents=True)
    shutil.copytree(RULES, tmp_path / "infra" / "prometheus" / "rules")
    shutil.copy(HERE / "slo-api.yml", tmp_path / "tests" / "infra" / "prometheus")
    rules = tmp_path / "infra" / "prometheus" / "rules" / "slo-api.yml"
    rules.write_text(re.sub(r"> \(([\d.]+) \*", r"> (1000 * \1 *", rules.read_text()))
    done = subprocess.run(
        [promtool, "test", "rules", tmp_path / "tests" / "infra" / "prometheus" / "slo-api.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "TidemarkAPIAvailability" in done.stdout + done.stderr


@pytest.mark.parametrize("spec", sorted((ROOT / "infra" / "slo").glob("*.yml")), ids=lambda file: file.stem)
def test_an_objectives_rules_are_what_sloth_makes_of_it(spec: Path, tmp_path: Path) -> None:
    sloth = shutil.which("sloth", path=":".join([*map(str, prometheus.folders()), os.environ["PATH"]]))
    assert sloth, "this needs sloth: go install github.com/slok/sloth/cmd/sloth@v0.16.0, and its folder on the PATH"
    prometheus.run(Path(sloth), "generate", "-i", spec, "-o", tmp_path / "made.yml")
    made, kept = ((file.read_text().splitlines()) for file in (tmp_path / "made.yml", RULES / f"slo-{spec.name}"))
    # The first lines name the build of sloth.
    assert [line for line in made if not line.startswith("# Code generated")] == [
        line for line in kept if not line.startswith("# Code generated")
    ]


def test_alertmanagers_configuration_is_valid() -> None:
    amtool = shutil.which("amtool", path=":".join([*map(str, prometheus.folders()), os.environ["PATH"]]))
    assert amtool, "this needs amtool: apt-get install prometheus-alertmanager"
    prometheus.run(Path(amtool), "check-config", prometheus.CONFIG / "alertmanager.yml")

"""docker-compose.yml without Docker: the Compose specification's own schema, and what the schema cannot know.

`compose-spec.json` is the specification's schema word for word (Apache-2.0, the Compose Specification's authors).
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from infra.local import jars, services
from streams.config import DECIDING
from streams.workers.stages import STAGES

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def schema() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(Path(__file__).with_name("compose-spec.json").read_text())
    return loaded


def test_it_is_a_valid_compose_file(compose: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(schema())
    assert [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema()).iter_errors(compose)] == []


def test_the_schema_refuses_what_is_no_compose_file(compose: dict[str, Any]) -> None:
    wrong = {**compose, "services": {**compose["services"], "kafka": {**compose["services"]["kafka"], "healtcheck": {}}}}
    assert not Draft202012Validator(schema()).is_valid(wrong)


@pytest.mark.parametrize(
    "name", ["kafka", "redis", "mlflow", "api", "worker", "monitor", "airflow", "prometheus", "alertmanager", "grafana"]
)
def test_every_part_of_the_set_up_is_there_and_tells_its_health(compose: dict[str, Any], name: str) -> None:
    assert compose["services"][name]["healthcheck"]["test"][0] == "CMD"


def test_whoever_is_waited_for_exists_and_can_be_waited_for(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for awaited, how in service.get("depends_on", {}).items():
            assert awaited in compose["services"], name
            if how["condition"] == "service_healthy":
                assert "healthcheck" in compose["services"][awaited], awaited
            else:
                assert compose["services"][awaited]["restart"] == "no", awaited


def test_our_containers_look_for_the_services_where_they_are(compose: dict[str, Any]) -> None:
    for name in ("prepare", "api", "worker", "monitor", "airflow"):
        environment = compose["services"][name]["environment"]
        for variable in services.OUTSIDE_VARIABLES.values():
            host = re.sub(r"^\w+://", "", environment[variable]).split(":")[0]
            assert host in compose["services"], (name, variable)
    assert (
        "INSIDE://" + compose["services"]["api"]["environment"]["TIDEMARK_KAFKA"]
        in compose["services"]["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    )


def test_the_broker_is_the_embedded_ones_version(compose: dict[str, Any]) -> None:
    assert compose["services"]["kafka"]["image"] == f"apache/kafka:{jars.KAFKA_VERSION}"


def test_every_named_volume_is_declared_and_every_copied_file_exists(compose: dict[str, Any]) -> None:
    mounts = {mount.split(":")[0] for service in compose["services"].values() for mount in service.get("volumes", [])}
    used = {mount for mount in mounts if not mount.startswith("./")}
    assert not [mount for mount in mounts - used if not (ROOT / mount).exists()]
    assert used == set(compose["volumes"])
    for name in ("api", "airflow"):
        dockerfile = (ROOT / compose["services"][name]["build"]["dockerfile"]).read_text()
        for line in re.findall(r"^COPY (.+) \S+$", dockerfile, re.MULTILINE):
            assert all((ROOT / source).exists() for source in line.split()), line


def test_nothing_is_reachable_from_other_machines(compose: dict[str, Any]) -> None:
    published = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_what_is_scraped_and_told_in_containers_is_where_it_runs(compose: dict[str, Any]) -> None:
    files = [*(ROOT / "infra" / "docker" / "targets").iterdir(), *(ROOT / "infra" / "docker" / "alertmanagers").iterdir()]
    targets = [target for file in files for group in yaml.safe_load(file.read_text()) for target in group["targets"]]
    assert {target.split(":")[0] for target in targets} == {"api", "worker", "monitor", "alertmanager"} < set(compose["services"])
    assert "--port=8000" in compose["services"]["api"]["command"]
    assert "--metrics=0.0.0.0:9100" in compose["services"]["worker"]["command"]
    of_stages = [f"{'worker' if stage in DECIDING else 'monitor'}:{9100 + place}" for place, stage in enumerate(STAGES)]
    assert of_stages == [target for target in targets if target.startswith(("worker", "monitor"))]


def test_both_ways_to_run_scrape_the_same_processes() -> None:
    """Of the containers, and of one machine."""

    def ports(file: Path) -> list[tuple[str, list[str]]]:
        return [
            (group["labels"]["process"], [target.split(":")[1] for target in group["targets"]])
            for group in yaml.safe_load(file.read_text())
        ]

    here = ROOT / "infra" / "prometheus" / "targets" / "one-machine.yml"
    assert ports(here) == ports(ROOT / "infra" / "docker" / "targets" / "containers.yml")


def test_prometheus_and_grafana_read_the_files_that_the_tests_run(compose: dict[str, Any]) -> None:
    prometheus = {mount.split(":")[1]: mount.split(":")[0] for mount in compose["services"]["prometheus"]["volumes"]}
    config = yaml.safe_load((ROOT / prometheus["/etc/prometheus/prometheus.yml"]).read_text())
    read = [*config["rule_files"]]
    read += [file for found in config["alerting"]["alertmanagers"] for files in found["file_sd_configs"] for file in files["files"]]
    read += [file for job in config["scrape_configs"] for files in job["file_sd_configs"] for file in files["files"]]
    for pattern in read:
        folder, _, files = pattern.rpartition("/")
        assert list((ROOT / prometheus[f"/etc/prometheus/{folder}"]).glob(files)), pattern
    grafana = {mount.split(":")[1]: mount.split(":")[0] for mount in compose["services"]["grafana"]["volumes"]}
    provisioning = ROOT / grafana["/etc/grafana/provisioning"]
    (source,) = yaml.safe_load((provisioning / "datasources" / "tidemark.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "tidemark.yml").read_text())["providers"]
    assert source["url"] == "http://prometheus:9090"
    assert list((ROOT / grafana[provider["options"]["path"]]).glob("*.json"))
    assert (ROOT / compose["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].replace(
        provider["options"]["path"], grafana[provider["options"]["path"]]
    )).is_file()  # fmt: skip

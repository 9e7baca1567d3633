"""Commands for the services that Tidemark runs on: status, logs, down, doctor."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from api.outside_kafka import ASKING
from api.settings import Settings
from features.errors import UserError, redacted
from infra.local import doctor as checks
from infra.local import kafka, services
from infra.local.errors import ServiceError

if TYPE_CHECKING:
    from streams.health.findings import Finding


_MOST_LINES = 1_000_000_000


def run_status(as_json: bool) -> None:
    """As ``tidemark status`` promises."""
    home = services.home_from_environment()
    if as_json:
        _status_as_json(home)
        return
    endpoints = services.status(home, ASKING)
    for title, address in (
        ("Kafka", endpoints.kafka),
        ("Redis", endpoints.redis),
        ("MLflow", endpoints.mlflow),
        ("Feast", endpoints.feast_repo),
    ):
        typer.echo(redacted(f"{title:<7}{address}"))
    broken = [finding for finding in _deployment() if not finding.ok]
    for finding in broken:
        typer.echo(redacted(f"BROKEN {finding.subject}: {finding.detail}"))
    if broken:
        typer.echo("`tidemark doctor` says what helps")


def _status_as_json(home: Path) -> None:
    try:
        known, answering = services.addresses(home), services.answering(home, ASKING)
    except (UserError, ServiceError) as error:
        typer.echo(json.dumps({"error": redacted(str(error))}))
        raise typer.Exit(2) from None
    found: dict[str, object] = {
        name: {key: known.get(name), "answers": answering[name]}
        for name, key in (("kafka", "bootstrap_servers"), ("redis", "url"), ("mlflow", "tracking_uri"))
    }
    found["feast"] = {"repo_path": str(services.feast_repo(home))}
    if all(answering.values()):
        found["findings"] = [_redacted(finding) for finding in _deployment()]
    typer.echo(json.dumps(found))
    if not all(answering.values()):
        raise typer.Exit(2)


def run_logs(service: str | None, follow: bool, lines: int) -> None:
    """As ``tidemark logs`` promises."""
    home = services.home_from_environment()
    files = {file.stem: str(file) for file in sorted((home / "logs").glob("*.log"))}
    if not files:
        raise ServiceError(f"there are no logs in {home / 'logs'}; `tidemark up` starts the services")
    if service is not None and service not in files:
        raise ServiceError(f"there is no log of {service!r} in {home / 'logs'}; there are those of {', '.join(files)}")
    chosen = list(files.values()) if service is None else [files[service]]
    if lines > _MOST_LINES:
        raise UserError(f"-n {lines} are more lines than there can be; give at most {_MOST_LINES:,}")
    os.execvp("tail", ["tail", "-n", str(lines), *(["-F"] if follow else []), *chosen])


def run_down() -> None:
    """As ``tidemark down`` promises."""
    home = services.home_from_environment()
    workers = _workers(home) if services.is_running(kafka.SERVICE, home) else 0
    ended = services.down(home)
    typer.echo(f"ended {', '.join(ended)}" if ended else "nothing was running")
    if workers:
        typer.echo(
            f"note: {workers} {'worker still runs' if workers == 1 else 'workers still run'}, waiting for Kafka to come back; "
            "end them too if that isn't meant",
            err=True,
        )


def _workers(home: Path) -> int:
    """How many workers run any stage, as far as Kafka can say."""
    from streams.config import DeploymentConfig
    from streams.kafka.client import KafkaClients, KafkaException
    from streams.kafka.groups import Groups
    from streams.workers.stages import STAGES

    address = services.addresses(home).get("kafka")
    if address is None:  # an `up` that was broken off has left Kafka alone
        return 0
    config = DeploymentConfig(kafka=address, redis="", mlflow="", feast_repo="")
    try:
        groups = Groups(KafkaClients.of(config), timeout=3.0)
        return max(groups.members(config.group(stage)) for stage in STAGES)
    except (UserError, KafkaException):
        return 0


def _deployment() -> list["Finding"]:
    from streams.health import kafka_deployment
    from streams.health.findings import Finding

    try:
        config = Settings.resolve(require_services=True).stream_config()
    except UserError as error:
        return [Finding.of_error("deployment", error)]
    return kafka_deployment.examine(config)


def _redacted(finding: "checks.Finding | Finding") -> dict[str, object]:
    return {name: redacted(value) if isinstance(value, str) else value for name, value in asdict(finding).items()}


def run_doctor(as_json: bool) -> None:
    """As ``tidemark doctor`` promises."""
    home = services.home_from_environment()
    found: list[checks.Finding | Finding] = [*checks.examine(home, ASKING)]
    # Without the services there is nothing more to see.
    if all(finding.ok for finding in found if finding.subject in {service.title for service in services.SERVICES}):
        found += _deployment()
    if as_json:
        typer.echo(json.dumps([_redacted(finding) for finding in found]))
    for finding in [] if as_json else found:
        typer.echo(f"{'ok     ' if finding.ok else 'BROKEN '}{finding.subject:<20}{redacted(finding.detail)}")
        if finding.fix:
            typer.echo(f"{'':27}fix: {redacted(finding.fix)}")
    if not all(finding.ok for finding in found):
        raise typer.Exit(1)

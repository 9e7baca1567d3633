"""Commands for the services that Tidemark runs on: up, status, logs, down, doctor."""

import json
import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import typer

from api.outside_kafka import ASKING
from features.errors import redacted
from infra.local.errors import ServiceError


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    for command in (up, status, logs, down, doctor):
        app.command()(command)


def bring_up(home: Path, partitions: int, quiet: bool = False) -> None:
    """Services, topics and Feast repository, all ready for use when it returns. What is there already is left alone.

    Raises ServiceError or UserError.
    """
    from api.settings import kafka_security, offline_store
    from features.online import feast_repo_writer
    from infra.local import jars, services
    from streams.kafka import admin
    from streams.kafka.client import KafkaClients

    offline = offline_store(home)
    # The jars are fetched by the first command that needs them.
    class_path = f"{jars.SPARK.folder()}/*" if offline.is_remote else ""

    def write_repository(endpoints: services.Endpoints) -> None:
        feast_repo_writer.write(endpoints.feast_repo, endpoints.redis, offline, class_path)

    with ThreadPoolExecutor(1) as meanwhile:
        written: list[Future[None]] = []
        endpoints = services.up(
            home,
            report=(lambda _line: None) if quiet else typer.echo,
            # Feast takes as long to import as the services take to come up.
            started=lambda early: written.append(meanwhile.submit(write_repository, early)),
            asking=ASKING,
        )
        admin.create_missing(KafkaClients(endpoints.kafka, kafka_security()), partitions)
        for writing in written:
            writing.result()
    write_repository(endpoints)  # in case Redis' port had to change; else it is there already


def up(partitions: Annotated[int, typer.Option(min=1, help="Partitions of the topics that are created.")] = 4) -> None:
    """Start Kafka, Redis and MLflow in the background; create the topics and the Feast repository.

    TIDEMARK_KAFKA, TIDEMARK_REDIS and TIDEMARK_MLFLOW name services elsewhere to use instead. What runs already is left alone.
    """
    from infra.local import services

    bring_up(services.home_from_environment(), partitions)


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print the addresses as one JSON object and nothing else.")] = False,
) -> None:
    """Tell where the services are; fails if one of them does not answer. Passwords in addresses are shown by --json alone."""
    from infra.local import services

    endpoints = services.status(services.home_from_environment(), ASKING)
    if as_json:
        typer.echo(json.dumps(endpoints.as_json()))
        return
    for title, address in (
        ("Kafka", endpoints.kafka),
        ("Redis", endpoints.redis),
        ("MLflow", endpoints.mlflow),
        ("Feast", endpoints.feast_repo),
    ):
        typer.echo(redacted(f"{title:<7}{address}"))


def logs(
    service: Annotated[str | None, typer.Argument(help="kafka, redis or mlflow; all of them if left out.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written from now on, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Lines of each log.")] = 40,
) -> None:
    """Show the ends of the services' logs."""
    from infra.local import services

    home = services.home_from_environment()
    names = [known.name for known in services.SERVICES]
    if service is not None and service not in names:
        raise ServiceError(f"there is no service {service!r}; name one of {', '.join(sorted(names))}")
    files = [home / "logs" / f"{name}.log" for name in names if service in (None, name)]
    existing = [str(file) for file in files if file.exists()]
    if not existing:
        raise ServiceError(f"there are no logs in {home / 'logs'}; `tidemark up` starts the services")
    os.execvp("tail", ["tail", "-n", str(lines), *(["-F"] if follow else []), *existing])


def down() -> None:
    """End the services that `tidemark up` started; what they keep stays for the next time."""
    from infra.local import services

    ended = services.down(services.home_from_environment())
    typer.echo(f"ended {', '.join(ended)}" if ended else "nothing was running")


def doctor() -> None:
    """Check everything the services need and name what is missing or broken, with its fix; fails if anything is."""
    from infra.local import doctor as checks
    from infra.local import services

    found = checks.examine(services.home_from_environment(), ASKING)
    for finding in found:
        typer.echo(f"{'ok     ' if finding.ok else 'BROKEN '}{finding.subject:<20}{redacted(finding.detail)}")
        if finding.fix:
            typer.echo(f"{'':27}fix: {redacted(finding.fix)}")
    if not all(finding.ok for finding in found):
        raise typer.Exit(1)

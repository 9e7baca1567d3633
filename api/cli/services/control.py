"""Commands for the services that Tidemark runs on: status, logs, down, doctor."""

import json
import os
from typing import Annotated

import typer

from api.outside_kafka import ASKING
from features.errors import redacted
from infra.local import doctor as checks
from infra.local import services
from infra.local.errors import ServiceError


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print the addresses as one JSON object and nothing else.")] = False,
) -> None:
    """Say where the services are; fails if one of them does not answer. Passwords in addresses are shown by --json alone."""
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
    ended = services.down(services.home_from_environment())
    typer.echo(f"ended {', '.join(ended)}" if ended else "nothing was running")


def doctor() -> None:
    """Check everything the services need, and say what is missing or broken and what to do; fails if anything is."""
    found = checks.examine(services.home_from_environment(), ASKING)
    for finding in found:
        typer.echo(f"{'ok     ' if finding.ok else 'BROKEN '}{finding.subject:<20}{redacted(finding.detail)}")
        if finding.fix:
            typer.echo(f"{'':27}fix: {redacted(finding.fix)}")
    if not all(finding.ok for finding in found):
        raise typer.Exit(1)

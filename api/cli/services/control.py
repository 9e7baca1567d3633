"""The commands for the services that Tidemark runs on: status, logs, down, doctor."""

from typing import Annotated

import typer


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Say where the services are, and what of the product is broken; fails with 2 if a service does not answer.

    Passwords in addresses are shown by --json alone, which has an object a service, whether it answers or not, and if all do what
    `tidemark doctor` finds.
    """
    from api.cli.services.run_control import run_status

    run_status(as_json)


def logs(
    service: Annotated[
        str | None, typer.Argument(metavar="NAME", help="kafka, redis, mlflow, worker, api, spark-archive …; all if left out.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written from now on, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", metavar="N", min=0, help="Lines of each log.")] = 40,
) -> None:
    """Show the ends of the logs of services, workers, API and Spark, which lie in TIDEMARK_HOME's folder logs."""
    from api.cli.services.run_control import run_logs

    run_logs(service, follow, lines)


def down() -> None:
    """End the services that `tidemark up` started; what they keep stays for the next time."""
    from api.cli.services.run_control import run_down

    run_down()


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of findings and nothing else.")] = False) -> None:
    """Check everything the services need, and say what is missing or broken and what to do; fails if anything is."""
    from api.cli.services.run_control import run_doctor

    run_doctor(as_json)

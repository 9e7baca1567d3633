"""``tidemark worker``: runs the stages."""

from typing import Annotated

import typer


def worker(
    stages: Annotated[
        str, typer.Option(metavar="NAME,…", help="Which stages this worker runs, comma-separated.")
    ] = "labels,ingest,score,profiles",
    until_idle: Annotated[bool, typer.Option(help="Exit once everything that came in is decided and projected.")] = False,
    online: Annotated[
        bool, typer.Option("--online-store/--no-online-store", help="Whether features are kept in the online store, for API and Feast.")
    ] = True,
    metrics: Annotated[
        str,
        typer.Option(metavar="HOST:PORT", help="Serve what the stages count to Prometheus, each on a port of its own from this one on."),
    ] = "",
) -> None:
    """Score transactions as they come in. Start as many workers as you like: partitions are shared among them.

    A stage that fails is started again, at least once a minute; what only you can fix ends the worker with status 2. It decides on without
    Redis and MLflow, and starts without them.
    """
    from api.cli.stream.run_worker import run

    run([name.strip() for name in stages.split(",") if name.strip()], until_idle, online, metrics)

"""``tidemark up``: services, topics and Feast repository, and the facts of the deployment."""

from typing import Annotated

import typer


def up(
    partitions: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=1_000, help="Partitions of the topics that are created; 4.", show_default=False)
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The feature set that workers compute; as before if left out, at first fraud_v1.", show_default=False
        ),
    ] = None,
    currency: Annotated[
        str | None,
        typer.Option(metavar="CODE", help="The settlement currency, ISO 4217; as before if left out, at first EUR.", show_default=False),
    ] = None,
    monitoring: Annotated[
        bool, typer.Option("--monitoring", help="Start Prometheus and Alertmanager too, if they are installed; else say how to.")
    ] = False,
) -> None:
    """Start Kafka, Redis and MLflow in the background; create the topics and the Feast repository. What runs already is left alone.

    TIDEMARK_KAFKA, TIDEMARK_REDIS and TIDEMARK_MLFLOW name services elsewhere to use instead, TIDEMARK_OFFLINE the offline store,
    TIDEMARK_KAFKA_SECURITY a file with the properties that Kafka asks for. They are kept, with feature set and currency, in deployment.toml
    in TIDEMARK_HOME, which every other command reads.
    """
    from api.cli.services.run_up import run

    run(partitions, features, currency, monitoring)

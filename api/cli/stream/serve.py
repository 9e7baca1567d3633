"""``tidemark serve``: runs the HTTP API."""

from typing import Annotated

import typer


def serve(
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", help="The port to listen on.", min=0, max=65535)] = 8000,
    when_store_fails: Annotated[
        str,
        typer.Option(
            metavar="refuse|degrade",
            help="While the online store doesn't answer or has lost its data: answer 503 with Retry-After, or decide by the request alone, "
            "marked as degraded.",
        ),
    ] = "refuse",
) -> None:
    """Score single transactions over HTTP; POST /v1/score, documented at /docs."""
    from api.cli.stream.run_serve import run

    run(host, port, when_store_fails)

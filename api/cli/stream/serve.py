"""``tidemark serve``: runs the HTTP API."""

from typing import Annotated

import typer
import uvicorn

from api.http.app import create_app
from api.settings import Settings
from features.errors import UserError


def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.", min=0, max=65535)] = 8000,
    when_store_fails: Annotated[
        str,
        typer.Option(
            metavar="refuse|degrade",
            help="While the online store doesn't answer: answer 503 with Retry-After, or decide by the request alone, marked as degraded.",
        ),
    ] = "refuse",
) -> None:
    """Score single transactions over HTTP; POST /v1/score, documented at /docs."""
    if when_store_fails not in ("refuse", "degrade"):
        raise UserError(f"--when-store-fails {when_store_fails} is neither refuse nor degrade; use one of them")
    config = Settings.resolve(require_services=True).stream_config()
    app = create_app(config, degrade=when_store_fails == "degrade")
    # Its own log would show the passwords of addresses; ours masks them.
    uvicorn.run(app, host=host, port=port, log_level="warning", log_config=None, access_log=False)

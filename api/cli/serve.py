"""``tidemark serve``: runs the HTTP API."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(serve)


def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.", min=0, max=65535)] = 8000,
    features: Annotated[str, typer.Option(help="The feature set that the workers compute.")] = "fraud_v1",
    currency: Annotated[str, typer.Option(help="The deployment's settlement currency, ISO 4217.")] = "EUR",
) -> None:
    """Score single transactions over HTTP; POST /v1/score, documented at /docs."""
    import uvicorn

    from api.app import create_app
    from api.settings import Settings

    config = Settings.resolve(require_services=True).stream_config(features, currency)
    uvicorn.run(create_app(config), host=host, port=port, log_level="warning", access_log=False)

"""``tidemark serve``: runs the HTTP API."""

import logging
import socket
from contextlib import closing

import typer
import uvicorn

from api.http.app import create_app
from api.http.scorer import SynchronousScorer
from api.settings import DISPENSABLE, Settings
from features.errors import UserError
from infra.local import ports
from streams.workers.logs import log_to_file, log_to_stderr, require_format


class _Server(uvicorn.Server):
    """Says where it listens once it does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            bound = self.servers[0].sockets[0].getsockname()
            host = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
            typer.echo(f"listening at http://{host}:{bound[1]}")


def run(host: str, port: int, when_store_fails: str) -> None:
    """As ``tidemark serve`` promises."""
    if when_store_fails not in ("refuse", "degrade"):
        raise UserError(f"--when-store-fails {when_store_fails} is neither refuse nor degrade; use one of them")
    require_format()
    if port and (reason := ports.why_not_bound(host, port)):
        raise UserError(f"the API can't listen at {host}:{port} ({reason}); choose another --host or --port")
    settings = Settings.resolve(require_services=True, may_be_away=DISPENSABLE)
    config = settings.agreed_config()
    log_to_file(settings.home / "logs" / "api.log")
    log_to_stderr(logging.WARNING)
    with closing(SynchronousScorer(config, degrade=when_store_fails == "degrade")) as scorer:
        # Its own log would show the passwords of addresses; ours masks them.
        app = create_app(config, scorer)
        server = _Server(uvicorn.Config(app, host=host, port=port, log_level="warning", log_config=None, access_log=False))
        server.run()
    if not server.started:
        raise typer.Exit(1)

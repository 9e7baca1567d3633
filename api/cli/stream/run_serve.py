"""``tidemark serve``: runs the HTTP API."""

import uvicorn

from api.http.app import create_app
from api.settings import DISPENSABLE, Settings
from features.errors import UserError


def run(host: str, port: int, when_store_fails: str) -> None:
    """As ``tidemark serve`` promises."""
    if when_store_fails not in ("refuse", "degrade"):
        raise UserError(f"--when-store-fails {when_store_fails} is neither refuse nor degrade; use one of them")
    config = Settings.resolve(require_services=True, may_be_away=DISPENSABLE).agreed_config()
    app = create_app(config, degrade=when_store_fails == "degrade")
    # Its own log would show the passwords of addresses; ours masks them.
    uvicorn.run(app, host=host, port=port, log_level="warning", log_config=None, access_log=False)

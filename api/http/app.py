"""The HTTP API: POST /v1/score, and what operators ask of a service."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI, Request, Response
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.concurrency import run_in_threadpool

from api.http.request_metrics import RequestMetrics
from api.http.scorer import NotRecordedError, SynchronousScorer
from features.online.feast_store import OnlineStoreError
from streams.config import DeploymentConfig
from streams.messages.contracts import inlined
from streams.messages.events import Decision, Transaction, encode
from streams.messages.readers import transaction_reader
from streams.messages.refusals import MAX_AHEAD_MS, RefusedError, check_transaction, readable
from streams.messages.wire import TransactionMessage
from streams.metrics import catalogue
from streams.metrics import prometheus_collectors as collectors

_JSON = "application/json"
_PATHS = ("/v1/score", "/healthz", "/readyz", "/metrics")
# Threads take turns at one interpreter, and each hand-over may take milliseconds: with Starlette's 40 a busy process gives a quarter fewer
# answers. Fewer than these would leave it waiting when broker or store are slow.
_MOST_AT_ONCE = 8
_RETRY_AFTER = {"Retry-After": "1"}
# INGEST judges by the broker's clock, which may run behind ours: what it could refuse is refused here.
_CLOCKS_APART_MS = 60_000

_read_transaction = transaction_reader()


def create_app(config: DeploymentConfig, scorer: SynchronousScorer) -> FastAPI:
    """The application, which answers by that scorer; whoever has made it closes it."""
    registry = CollectorRegistry()
    decided, degraded = (collectors.counter(metric, registry) for metric in (catalogue.API_DECISIONS, catalogue.API_DEGRADED))
    ProcessCollector(registry=registry)
    is_ready = collectors.gauge(catalogue.API_READY, registry)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        current_default_thread_limiter().total_tokens = _MOST_AT_ONCE
        app.state.scorer = scorer
        yield

    app = FastAPI(title="Tidemark", version="1", summary="Scores card transactions for fraud while they happen.", lifespan=lifespan)

    app.add_middleware(RequestMetrics, paths=_PATHS, registry=registry)

    @app.post("/v1/score", summary="Score a transaction now", responses=_RESPONSES, openapi_extra=_openapi_extra())
    async def score(request: Request) -> Response:
        """Decides on the transaction, records both, and answers with the decision that the topic `decisions` will carry."""
        body = await request.body()
        try:
            transaction = _valid(body, config.currency)
        except RefusedError as error:
            return _problem(422, str(error))
        try:
            decision = await run_in_threadpool(request.app.state.scorer.score, transaction)
        except OnlineStoreError as error:
            return _problem(503, f"the online store can't be relied on, so nothing was decided; try again: {error}", _RETRY_AFTER)
        except NotRecordedError as error:
            return _problem(503, f"the transaction could not be recorded, so no decision was returned; try again: {error}", _RETRY_AFTER)
        decided.labels(decision.decision).inc()
        degraded.inc(decision.degraded)
        return Response(encode(decision), media_type=_JSON)

    @app.get("/healthz", summary="Whether the process runs")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", summary="Whether transactions can be scored")
    async def readyz(request: Request) -> Response:
        missing = await run_in_threadpool(request.app.state.scorer.ready)
        return _problem(503, "; ".join(missing), _RETRY_AFTER) if missing else Response(b'{"status":"ready"}', media_type=_JSON)

    @app.get("/metrics", summary="Prometheus metrics")
    async def metrics(request: Request) -> Response:
        is_ready.set(not await run_in_threadpool(request.app.state.scorer.ready))
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return app


def _valid(body: bytes, currency: str) -> Transaction:
    """The transaction in a request's body. Raises RefusedError for whatever INGEST would refuse, for that would never be decided."""
    transaction = readable(body, _read_transaction)
    check_transaction(transaction, time.time_ns() // 1_000_000, currency, "this server's clock", MAX_AHEAD_MS - _CLOCKS_APART_MS)
    return transaction


def _problem(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps({"detail": sentence}), status, headers, _JSON)


def _openapi_extra() -> dict[str, Any]:
    example = {
        "transaction_id": "a1",
        "event_time": "2026-01-31T09:30:00Z",
        "user_id": "123",
        "merchant_id": "456",
        "amount": 2599,
        "currency": "EUR",
    }
    return {"requestBody": {"required": True, "content": {_JSON: {"schema": inlined(TransactionMessage), "example": example}}}}


_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The decision.", "content": {_JSON: {"schema": inlined(Decision)}}},
    422: {"description": "The transaction isn't valid; `detail` says why."},
    503: {"description": "Nothing was decided; try again."},
}

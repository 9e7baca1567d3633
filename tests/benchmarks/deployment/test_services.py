"""The benchmarks ``api``, ``backfill`` and ``recovery`` as they are typed, at their quickest; and what is pure in them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import UserError
from streams.simulate import SIMULATED
from tests.benchmarks.commands import bench_results
from tests.benchmarks.deployment.killable import recovered
from tests.benchmarks.load.http_load import HttpLoad, complete, post
from tests.benchmarks.measures import endpoint
from tests.benchmarks.measures.recovery import waited
from tests.run.benchmark import measured


@pytest.mark.slow
def test_api(tmp_path: Path) -> None:
    found = measured(
        tmp_path,
        "api",
        *("--rates", "20,50", "--callers", "2", "--seconds", "2", "--warm-up", "1", "--partitions", "2", "--quick"),
    )
    assert found["partitions"] == 2
    assert list(found["rates"]) == ["20", "50"]
    for asked in (*found["rates"].values(), found["closed_loop"]):
        (run,) = asked["runs"]
        assert 0 < run["p50_ms"] <= run["p90_ms"] <= run["p99_ms"] <= run["max_ms"]
        assert asked["p99_ms"] == run["p99_ms"] == asked["spread"]["p99_ms"]["median"]
        assert run["answered_per_s"] > 0
        assert asked["errors"] == run["errors"] == {}
        assert {"api", "generator", "ingest", "score", "kafka", "redis"} <= run["cores"].keys()
    assert found["rates"]["20"]["runs"][0]["requests"] == 20 * 3
    assert found["closed_loop"]["callers"] == 2


@pytest.mark.slow
def test_backfill(tmp_path: Path) -> None:
    found = measured(tmp_path, "backfill", "--transactions", "4000", "--runs", "1", "--compare")
    size = found["sizes"]["4000"]
    (run,) = size["runs"]
    assert size["transactions"] == pytest.approx(4_000, rel=0.2)
    assert size["seconds"] == run["seconds"] > 0
    assert run["cpu_seconds"] > 0
    assert size["equal_to_the_history"] is True


@pytest.mark.slow
def test_recovery(tmp_path: Path) -> None:
    found = measured(tmp_path, "recovery", "--users", "500", "--before", "4", "--after", "8", "--partitions", "2", "--runs", "1")
    of_size = found["users"]["500"]
    (run,) = of_size["runs"]
    assert 0 < of_size["kill_to_first_decision_s"] == run["kill_to_first_decision_s"]
    assert run["longest_wait_s"] > 0
    # The users of the history, and those that the load brought.
    assert run["states"]["ingest"]["keys"] >= 500
    assert run["states"]["score"]["keys"] > 0


def test_all_runs_each_as_if_it_was_typed(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    assert bench_results.run(["keys", "--numbers", "20000", "--json", str(file)]) == 0
    assert json.loads(file.read_text())["command"] == f"python -m tests.benchmarks keys --numbers 20000 --json {file}"
    assert bench_results.run(["keys", "--numbers", "many"]) == 2


@pytest.mark.parametrize(
    ("buffer", "status"),
    [
        (b"", None),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n", None),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{", None),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", 200),
        (b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n", 503),
    ],
)
def test_a_response_is_taken_once_it_is_whole(buffer: bytes, status: int | None) -> None:
    assert complete(buffer) == status


class EveryFifthFails(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        EveryFifthFails.asked += 1
        self.send_response(503 if EveryFifthFails.asked % 5 == 0 else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def server() -> Iterator[int]:
    EveryFifthFails.asked = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), EveryFifthFails) as served:
        thread = Thread(target=served.serve_forever)
        thread.start()
        try:
            yield served.server_port
        finally:
            served.shutdown()
            thread.join()


def transactions(file: Path, count: int) -> str:
    known = {"transaction_id": [str(i) for i in range(count)], "event_time": range(count), "amount": [100] * count}
    columns = [
        pa.array(known.get(field.name, ["x"] * count if field.type == pa.string() else [None] * count), field.type) for field in SIMULATED
    ]
    pq.write_table(pa.table(columns, schema=SIMULATED), file)
    return str(file)


def test_an_open_load_posts_all_and_counts_what_was_refused(tmp_path: Path) -> None:
    with server() as port:
        asked = HttpLoad(
            port=port, file=transactions(tmp_path / "t.parquet", 60), first=10, count=50, rate=100, warm_up=0.1, seconds=0.4, connections=4
        )
        answers = post(asked)
    assert (answers.posted, answers.decided, answers.errors) == (50, 40, {"503": 10})
    assert 0 < answers.latency["p50_ms"] <= answers.latency["max_ms"]


def test_a_closed_load_ends_when_its_transactions_do(tmp_path: Path) -> None:
    with server() as port:
        file = transactions(tmp_path / "t.parquet", 20)
        answers = post(HttpLoad(port=port, file=file, first=0, count=20, rate=None, warm_up=0, seconds=0.5, connections=3))
    assert (answers.posted, answers.decided, answers.errors) == (20, 16, {"503": 4})
    assert answers.per_s > 0


def test_runs_are_summed_up_by_their_medians() -> None:
    def run(p99: float, **errors: int) -> dict[str, object]:
        latencies = {"p50_ms": 1.0, "p90_ms": 2.0, "p99_ms": p99, "max_ms": 9.0}
        return {"answered_per_s": 100.0, **latencies, "errors": errors, "cores": {"api": 0.5}}

    found = endpoint.summary([run(3.0), run(5.0, a=1), run(4.0, a=2)])
    assert found["p99_ms"] == 4.0
    assert found["spread"]["p99_ms"] == {"median": 4.0, "least": 3.0, "most": 5.0}
    assert found["errors"] == {"a": 3}


def test_only_decisions_made_after_the_kill_end_the_wait() -> None:
    died = 10_000.0
    decided_at, arrived_at = np.array([9_990, 9_999, 16_000, 16_500]), np.array([9_995.0, 10_020.0, 16_040.0, 16_030.0])
    due = np.array([9_980.0, 9_985.0, 9_998.0, 10_400.0])
    assert waited(died, decided_at, arrived_at, due) == {"kill_to_first_decision_s": 6.03, "longest_wait_s": 6.04}
    with pytest.raises(UserError, match="before the worker was killed"):
        waited(20_000.0, decided_at, arrived_at, due)


def test_what_a_worker_says_of_its_recovery_is_added_up() -> None:
    said = [
        "2026-11-24 02:40:00,1 INFO ingest: recovered state.users[0]: 100 keys, then offsets 10 to 30, in 0.2 s",
        "2026-11-24 02:40:00,2 INFO ingest: recovered state.users[1]: 50 keys, then offsets 5 to 5, in 0.1 s",
        "2026-11-24 02:40:00,3 INFO score: recovered state.merchants[0]: 7 keys, then offsets 1 to 3, in 1.0 s",
        "2026-11-24 02:40:00,4 INFO score: version 1 (abc) is champion, loaded in 0.3 s",
    ]
    assert recovered(said) == {
        "ingest": {"keys": 150, "applied_again": 20, "seconds": 0.3},
        "score": {"keys": 7, "applied_again": 2, "seconds": 1.0},
    }

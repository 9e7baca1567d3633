"""Every panel's query gives data, on every version of Prometheus at hand, that scrapes a running deployment by our very rules."""

import json
import math
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count

import pytest

from infra.grafana.__main__ import FOLDER
from infra.local import ports
from tests.made.records import label, transaction
from tests.run import prometheus
from tests.run.deployment import Deployment, champion, deployed, eventually
from tests.run.prometheus import Prometheus
from tests.run.serving import Api, serving

pytestmark = pytest.mark.monitoring

START = 1_700_000_000_000
RATE_INTERVAL = "20s"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Traffic(threading.Thread):
    """Transactions to topic and API, labels, and what is refused, until it is ended."""

    def __init__(self, deployment: Deployment, api: Api) -> None:
        super().__init__(name="traffic", daemon=True)
        self._deployment, self._api = deployment, api
        self._ending = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            numbers = count(1)
            while not self._ending.wait(0.2):
                sent = [transaction(next(numbers), f"u{n % 5}", f"m{n % 3}", START + n * 1_000) for n in range(20)]
                self._deployment.send([*sent, sent[0], label(0, sent[1], START + 86_400_000)])
                assert self._api.score(transaction(next(numbers), "u1", "m1", START).value or b"")[0] == 200
                assert self._api.score(b"{}")[0] == 422
                self._api.get("/no-such-path")
        except BaseException as error:
            self.error = error

    def end(self) -> None:
        self._ending.set()
        self.join()
        if self.error is not None:
            raise self.error


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, object]]]:
    """The targets of a deployment under traffic: a worker's stages, the API and an audit."""
    with ExitStack() as stack:
        deployment = stack.enter_context(deployed(tmp_path_factory.mktemp("watched") / "home", partitions=2))
        champion(deployment.config)
        first, audit = ports.choose([], set()), free_port()
        stack.enter_context(deployment.running("worker", "--metrics", f"127.0.0.1:{first}"))
        api = stack.enter_context(serving(deployment))
        traffic = Traffic(deployment, api)
        traffic.start()
        stack.callback(traffic.end)
        eventually(lambda: len(deployment.read("decisions")) > 20, what="the first decisions")
        stack.enter_context(deployment.running("audit", "--all", "--from-beginning", "--follow", "--dry-run", "--metrics-port", str(audit)))
        eventually(lambda: Api(f"http://127.0.0.1:{audit}").get("/metrics")[0] == 200, what="the audit's figures")
        yield [
            {"targets": [api.base.removeprefix("http://")], "labels": {"process": "api"}},
            {"targets": [f"127.0.0.1:{first + place}" for place in range(4)], "labels": {"process": "stage"}},
            {"targets": [f"127.0.0.1:{audit}"], "labels": {"process": "audit"}},
        ]


@pytest.fixture(scope="module", params=prometheus.folders() or [None], ids=str)
def server(
    request: pytest.FixtureRequest, watched: list[dict[str, object]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    with prometheus.running(request.param, tmp_path_factory.mktemp("prometheus") / "home", watched) as running:
        yield running


def queries() -> dict[str, str]:
    """By dashboard, panel and number of the query, from the files that Grafana reads."""
    found = {}
    for file in sorted(FOLDER.glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel.get("targets", []):
                found[f"{file.stem}: {panel['title']} {target['refId']}"] = target["expr"]
    return found


def has_data(server: Prometheus, query: str) -> Callable[[], bool]:
    """Whether one of its series has a number by now."""
    expression = query.replace("$__rate_interval", RATE_INTERVAL)
    return lambda: any(math.isfinite(float(series["value"][1])) for series in server.query(expression))


@pytest.mark.parametrize("name", queries())
def test_a_panel_has_data(server: Prometheus, name: str) -> None:
    eventually(has_data(server, queries()[name]), 90, f"data of {name}")


def test_a_query_that_nobody_answers_is_noticed(server: Prometheus) -> None:
    assert not has_data(server, "tidemark_no_such_thing")()


def test_everything_that_runs_is_scraped_without_an_error(server: Prometheus) -> None:
    eventually(lambda: all(target["health"] == "up" for target in server.ask("targets")["activeTargets"]), 30, "every target")
    assert len(server.ask("targets")["activeTargets"]) == 6
    assert {rule["health"] for group in server.ask("rules")["groups"] for rule in group["rules"]} <= {"ok", "unknown"}


def test_nothing_but_the_sign_of_life_is_told_of_a_healthy_deployment(server: Prometheus) -> None:
    eventually(lambda: bool(server.query("ALERTS")), 30, "the sign of life")
    firing = {series["metric"]["alertname"] for series in server.query('ALERTS{alertstate="firing"}')}
    # A first turn compiles and a small machine is slow: latency is no statement of this test.
    assert firing - {"TidemarkDecisionLatency", "TidemarkOnlineFreshness"} == {"TidemarkDeadMansSwitch"}

"""The DAGs, really run by Airflow, with a ``tidemark`` that notes what it was asked and answers as set: commands, failures, retries."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from infra.airflow import environment
from tests.infra.airflow.airflow_runs import Airflow, Run

# Answers with the exit statuses in $ANSWERS, one after another, then with the last again; the words that are asked for are kept apart.
STAND_IN = """#!/usr/bin/env python3
import json, os, pathlib, sys
asked = pathlib.Path(os.environ["ASKED"])
asked.mkdir(exist_ok=True)
number = len(list(asked.iterdir()))
(asked / f"{number:03d}.json").write_text(json.dumps(sys.argv[1:]))
if "--json" in sys.argv:
    pathlib.Path(sys.argv[sys.argv.index("--json") + 1]).write_text('{"version": "7"}\\n')
answers = json.loads(os.environ["ANSWERS"])
sys.exit(answers[min(number, len(answers) - 1)])
"""
EVIL = 'an "alert"; touch $HOME/evil; $(touch evil) `touch evil`'
# What is run: DAG, its parameters, how the command answers.
RUNS: Mapping[str, tuple[str, Mapping[str, Any], list[int]]] = {
    "well": ("daily_user_risk", {}, [0]),
    "other parameters": ("daily_user_risk", {"store": "/a b", "engine": "spark", "max_lag": 72, "topic": False}, [0]),
    "mended": ("daily_user_risk", {}, [2, 1, 0]),
    "broken": ("daily_user_risk", {}, [2]),
    "retrain": ("retrain", {}, [0]),
    "reason": ("retrain", {"reason": EVIL}, [0]),
    "chosen": ("retrain", {"features": "fraud_v3", "store": "/a b", "data": "/rows", "immature": "weighted", "search": 90}, [0]),
    "held out": ("retrain", {"data": "/held.parquet", "propensity": "let through"}, [0]),
    "compact": ("compact_archive", {}, [2, 0]),
    "outcomes": ("nightly_outcomes", {"store": "/a b"}, [0]),
    "clean": ("nightly_audit", {"features": "fraud_v3"}, [0]),
    "mismatch": ("nightly_audit", {}, [1]),
    "no audit": ("nightly_audit", {}, [2]),
    "watched": ("watch_models", {"store": "/a b"}, [0]),
    "not acted": ("watch_models", {}, [0, 1]),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """Of each run its result, with ``asked``: the words that each call of the command was given."""
    folder = tmp_path_factory.mktemp("dags")
    stand_in = folder / "bin" / "tidemark"
    stand_in.parent.mkdir()
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)
    airflow = Airflow(folder / "home", {"PATH": f"{stand_in.parent}:{environment.variables(folder)['PATH']}"})
    airflow.migrate()
    runs = [
        Run(dag, f"2026-01-{number:02d}", conf, {"ASKED": str(folder / name.replace(" ", "-")), "ANSWERS": json.dumps(answers)})
        for number, (name, (dag, conf, answers)) in enumerate(RUNS.items(), 1)
    ]
    done = dict(zip(RUNS, airflow.run(runs), strict=True))
    for name, run in zip(RUNS, runs, strict=True):
        done[name]["asked"] = [json.loads(file.read_text()) for file in sorted(Path(run.environment["ASKED"]).iterdir())]
    assert not list(folder.rglob("evil"))
    assert not (Path(os.environ.get("HOME", "/")) / "evil").exists()
    return done


def test_the_day_of_the_run_is_scored_and_published(results: Mapping[str, Any]) -> None:
    done = results["well"]
    assert (done["state"], done["tasks"]) == ("success", {"score_users": {"state": "success", "tries": 1}})
    assert done["asked"] == [["score-users", "--as-of", "2026-01-01", "--engine", "auto", "--max-lag", "24", "--topic"]]


def test_parameters_reach_the_command(results: Mapping[str, Any]) -> None:
    assert results["other parameters"]["asked"] == [
        ["score-users", "--as-of", "2026-01-02", "--engine", "spark", "--max-lag", "72", "--store", "/a b"]
    ]
    assert results["outcomes"]["asked"] == [["outcomes", "--store", "/a b"]]
    (asked,) = results["chosen"]["asked"]
    assert asked[3:] == [
        "--json", "retrain.json", "--features", "fraud_v3",
        "--store", "/a b", "--data", "/rows", "--immature", "weighted", "--search", "90",
    ]  # fmt: skip
    (asked,) = results["held out"]["asked"]
    assert asked[3:] == ["--json", "retrain.json", "--data", "/held.parquet", "--propensity", "let through"]
    (asked,) = results["clean"]["asked"]
    assert asked == ["audit", "--features", "fraud_v3", "--all"]


def test_what_a_person_types_is_never_read_as_bash(results: Mapping[str, Any]) -> None:
    assert results["reason"]["state"] == "success"
    assert results["reason"]["asked"][0][:3] == ["retrain", "--reason", EVIL]
    assert results["retrain"]["asked"] == [["retrain", "--reason", "schedule", "--json", "retrain.json"]]


def test_a_failure_that_passes_is_tried_again(results: Mapping[str, Any]) -> None:
    assert (results["mended"]["state"], results["mended"]["tasks"]["score_users"]["tries"]) == ("success", 3)
    assert len({tuple(asked) for asked in results["mended"]["asked"]}) == 1, "each try asks for the same day"
    assert (results["compact"]["state"], results["compact"]["tasks"]["compact"]["tries"]) == ("success", 2)
    assert results["compact"]["asked"] == [["archive", "--compact"]] * 2


def test_a_failure_that_stays_fails_the_run_after_three_more_tries(results: Mapping[str, Any]) -> None:
    assert results["broken"]["state"] == "failed"
    assert results["broken"]["tasks"] == {"score_users": {"state": "failed", "tries": 4}}
    assert len(results["broken"]["asked"]) == 4


def test_a_mismatch_fails_the_audit_at_once(results: Mapping[str, Any]) -> None:
    assert results["clean"]["state"] == "success"
    assert results["mismatch"]["state"] == "failed"
    assert results["mismatch"]["tasks"] == {"audit": {"state": "success", "tries": 1}, "verdict": {"state": "failed", "tries": 1}}
    assert len(results["mismatch"]["asked"]) == 1


def test_an_audit_that_cannot_be_made_is_tried_again(results: Mapping[str, Any]) -> None:
    tasks = results["no audit"]["tasks"]
    assert (results["no audit"]["state"], tasks["audit"], tasks["verdict"]["state"]) == (
        "failed",
        {"state": "failed", "tries": 4},
        "upstream_failed",
    )


def test_what_alerts_ask_for_is_done_after_the_look_and_tried_again_the_next_day(results: Mapping[str, Any]) -> None:
    assert results["watched"]["state"] == "success"
    assert results["watched"]["asked"] == [["monitor", "--alert", "--store", "/a b"], ["alerts", "act"]]
    assert results["not acted"]["tasks"] == {"monitor": {"state": "success", "tries": 1}, "act": {"state": "failed", "tries": 1}}

"""The rooms' arrows are held by import-linter; here, that each room's core is pure and that edges carry an edge's name."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("features", "models", "streams")

EDGE_NAMES = ("kafka_", "feast_", "mlflow_", "spark_", "faust_")
# Edges whose names say what they do rather than to what: they read files, run threads and processes, or look at the clock.
OTHER_EDGES = {
    "features.backfill.plan",
    "features.backfill.export",
    "features.offline.parquet_tables",
    "features.offline.storage",
    "streams.replay.aligned.process",
    "streams.replay.aligned.kafka_replay",
    "streams.archive.served.parquet_tables",
    "streams.archive.served.parquet_folder",
    "streams.replay.backtest",
    "streams.control.mlflow_champion",
    "streams.messages.contracts",
    "features.history.datafile",
    "streams.workers.garbage",
    "streams.workers.parent",
    "streams.workers.partitions",
    "streams.online.feast_projector",
    "streams.workers.repeated_log",
    "streams.replay.kafka_replay",
    "streams.workers.stage_metrics",
    "streams.workers.stage_process",
    "streams.workers.stages",
    "streams.kafka.stall",
    "streams.user_risk.parquet_table",
    "streams.workers.worker",
}

# Clock, randomness, environment, files, network, threads: in the core they come in as arguments.
IMPURE = {
    "aiokafka",
    "asyncio",
    "concurrent",
    "confluent_kafka",
    "fastapi",
    "faust",
    "feast",
    "logging",
    "mlflow",
    "multiprocessing",
    "os",
    "pyspark",
    "random",
    "redis",
    "secrets",
    "shutil",
    "signal",
    "socket",
    "subprocess",
    "sys",
    "tempfile",
    "threading",
    "time",
    "uuid",
}
IMPURE_CALLS = {"open", "input", "print", "now", "today", "utcnow", "default_rng"}


def modules() -> dict[str, Path]:
    files = [file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py")) if "feast_repo" not in file.parts]
    return {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file for file in files}


def is_edge(module: str) -> bool:
    return module in OTHER_EDGES or module.rsplit(".", 1)[-1].startswith(EDGE_NAMES)


CORE = [module for module in modules() if not is_edge(module)]


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("module", CORE)
def test_the_core_is_pure(module: str) -> None:
    tree = ast.parse(modules()[module].read_text())
    imported = set(imports(tree))
    assert not {name.split(".")[0] for name in imported} & IMPURE
    assert not [name for name in imported if name in modules() and is_edge(name)], "the core must not import an edge"
    called = {
        node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute)
    }
    seeded = {"default_rng"} if module.startswith("streams.simulate") else set()
    assert not called & (IMPURE_CALLS - seeded)


def test_every_listed_edge_exists() -> None:
    assert set(modules()) >= OTHER_EDGES


def test_the_import_contracts_hold() -> None:
    found = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout[-3000:]

"""The rooms' arrows are held by import-linter; here, that each room's core is pure and that edges carry an edge's name."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("features", "models", "streams")

EDGE_NAMES = ("arrow_", "kafka_", "feast_", "mlflow_", "spark_", "faust_", "parquet_", "prometheus_")
# Folders whose whole question is how we speak to something outside.
EDGE_FOLDERS = ("streams.kafka.", "streams.workers.")
# Edges whose names say what they do rather than to what: they read files or look at the clock.
OTHER_EDGES = {
    "features.backfill.export",
    "features.backfill.plan",
    "features.history.datafile",
    "features.offline.storage",
    "features.scratch",
    "models.promotion.latency",
    "streams.messages.contracts",
}
# What these read is the program's own source: it can't change while they run.
OF_OWN_SOURCE = {"features.compiled", "features.source_closure"}
# It changes how a library is imported, nothing else.
IMPORTS = {"models.xgboost_import"}

# Clock, randomness, environment, files, network, threads: in the core they come in as arguments.
IMPURE = {
    "aiokafka",
    "asyncio",
    "concurrent",
    "confluent_kafka",
    "deltalake",
    "fastapi",
    "faust",
    "fcntl",
    "feast",
    "logging",
    "mlflow",
    "multiprocessing",
    "os",
    "prometheus_client",
    "psutil",
    "pyarrow.csv",
    "pyarrow.dataset",
    "pyarrow.fs",
    "pyarrow.parquet",
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
FILE_CALLS = {
    "open",
    "read_bytes",
    "read_text",
    "write_bytes",
    "write_text",
    "mkdir",
    "unlink",
    "exists",
    "is_file",
    "is_dir",
    "iterdir",
    "glob",
    "stat",
}
IMPURE_CALLS = {"input", "print", "now", "today", "utcnow"} | FILE_CALLS


def modules() -> dict[str, Path]:
    files = [file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py")) if "feast_repo" not in file.parts]
    return {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file for file in files}


def is_edge(module: str) -> bool:
    return module in OTHER_EDGES or module.startswith(EDGE_FOLDERS) or module.rsplit(".", 1)[-1].startswith(EDGE_NAMES)


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
    imported = set(imports(tree)) - ({"sys"} if module in IMPORTS else set())
    assert not [name for name in imported if name in IMPURE or name.split(".")[0] in IMPURE]
    assert not [name for name in imported if name in modules() and is_edge(name)], "the core must not import an edge"
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    called = {name_of(call) for call in calls}
    assert not called & (IMPURE_CALLS - (FILE_CALLS if module in OF_OWN_SOURCE else set()))
    assert not [call for call in calls if name_of(call) == "default_rng" and not call.args], "randomness needs a seed"


def name_of(call: ast.Call) -> str | None:
    if isinstance(call.func, ast.Name):
        return call.func.id
    return call.func.attr if isinstance(call.func, ast.Attribute) else None


def test_every_listed_edge_exists() -> None:
    assert set(modules()) >= OTHER_EDGES | OF_OWN_SOURCE | IMPORTS


def test_the_import_contracts_hold() -> None:
    found = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout[-3000:]


def test_one_file_of_the_product_says_where_kafka_is() -> None:
    """So there is one place in which security can be forgotten."""
    product = [file for room in (*ROOMS, "api", "infra") for file in (ROOT / room).rglob("*.py")]
    found = [str(file.relative_to(ROOT)) for file in product if "bootstrap.servers" in file.read_text()]
    assert found == ["streams/kafka/client.py"]


def test_raw_records_are_read_in_one_place() -> None:
    """Whatever bytes a message has, one function makes a record of it, and one of a row of Spark's; all readers take these.

    The demo's observer looks at values only, by the same function that refuses.
    """
    product = [file for room in (*ROOMS, "api", "infra") for file in (ROOT / room).rglob("*.py")]
    makers, readers = set(), set()
    for file in product:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and "LogRecord" in {name_of(node), *(arg.id for arg in node.args if isinstance(arg, ast.Name))}:
                makers.add(str(file.relative_to(ROOT)))
            if isinstance(node, ast.Call) and name_of(node) == "consume":
                readers.add(str(file.relative_to(ROOT)))
    assert makers == {"streams/kafka/log.py", "streams/archive/spark_task.py"}
    assert readers == {"streams/kafka/log.py", "streams/kafka/reader.py", "api/demo/traffic/kafka_observer.py"}


def test_no_test_imports_another_tests_module() -> None:
    """What several tests need lies in ``tests/made`` (what they are made of) or ``tests/run`` (what they run against)."""
    found = []
    for file in sorted((ROOT / "tests").rglob("*.py")):
        found += [f"{file.relative_to(ROOT)}: {name}" for name in imports(ast.parse(file.read_text())) if ".test_" in name]
    assert not found


def test_the_test_tree_mirrors_the_codes() -> None:
    """A folder of tests of a room has the name of a folder of the code."""
    rooms = [ROOT / "tests" / room for room in (*ROOMS, "api", "infra")]
    tests = {file.relative_to(ROOT / "tests").parent for room in rooms for file in room.rglob("test_*.py")}
    assert not [folder for folder in tests if not (ROOT / folder).is_dir()]


def test_the_product_imports_no_tests() -> None:
    rooms = [file for room in (*ROOMS, "api", "infra") for file in (ROOT / room).rglob("*.py")]
    assert not [file for file in rooms if any(name.split(".")[0] == "tests" for name in imports(ast.parse(file.read_text())))]

"""What the stream scored on, against the kernel's and the slow oracle's run over the logs in log order.

Only the raw messages of ``transactions`` and the order of ``transactions.by-merchant`` are taken from the run; features never are.

``python -m tests.parity.replayed --data FILE --columns handbook --json OUT`` replays a whole file through two workers and compares.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.definitions import Entity, FeatureSet
from features.labels import LabelBook
from features.state import EntityState
from features.vector import assemble
from features.windows import LABEL, TOO_LATE, TRANSACTION
from streams import batches, scoring_log
from streams.aligned import END_HEADER
from streams.events import Label, Transaction, decode_label, decode_transaction
from tests.deployment import ROOT, Deployment, champion, deployed
from tests.parity.oracle import Oracle

Place = tuple[int, int]
Event = Transaction | Label
Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Logs:
    """What a run left: every event by its place (partition, offset), the order in which each stage met them, and the vectors scored."""

    events: dict[Place, Event]
    by_user: list[Place]
    by_merchant: list[Place]
    scored: dict[Place, Vectors]
    transaction_ids: dict[Place, str]


@dataclass(frozen=True)
class Comparison:
    """Figures of one comparison; the mismatches are numbers of rows that differ in any bit."""

    scored: int
    sampled: int
    sampled_with_merchant_frauds: int
    sampled_first_seen: int
    kernel_mismatches: int
    oracle_mismatches: int


def read_logs(deployment: Deployment) -> Logs:
    """Reads the logs of a finished run."""
    events: dict[Place, Event] = {}
    for record in deployment.read("transactions"):
        if END_HEADER in record.headers:
            continue
        decode = decode_label if ("type", b"label") in record.headers else decode_transaction
        events[record.partition, record.offset] = decode(record.value)
    feature_set = deployment.config.feature_set
    schema = batches.batch_schema(feature_set)
    by_merchant: list[Place] = []
    highest: dict[Place, int] = {}
    for record in deployment.read("transactions.by-merchant"):
        batch = batches.decode(record.value, record.headers, (record.partition, record.offset), schema, feature_set)
        for source, offset in zip(batch.rows["source"].to_pylist(), batch.rows["offset"].to_pylist(), strict=True):
            # A row said again by a restarted INGEST counts once.
            if offset > highest.get((record.partition, source), -1):
                highest[record.partition, source] = offset
                by_merchant.append((source, offset))
    scored: dict[Place, Vectors] = {}
    names: dict[Place, str] = {}
    for record in deployment.read("scoring-log"):
        table = scoring_log.decode(record.value)
        vectors = table["vector"].combine_chunks().flatten().to_numpy().reshape(len(table), -1)
        places = zip(table["source_partition"].to_pylist(), table["source_offset"].to_pylist(), strict=True)
        for place, name, vector in zip(places, table["transaction_id"].to_pylist(), vectors, strict=True):
            assert place not in scored, f"{name} was scored twice"
            scored[place], names[place] = vector, name
    return Logs(events, sorted(events), by_merchant, scored, names)


def kernel_vectors(logs: Logs, feature_set: FeatureSet) -> dict[Place, Vectors]:
    """The kernel's vector of every transaction, users and merchants each in the order in which their stage met them."""
    labels = LabelBook()
    deltas = {
        place: labels.delta(
            event.user_id, (event.transaction_id, int(event.event_time), event.merchant_id), int(event.label_time), event.is_fraud
        )
        for place in logs.by_user
        if isinstance(event := logs.events[place], Label)
    }
    user, lateness = _observed(logs, logs.by_user, "user", deltas, feature_set)
    deltas = {place: 0 if lateness[place] == TOO_LATE else delta for place, delta in deltas.items()}
    merchant, _ = _observed(logs, logs.by_merchant, "merchant", deltas, feature_set)
    places = [place for place in logs.by_user if isinstance(logs.events[place], Transaction)]
    transactions = [event for place in places if isinstance(event := logs.events[place], Transaction)]
    vectors = assemble(
        feature_set,
        np.array([event.event_time for event in transactions], np.int64),
        np.array([event.amount for event in transactions], np.int64),
        np.array([user[place] for place in places], np.float32),
        np.array([merchant[place] for place in places], np.float32),
    )
    return dict(zip(places, vectors, strict=True))


def _observed(
    logs: Logs, order: Sequence[Place], entity: Entity, deltas: dict[Place, int], feature_set: FeatureSet
) -> tuple[dict[Place, Vectors], dict[Place, int]]:
    events = [logs.events[place] for place in order]
    state = EntityState(feature_set, entity)
    n = len(events)
    kind = np.fromiter([LABEL if isinstance(event, Label) else TRANSACTION for event in events], np.int8, n)
    slots = state.slots([event.user_id if entity == "user" else event.merchant_id for event in events])
    times = np.fromiter([int(event.event_time) for event in events], np.int64, n)
    amounts = np.fromiter([0 if isinstance(event, Label) else event.amount for event in events], np.int64, n)
    fraud = np.fromiter([deltas.get(place, 0) for place in order], np.int64, n)
    observed, lateness = state.apply(kind, slots, times, amounts, fraud, np.zeros(n, np.int64))
    return dict(zip(order, observed, strict=True)), dict(zip(order, lateness.tolist(), strict=True))


def oracle_vectors(logs: Logs, sample: set[Place], feature_set: FeatureSet) -> dict[Place, Vectors]:
    """The slow oracle's vector of the sampled transactions."""
    late = _late_labels(logs)
    halves = {"user": dict(_told(logs, logs.by_user, sample, late)), "merchant": dict(_told(logs, logs.by_merchant, sample, late))}
    return {
        place: np.array(
            [halves["merchant" if feature.entity == "merchant" else "user"][place][feature.name] for feature in feature_set.features],
            np.float32,
        )
        for place in sample
    }


def _late_labels(logs: Logs) -> set[Place]:
    """The labels that come too late for their users, who alone decide that."""
    oracle, late = Oracle(), set()
    for place in logs.by_user:
        event = logs.events[place]
        if not isinstance(event, Label):
            oracle.apply_transaction(event)  # type: ignore[arg-type]
        elif oracle.is_beyond_horizon(event):  # type: ignore[arg-type]
            late.add(place)
    return late


def _told(logs: Logs, order: Sequence[Place], sample: set[Place], late: set[Place]) -> Iterator[tuple[Place, dict[str, float]]]:
    oracle = Oracle()
    for place in order:
        event = logs.events[place]
        if isinstance(event, Label):
            if place not in late:
                oracle.note_label(event)  # type: ignore[arg-type]
        else:
            if place in sample:
                yield place, oracle.observe(event)  # type: ignore[arg-type]
            oracle.apply_transaction(event)  # type: ignore[arg-type]


def compare(logs: Logs, feature_set: FeatureSet, sampled: int, least: int, seed: int = 0) -> Comparison:
    """Compares every scored vector with the kernel's and a random sample with the oracle's.

    The sample holds at least ``least`` rows with frauds of their merchant, and as many whose user or merchant is seen for the first time,
    if there are so many.
    """
    places = list(logs.scored)
    vectors = np.array([logs.scored[place] for place in places], np.float32)
    names = feature_set.names
    frauds = np.flatnonzero(vectors[:, names.index("merchant_fraud_count_30d")] > 0)
    first = np.flatnonzero(
        np.isnan(vectors[:, names.index("user_last_amount")]) | np.isnan(vectors[:, names.index("merchant_last_amount")])
    )
    rng = np.random.default_rng(seed)
    chosen = {
        int(row)
        for rows, most in ((np.arange(len(places)), sampled), (frauds, least), (first, least))
        for row in rng.choice(rows, min(most, len(rows)), replace=False)
    }
    sample = {places[row] for row in chosen}
    by_kernel, by_oracle = kernel_vectors(logs, feature_set), oracle_vectors(logs, sample, feature_set)
    return Comparison(
        scored=len(places),
        sampled=len(sample),
        sampled_with_merchant_frauds=len(chosen & set(frauds.tolist())),
        sampled_first_seen=len(chosen & set(first.tolist())),
        kernel_mismatches=sum(logs.scored[place].tobytes() != by_kernel[place].tobytes() for place in places),
        oracle_mismatches=sum(logs.scored[place].tobytes() != by_oracle[place].tobytes() for place in sample),
    )


def logged_vectors(logs: Logs) -> pa.Table:
    """The scored vectors by transaction_id, for comparison with a backtest."""
    return pa.table(
        {"transaction_id": list(logs.transaction_ids.values()), "vector": [vector.tobytes() for vector in logs.scored.values()]}
    )


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--columns", default="handbook")
    parser.add_argument("--sample", type=int, default=10_000)
    parser.add_argument("--json", required=True, type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, deployed(Path(folder) / "home") as deployment:
        champion(deployment.config)
        with deployment.running("worker"):
            replayed = deployment.tidemark("replay", str(arguments.data.resolve()), "--columns", arguments.columns, timeout=600)
            assert replayed.returncode == 0, replayed.stderr
            deployment.work_until_idle(timeout=900)
        began = time.monotonic()
        found = compare(read_logs(deployment), deployment.config.feature_set, arguments.sample, least=500)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    result = {
        "command": f"python -m tests.parity.replayed --data <handbook file> --columns {arguments.columns} --sample {arguments.sample}",
        "commit": commit,
        "cores": os.cpu_count(),
        **asdict(found),
        "seconds_to_compare": round(time.monotonic() - began, 1),
    }
    arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    if found.kernel_mismatches or found.oracle_mismatches:
        raise SystemExit(1)


if __name__ == "__main__":
    _main()

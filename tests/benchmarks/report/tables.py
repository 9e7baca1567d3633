"""Benchmarks' figures as Markdown tables; figures that are missing are left out. Pure."""

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from tests.benchmarks.commands.bench_measured import PROGRAM
from tests.benchmarks.figures import cost_model
from tests.benchmarks.report.history import Measured

Figures = Mapping[str, Any]
# What a worker has in practice: more than one partition.
_CLUSTER_LAYOUT = "1 workers, 4 partitions"
_PERCENTILES = ("p50_ms", "p90_ms", "p99_ms", "max_ms")
_WAYS = {
    "exactly_once": "exactly once, the topic full beforehand",
    "online": "the same, the online store kept up to date",
    "replayed": "exactly once, while `tidemark replay` fills the topic",
    "many_keys": "exactly once, of many keys",
    "garbage": "exactly once, a tenth of the topic garbage",
    "at_least_once": "at least once, the topic full beforehand",  # could be measured before 0.2.0
}


def table(benchmark: str, figures: Figures) -> str:
    """The benchmark's table, above it what it was measured with."""
    return f"{about(benchmark, figures)}\n\n{_TABLES[benchmark](figures)}"


def about(benchmark: str, figures: Figures) -> str:
    """Command, data, commit, day and machine in one sentence."""
    machine, data = figures["machine"], figures.get("data")
    said = [
        f"`{command(figures['command'])}` ([JSON](results/{benchmark}.json))",
        *([str(data)] if data else []),
        f"commit `{short(figures['commit'])}`",
        figures["date"][:10],
        f"{machine['cpu']}, {machine['cores']} cores",
    ]
    return "; ".join(said) + "."


def command(text: str) -> str:
    """A command without the folders that its files lay in, and without where it wrote; one of before 0.2.0 as it is typed now."""
    words = shlex.split(text)
    if words[:2] == ["tidemark", "bench"]:
        words[:2] = PROGRAM
    if "--json" in words:
        at = words.index("--json")
        del words[at : at + 2]
    return shlex.join(PurePath(word).name if "/" in word else word for word in words)


def short(commit: str | None) -> str:
    """Seven digits of a commit; + if files were changed since."""
    return "unknown" if commit is None else commit[:7] + ("+" if commit.endswith("+changes") else "")


def of_history(history: Sequence[Measured], most: int = 25) -> str:
    """The newest measurements first, without the rough ones."""
    newest = [one for one in reversed(history) if not one.quick][:most]
    rows = ([one.date[:10], f"`{short(one.commit)}`", one.benchmark, _headline(one.headline)] for one in newest)
    return _markdown(("measured", "commit", "benchmark", "figures"), rows)


def _headline(figures: Mapping[str, float]) -> str:
    return "; ".join(f"{path.replace('.median', '')} {_number(value)}" for path, value in figures.items())


def _stream(figures: Figures) -> str:
    replayed = figures.get("exactly_once", {}).get("replayed")
    ways = {**({"replayed": replayed} if replayed else {}), **figures}
    rows = [[text, *_rate(ways[name]), _leaves_out(ways[name])] for name, text in _WAYS.items() if name in ways]
    peers = {**({"bare_loop": figures["bare_loop"]} if "bare_loop" in figures else {}), **figures.get("peers", {})}
    rows += [[peer.get("title", name), *_rate(peer), _leaves_out(peer)] for name, peer in peers.items()]
    return _markdown(("way", "tx/s", "least – most", "runs", "CPU µs/tx", "leaves out"), rows)


def _rate(measured: Figures) -> list[str]:
    spread, runs = measured.get("spread"), [run for run in measured.get("runs", []) if "error" not in run]
    costs = sorted(_cost(run) for run in runs)
    return [
        _number(measured["tx_per_s"]) if measured.get("tx_per_s") else "failed",
        f"{_number(spread['least'])} – {_number(spread['most'])}" if spread else "",
        str(len(runs)) if runs else "",
        f"{costs[len(costs) // 2]:.1f}" if costs else "",
    ]


def _cost(run: Figures) -> float:
    """What a program takes itself, without broker and store."""
    ours = run.get("our_cpu_us_per_tx")
    return float(ours if ours is not None else sum(cpu for name, cpu in run["cpu_us_per_tx"].items() if name not in ("kafka", "redis")))


def _leaves_out(measured: Figures) -> str:
    said = measured.get("leaves_out", "")
    return said if isinstance(said, str) else ", ".join(said)


def _latency(figures: Figures) -> str:
    setups = figures.get("setups") or {"": figures}
    rows = [
        [f"{int(rate):,} tx/s{f', {setup}' if setup else ''}", *_delays(found), _behind(found)]
        for setup, measured in setups.items()
        for rate, found in measured.get("rates", {}).items()
    ]
    return _markdown(("offered", *map(_percentile, _PERCENTILES), "readable in the online store, p99"), rows)


def _behind(found: Figures) -> str:
    """Of users' and merchants' states, the slower."""
    slowest = [entity["p99_ms"] for entity in found.get("online", {}).values()]
    return f"{_number(max(slowest))} ms" if slowest else ""


def _api(figures: Figures) -> str:
    asked = [(f"{int(rate):,}/s", found) for rate, found in figures.get("rates", {}).items()]
    closed = figures.get("closed_loop")
    asked += [(f"{closed['callers']} callers, each at once again", closed)] if closed else []
    rows = [
        [
            text,
            *_delays(found),
            _number(found["answered_per_s"]),
            str(sum(found.get("errors", {}).values())),
            f"{found['api_cores']:.2f}" if "api_cores" in found else "",
            _generator(found),
        ]
        for text, found in asked
    ]
    return _markdown(("offered", *map(_percentile, _PERCENTILES), "answers/s", "errors", "API, cores", "load generator, cores"), rows)


def _generator(found: Figures) -> str:
    used = [run["cores"]["generator"] for run in found.get("runs", [])]
    return f"{max(used):.2f}" if used else ""


def _delays(found: Figures) -> list[str]:
    return [f"{_number(found[name])} ms" if name in found else "" for name in _PERCENTILES]


def _percentile(name: str) -> str:
    return name.removesuffix("_ms")


def _kernel(figures: Figures) -> str:
    titles = {
        "user_updates_per_s": "users' windows, updates/s of one core",
        "merchant_updates_per_s": "merchants' windows, updates/s of one core",
        "scored_rows_per_s": "model, rows/s of one core",
        "ingest_us_per_tx": "INGEST, µs of CPU a transaction",
        "advance_us_per_tx": "SCORE's states, µs of CPU a transaction",
        "decide_us_per_tx": "SCORE's model and messages, µs of CPU a transaction",
        "backtest_s": f"a backtest of {figures.get('transactions', 0):,} transactions, s",
    }
    rows = [
        [title, _number(found["median"]), f"{_number(found['least'])} – {_number(found['most'])}"]
        for name, title in titles.items()
        if (found := figures.get(name))
    ]
    return _markdown(("what", "median", "least – most"), rows)


def _keys(figures: Figures) -> str:
    asked = [(f"{int(keys):,}", found) for keys, found in figures.get("keys", {}).items()]
    asked += [("typical: 20,000 with 60 transactions each", figures["typical"])] if "typical" in figures else []
    rows = [
        [keys, f"{_number(found['bytes_per_key'])} B", f"{found['us_per_update']:.2f} µs", f"{_number(found['encoded_bytes'])} B"]
        for keys, found in asked
    ]
    return _markdown(("keys", "memory a key", "CPU an update", "encoded"), rows)


def _scaling(figures: Figures) -> str:
    asked = list(figures.get("layouts", {}).items())
    asked += [(f"half of all at one {name}", found) for name, found in figures.get("hot_key", {}).items() if isinstance(found, Mapping)]
    growth = {layout: f"{factor:.2f}" for layout, factor in cost_model.growth(figures).items()}
    layouts = _markdown(
        ("layout", "tx/s", "least – most", "runs", "CPU µs/tx", "times the first's CPU"),
        [[text, *_rate(found), growth.get(text, "")] for text, found in asked],
    )
    windows = [[number, f"{cost:.2f} µs"] for number, cost in figures.get("windows", {}).items()]
    return "\n\n".join(
        (layouts, *([_markdown(("windows of a user", "CPU of an update and its vector"), windows)] if windows else []), *_clusters(figures))
    )


def _clusters(figures: Figures) -> list[str]:
    """A table of the cost model's, if a layout has all that it asks for."""
    layout = next(
        (name for name, found in figures.get("layouts", {}).items() if "log_bytes_per_tx" in (found.get("runs") or [{}])[0]), None
    )
    if layout is None:
        return []
    rates = (100_000, 1_000_000)
    clusters = [cost_model.cluster(figures, _CLUSTER_LAYOUT if _CLUSTER_LAYOUT in figures["layouts"] else layout, rate) for rate in rates]
    rows = [[f"{process}, busy cores", *(f"{cluster.cores[process]:.1f}" for cluster in clusters)] for process in clusters[0].cores]
    rows.append(["all, busy cores", *(f"{sum(cluster.cores.values()):.0f}" for cluster in clusters)])
    rows.append(["written by the brokers", *(f"{cluster.written_bytes_per_s / 1e6:,.0f} MB/s" for cluster in clusters)])
    rows.append(["partitions, at least", *(str(cluster.partitions) for cluster in clusters)])
    return [_markdown(("by the cost model, three replicas", *(f"{rate:,} tx/s" for rate in rates)), rows)]


def _soak(figures: Figures) -> str:
    rows = [
        [name, *(f"{_number(memory[figure] / 1e6)} MB" for figure in ("first", "last", "most")), f"{memory['per_hour'] / 1e6:+,.0f} MB"]
        for name, memory in figures.get("memory_bytes", {}).items()
    ]
    return _markdown(("process", "resident after the warm-up", "at the end", "most", "an hour, by least squares"), rows)


def _backfill(figures: Figures) -> str:
    rows = [
        [_number(size["transactions"]), f"{size['seconds']:.1f} s", f"{size['cpu_seconds']:.1f} s", f"{size['largest_worker_mb']:.0f} MB"]
        for size in figures.get("sizes", {}).values()
    ]
    return _markdown(("transactions", "wall", "CPU", "largest Python process"), rows)


def _recovery(figures: Figures) -> str:
    rows = [
        [
            f"{int(users):,}",
            f"{_number(found['ingest']['applied_again'])} records",
            f"{found['ingest']['seconds']:.1f} s",
            f"{found['kill_to_first_decision_s']:.1f} s",
            f"{found['longest_wait_s']:.1f} s",
        ]
        for users, found in figures.get("users", {}).items()
    ]
    return _markdown(
        (
            "users",
            "log applied again (INGEST)",
            "INGEST's states back after",
            "`kill -9` to first new decision",
            "longest wait of a transaction",
        ),
        rows,
    )


def _handbook(figures: Figures) -> str:
    def row(of: str, found: Figures, others: Figures) -> list[str]:
        with_interval = [
            f"{found[name]['value']:.3f} ({found[name]['low']:.3f} – {found[name]['high']:.3f})" for name in ("auc", "ap", "cp100")
        ]
        theirs = " / ".join(f"{others[name]['value']:.3f}" for name in ("auc", "ap", "cp100"))
        return [of, *with_interval, theirs]

    weeks = figures.get("weeks", [])
    rows = [row(week["test_start"], week["tidemark"], week["handbook's features"]) for week in weeks]
    mean = figures.get("mean", {})
    rows += [row(f"mean of {len(weeks)}", mean["tidemark"], mean["handbook's features"])] if "tidemark" in mean else []
    return _markdown(("week from", "AUC ROC", "average precision", "CP@100", "XGBoost on the handbook's own features"), rows)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.1f}" if abs(value) >= 1 else f"{value:.2f}"


def _markdown(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table without the columns that are empty in every row."""
    body = [list(row) for row in rows]
    used = [at for at in range(len(titles)) if at == 0 or any(row[at] for row in body)]
    lines = [[titles[at] for at in used], ["---"] * len(used), *([row[at].replace("|", "\\|") for at in used] for row in body)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


_TABLES: Mapping[str, Callable[[Figures], str]] = {
    "stream": _stream,
    "latency": _latency,
    "api": _api,
    "kernel": _kernel,
    "keys": _keys,
    "scaling": _scaling,
    "soak": _soak,
    "backfill": _backfill,
    "recovery": _recovery,
    "handbook": _handbook,
}

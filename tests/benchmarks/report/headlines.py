"""The few figures of a benchmark that are kept in its history: paths into its JSON, ``*`` for every name there."""

from collections.abc import Iterator, Mapping
from typing import Any

HEADLINES: Mapping[str, tuple[str, ...]] = {
    "stream": (
        "exactly_once.tx_per_s",
        "online.tx_per_s",
        "replayed.tx_per_s",
        "exactly_once.replayed.tx_per_s",
        "many_keys.tx_per_s",
        "garbage.tx_per_s",
        "bare_loop.tx_per_s",
        "peers.*.tx_per_s",
    ),
    "latency": ("rates.*.p50_ms", "rates.*.p99_ms"),
    "api": ("rates.*.p50_ms", "rates.*.p99_ms", "closed_loop.answered_per_s"),
    "kernel": ("user_updates_per_s.median", "merchant_updates_per_s.median", "backtest_s.median"),
    "keys": ("typical.bytes_per_key", "keys.*.bytes_per_key"),
    "scaling": ("layouts.*.tx_per_s", "hot_key.*.tx_per_s"),
    "soak": ("memory_bytes.ingest.per_hour", "memory_bytes.score.per_hour"),
    "backfill": ("sizes.*.seconds", "sizes.*.cpu_seconds"),
    "recovery": ("users.*.kill_to_first_decision_s",),
    "handbook": ("mean.tidemark.auc.value", "mean.tidemark.ap.value", "mean.tidemark.cp100.value"),
}
"""By benchmark, in the order in which ``bench all`` runs them."""


def headline(benchmark: str, figures: Mapping[str, Any]) -> dict[str, float]:
    """Those that the figures have, by path."""
    return {path: value for wanted in HEADLINES[benchmark] for path, value in _found(figures, wanted.split("."), ())}


def _found(figures: Any, wanted: list[str], path: tuple[str, ...]) -> Iterator[tuple[str, float]]:
    if not wanted:
        if isinstance(figures, int | float):
            yield ".".join(path), float(figures)
        return
    if isinstance(figures, Mapping):
        for name in figures if wanted[0] == "*" else (wanted[0],):
            if name in figures:
                yield from _found(figures[name], wanted[1:], (*path, name))

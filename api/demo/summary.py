"""What a run leaves behind as JSON."""

from api.demo.traffic.latency import Latencies
from api.demo.traffic.tally import Tally
from api.demo.world import World
from models.policy import ACTIONS


def summary(tally: Tally, world: World, rate: float, live_seconds: float, seconds: float) -> dict[str, object]:
    """The run's counts, and what its live part was like: times in seconds and ms, shares 0–1, None where there is nothing to measure.

    ``transactions`` are all that were sent, API calls and bad records included; each has one decision or one dead letter if all is well.
    Money is in minor units of EUR.
    """
    fraud = tally.fraud
    version, digest = max(tally.models, key=lambda model: tally.models[model], default=(None, None))
    return {
        "transactions": tally.sent,
        "decisions": tally.decided,
        "dead_letters": tally.refused,
        "repeated_decisions": tally.repeated,
        "labels": tally.labels,
        "api_calls": tally.api_calls,
        "warming": min(world.warming, tally.sent),
        "live": max(0, tally.sent - world.warming),
        "rate_offered": rate,
        "rate": round(tally.latencies.count / live_seconds, 1) if live_seconds > 0 else None,
        "latency_ms": _percentiles(tally.latencies),
        "api_latency_ms": _percentiles(tally.api_latencies),
        "decisions_by_kind": {verdict: tally.verdicts[verdict] for verdict in ACTIONS},
        "dead_letters_by_reason": dict(tally.dead_letters.most_common()),
        "live_fraud": {
            "transactions": fraud.transactions,
            "caught": fraud.caught,
            "caught_share": round(fraud.caught / fraud.transactions, 4) if fraud.transactions else None,
            "false_alarms": fraud.flagged - fraud.caught,
            "at_stake": round(fraud.at_stake),
            "saved": round(fraud.saved),
        },
        "users": world.users,
        "model_version": version,
        "model_digest": digest,
        "run": tally.run,
        "seconds": round(seconds, 1),
    }


def _percentiles(latencies: Latencies) -> dict[str, float | None]:
    found = {name: latencies.percentile(share) for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))}
    return {name: None if ms is None else round(ms, 1) for name, ms in found.items()}

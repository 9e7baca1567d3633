"""What an audit found, as a JSON object and as text."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import structs

from streams.audit.auditor import Auditor
from streams.audit.causes import OF_COMPLETENESS, Cause
from streams.audit.completeness import Completeness
from streams.audit.saved_audit import AuditedSoFar
from streams.audit.scored import Difference, Mismatch
from streams.audit.store import StoreMismatch
from streams.messages.code_digest import code_digest
from streams.messages.topics import BY_MERCHANT, SCORING_LOG, TRANSACTIONS

_EXAMPLES = 20
_FEATURES = 5


def report(
    auditor: Auditor,
    complete: Completeness,
    positions: Mapping[int, int],
    checked: int,
    in_store: Sequence[StoreMismatch],
    since: AuditedSoFar | None = None,
) -> dict[str, Any]:
    """Counts, causes, examples, positions and digests; ``positions`` are those on the scoring log, ``checked`` keys of the store. ``since``
    is where it went on from: what is counted has been decided from there on."""
    tally, findings, recomputation = auditor.audit.tally, auditor.findings, auditor.recomputation
    causes = Counter[Cause | None](mismatch.cause for mismatch in in_store)
    causes += findings.causes
    causes.update(complete.causes)
    return {
        "audited": tally.audited,
        "by_stream": tally.stream,
        "by_api": tally.api,
        "degraded": tally.degraded,
        "repeated": tally.repeated,
        "other_features": dict(tally.other_features),
        "undecided": complete.causes["undecided"],
        "events_skipped": recomputation.skipped,
        "oracle": dict(vars(auditor.checked)),
        "mismatches": findings.mismatches,
        "causes": {cause or "not looked for": count for cause, count in causes.items()},
        "examples": [_example(mismatch) for mismatch in findings.examples[:_EXAMPLES]],
        "store": {"keys": checked, "mismatches": len(in_store), "examples": [_in_store(one) for one in in_store[:_EXAMPLES]]},
        "complete": {
            "decisions": complete.decisions,
            "mismatches": complete.mismatches,
            **{cause.replace(" ", "_"): complete.causes[cause] for cause in OF_COMPLETENESS},
            "examples": [{"about": one.where, "cause": one.cause, "sentence": one.sentence} for one in complete.examples[:_EXAMPLES]],
        },
        "positions": {
            SCORING_LOG.name: {str(partition): offset for partition, offset in positions.items()},
            TRANSACTIONS.name: {str(partition): offset for partition, offset in enumerate(recomputation.learned)},
            BY_MERCHANT.name: {str(partition): offset for partition, offset in enumerate(recomputation.ordered)},
        },
        "portion": auditor.portion,
        "features": recomputation.feature_set.name,
        "features_digest": recomputation.feature_set.digest,
        "code_digest": code_digest(),
        "since": None
        if since is None
        else {
            "at": since.at,
            "audits": since.audits,
            "audited": since.audited,
            "accepted": [structs.asdict(one) for one in since.accepted],
        },
    }


def passed(found: Mapping[str, Any]) -> bool:
    """Whether nothing differs."""
    return not mismatches(found)


def mismatches(found: Mapping[str, Any]) -> int:
    """How much differs: of what is recomputed, of what must be decided and published, of the online store."""
    return sum(part["mismatches"] for part in (found, found["complete"], found["store"]))


def nothing_audited(found: Mapping[str, Any]) -> str:
    """Why nothing was compared, "" if something was."""
    if found["audited"] or found["since"]:
        return ""
    if not is_conclusive(found):
        return f"no decision on {found['features']} was in the sample; use --all"
    others = [f"{count:,} on {name}, audit these with --features {name}" for name, count in found["other_features"].items()]
    return f"nothing was decided on {found['features']} yet{'; there are decisions, ' if others else ''}{', '.join(others)}"


def is_conclusive(found: Mapping[str, Any]) -> bool:
    """Whether it says something of the feature set: some decisions were compared, now or before, or there is none to compare."""
    return bool(found["audited"] or found["since"]) or found["portion"] == 1.0


def text(found: Mapping[str, Any]) -> list[str]:
    """The report for people, a line each."""
    oracle, store, complete = found["oracle"], found["store"], found["complete"]
    since = found["since"]
    lines = [
        *_since(since),
        f"{found['audited']:,} decisions recomputed ({found['by_api']:,} of the API), {found['mismatches']:,} not reproduced bit for bit",
        "the oracle was not asked, for it must see all that was before: audit --from-beginning"
        if since
        else f"{oracle['halves']:,} half vectors also by the oracle, {oracle['first_seen']:,} of keys never seen before and "
        f"{oracle['with_frauds']:,} of keys with frauds",
        f"{complete['decisions']:,} decisions compared with {SCORING_LOG.name}, {complete['mismatches']:,} wrong, foreign or missing "
        f"({complete['undecided']:,} of valid transactions that were never decided)",
        f"{store['keys']:,} keys of the online store compared, {store['mismatches']:,} wrong",
    ]
    for name, count in found["other_features"].items():
        lines.append(f"not audited: {count:,} decisions on {name}; audit these with --features {name}")
    if found["events_skipped"]:
        lines.append(f"{found['events_skipped']:,} events are missing on {BY_MERCHANT.name}")
    lines += [f"{cause}: {count:,}" for cause, count in sorted(found["causes"].items(), key=lambda item: -item[1])]
    for example in (*found["examples"][:_FEATURES], *store["examples"][:_FEATURES]):
        lines.append(f"  {example['about']}: {example['cause']}, {example['sentence']}")
        differing = [f"{d['feature']} {d['served']} instead of {d['expected']}" for d in example["differences"][:_FEATURES]]
        more = len(example["differences"]) - len(differing)
        if differing:
            lines.append(f"    {'; '.join(differing)}{f'; and {more} more' if more > 0 else ''}")
    lines += [f"  {example['about']}: {example['cause']}, {example['sentence']}" for example in complete["examples"][:_FEATURES]]
    return lines


def accepted_text(accepted: Sequence[Mapping[str, Any]]) -> str:
    """What somebody has answered for, the last first; "" for nothing."""
    if not accepted:
        return ""
    last, before = accepted[-1], len(accepted) - 1
    also = f", and {before} more before" if before else ""
    return f"what {last['by']} accepted at {last['at']} ({_counts(last['causes'])}; {last['reason']}){also}"


def _since(since: Mapping[str, Any] | None) -> list[str]:
    if since is None:
        return []
    but = f", but for {text}" if (text := accepted_text(since["accepted"])) else ""
    return [f"since {since['at']}, when {since['audited']:,} decisions were audited and nothing differed{but}:"]


def _counts(causes: Mapping[str, int]) -> str:
    return ", ".join(f"{cause} {count:,}" for cause, count in causes.items())


def _example(mismatch: Mismatch) -> dict[str, Any]:
    return {
        "about": f"{mismatch.what} of {mismatch.scored.where}",
        "transaction_id": mismatch.scored.transaction_id,
        "cause": mismatch.cause or "cause not looked for",
        "sentence": mismatch.sentence,
        "differences": [difference_json(difference) for difference in mismatch.differences],
    }


def _in_store(mismatch: StoreMismatch) -> dict[str, Any]:
    return {
        "about": f"{mismatch.entity} {mismatch.key} in the online store",
        "cause": mismatch.cause,
        "sentence": mismatch.sentence,
        "differences": [difference_json(difference) for difference in mismatch.differences],
    }


def difference_json(difference: Difference) -> dict[str, Any]:
    """With null for a missing value, as JSON knows no NaN."""
    feature, served, expected = difference
    return {"feature": feature, "served": finite(served), "expected": finite(expected)}


def finite(value: float) -> float | None:
    """The value, None for NaN."""
    return None if math.isnan(value) else value

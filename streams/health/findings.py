"""What is made of what was seen of a deployment: in order or broken, and for what is broken the command that helps. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from features.errors import START_OVER, UserError, counted
from streams.messages.topics import STAMPING, TOPICS, Topic, TopicState

# Long enough for a restart, short enough that nobody waits for decisions in vain.
_WAITS_TOO_LONG_S = 60
# Below, producers have single bad records; above, one of them does something wrong.
_MOST_REFUSED = 0.1
_CLOCKS_APART_S = 2.0
_START_ONE = "start `tidemark worker`"
_NEEDED = {
    STAMPING[0]: "what the broker doesn't stamp is refused",
    "cleanup.policy": "else records go that nothing can replace",
}


@dataclass(frozen=True)
class Finding:
    """One thing examined: in order or broken, what was found, and for what is broken its fix."""

    subject: str
    ok: bool
    detail: str
    fix: str = ""

    @classmethod
    def of_error(cls, subject: str, error: UserError) -> "Finding":
        """Broken, by a sentence that names what is wrong and, after a semicolon, the fix."""
        detail, _, fix = str(error).partition("; ")
        return cls(subject, False, detail, fix)


@dataclass(frozen=True)
class PartitionSeen:
    """Where a stage's group stands on a partition. ``stable`` is the end of what is committed, ``end`` that of all records; ``waits_s`` is
    how long the record there has been waiting, 0 if none is."""

    partition: int
    offset: int | None
    begin: int
    stable: int
    end: int
    is_ours: bool = True
    waits_s: float = 0.0


@dataclass(frozen=True)
class StageSeen:
    """A stage, its group's members and the clients in it that are none of ours, and its partitions of ``topic``."""

    stage: str
    topic: str
    members: int
    partitions: Sequence[PartitionSeen] = ()
    strangers: Sequence[str] = ()


@dataclass(frozen=True)
class Holder:
    """A producer with an open transaction: its id, where the transaction begins, and its transactional.id ("" if nobody says)."""

    producer_id: int
    start_offset: int
    transactional_id: str = ""


@dataclass(frozen=True)
class HeldBack:
    """A partition of which so many ``offsets`` can't be read, and by whom, as far as the broker can be asked."""

    topic: str
    partition: int
    offsets: int
    by: tuple[Holder, ...] = ()

    @property
    def where(self) -> str:
        """The partition, for people."""
        return f"{self.topic}[{self.partition}]"


@dataclass(frozen=True)
class OnlineSeen:
    """How far one stage's part of the online store is behind what the stage has committed, by partition: offsets, None where nothing is
    written. ``waits_s`` is how long the oldest record that it lacks has been there."""

    stage: str
    behind: Mapping[int, int | None] = field(default_factory=dict)
    waits_s: float = 0.0


def of_topics(seen: Mapping[str, TopicState], brokers: int) -> list[Finding]:
    """What is wrong with the topics; one finding that all is well otherwise."""
    found = []
    for topic in TOPICS:
        here = seen.get(topic.name)
        if here is None:
            found.append(Finding(f"topic {topic.name}", False, "is missing", "`tidemark up` creates it"))
            continue
        found += [Finding(f"topic {topic.name}", False, detail, fix) for detail, fix in _wrong_with(topic, here, seen, brokers)]
    partitions = sum(seen[topic.name].partitions for topic in TOPICS if topic.name in seen)
    return found or [Finding("topics", True, f"{len(TOPICS)} topics with {partitions} partitions on {counted(brokers, 'broker')}")]


def _wrong_with(topic: Topic, here: TopicState, seen: Mapping[str, TopicState], brokers: int) -> list[tuple[str, str]]:
    wrong = []
    beside = seen.get(topic.beside or "")
    if beside is not None and beside.partitions != here.partitions:
        detail = f"has {here.partitions} partitions, {topic.beside} {beside.partitions}: keys have moved away from what is known of them"
        wrong.append((detail, START_OVER))
    for name, wanted in topic.required().items() if here.settings else ():
        if (value := here.settings.get(name)) != wanted:
            wrong.append((f"has {name}={value}, {wanted} is needed: {_NEEDED[name]}", "`tidemark up` sets it"))
    if here.replicas < 2 <= brokers - 1:
        detail = f"is on one of {brokers} brokers only, whose loss would lose it"
        wrong.append((detail, "give it three replicas with kafka-reassign-partitions.sh, and min.insync.replicas=2"))
    return wrong


def of_stages(seen: Sequence[StageSeen]) -> list[Finding]:
    """Whether somebody runs the stages, and whether each goes on where it stands."""
    if any(stage.members for stage in seen):
        return [finding for stage in seen for finding in of_stage(stage)]
    wrong = [finding for stage in seen for finding in of_stage(stage) if not finding.ok and finding.fix != _START_ONE]
    lag = sum(_lag(stage) for stage in seen)
    detail = "none runs, so nothing is decided" + (f"; {counted(lag, 'offset')} wait" if lag else "")
    return [*wrong, Finding("workers", False, detail, _START_ONE)]


def _lag(seen: StageSeen) -> int:
    return sum(max(0, part.stable - (part.begin if part.offset is None else part.offset)) for part in seen.partitions)


def of_stage(seen: StageSeen) -> list[Finding]:
    """Whether somebody runs the stage, and whether it goes on where it stands."""
    subject = f"stage {seen.stage}"
    found = []
    if seen.strangers:
        detail = f"its group has members of others, which take partitions and process nothing: {', '.join(seen.strangers)}"
        found.append(Finding(subject, False, detail, "end them, and give them a group of their own"))
    for part in seen.partitions:
        where = f"{seen.topic}[{part.partition}]"
        if not part.is_ours:
            detail = f"its offset {part.offset} of {where} was set by another tool"
            found.append(Finding(subject, False, detail, "stop all workers, then `tidemark offsets restore`"))
        elif part.offset is not None and not part.begin <= part.offset <= part.end:
            lost = (
                "retention has removed what was not read" if part.offset < part.begin else "the topic was created again or has lost its end"
            )
            detail = f"its offset {part.offset} of {where} is outside of what is there, {part.begin} to {part.end}: {lost}"
            found.append(Finding(subject, False, detail, START_OVER))
    lag = _lag(seen)
    waits = max((part.waits_s for part in seen.partitions), default=0.0)
    behind = f"{counted(lag, 'offset')} behind" if lag else "has read everything"
    if not seen.members:
        detail = "no worker runs it" + (f", {behind}" if lag else "")
        found.append(Finding(subject, False, detail, _START_ONE))
    elif waits > _WAITS_TOO_LONG_S:
        detail = f"{behind}, the oldest record has been waiting for {_span(waits)}"
        found.append(
            Finding(subject, False, detail, "see the worker's log; where it only has too much to do, start another `tidemark worker`")
        )
    return found or [Finding(subject, True, f"{counted(seen.members, 'member')}, {behind}")]


def of_another_source(stage: str, topic: str, states: str) -> Finding:
    """A stage whose saved states are of a topic that isn't there any more."""
    return Finding(f"stage {stage}", False, f"{states} was saved of another topic {topic}, which was created again since", START_OVER)


def of_unfinished_replay(replay: str) -> Finding:
    """An aligned replay that was broken off, which no worker takes before it is whole."""
    fix = f"`tidemark replay --abandon {replay}` has what was sent taken where it stands; or give the same `replay --aligned` again"
    return Finding("aligned replay", False, f"{replay} was broken off, so that INGEST waits for the rest of it", fix)


def of_held_back(held: HeldBack) -> Finding:
    """Who keeps a partition from being read to its end, and how that is ended."""
    detail = f"{held.where} has {counted(held.offsets, 'offset')} that can't be read"
    if held.by:
        detail += f", held back by {', '.join(map(_holder, held.by))}"
    named = [holder.transactional_id for holder in held.by if holder.transactional_id]
    fix = " and ".join(f"`tidemark transactions abort {name}`" for name in named)
    return Finding("open transaction", False, detail, fix or "have its producer commit or abort it")


def _holder(holder: Holder) -> str:
    name = f" ({holder.transactional_id})" if holder.transactional_id else ""
    return f"producer {holder.producer_id}{name} since offset {holder.start_offset}"


def of_decisions(age_s: float | None) -> Finding:
    """When the last decision was made; None if there was none yet. It tells only together with what the stages wait for."""
    return Finding("decisions", True, "none yet" if age_s is None else f"the last one {_span(age_s)} ago")


def of_dead_letters(letters: Counter[str], decisions: int) -> Finding:
    """How much of the last hour's input was refused, by reason."""
    refused, total = letters.total(), letters.total() + decisions
    if not total:
        return Finding("dead letters", True, "nothing came in within the last hour")
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in letters.most_common(5))
    detail = f"{refused:,} of {total:,} in the last hour ({refused / total:.1%})" + (f": {reasons}" if refused else "")
    if refused <= _MOST_REFUSED * total:
        return Finding("dead letters", True, detail)
    (most, _) = letters.most_common(1)[0]
    return Finding("dead letters", False, detail, f"`tidemark dead-letters --show {most}` says what its producer should change")


def of_online_store(seen: Sequence[OnlineSeen]) -> list[Finding]:
    """Whether the online store has what the stages know."""
    lost = [
        f"{one.stage} [{', '.join(map(str, numbers))}]" for one in seen if (numbers := [n for n, lag in one.behind.items() if lag is None])
    ]
    if lost:
        detail = f"lacks what these partitions know: {', '.join(lost)}; it was emptied, or nobody writes"
        return [Finding("online store", False, detail, "start `tidemark worker`, which writes all of it again")]
    behind = max((lag or 0 for one in seen for lag in one.behind.values()), default=0)
    waits = max((one.waits_s for one in seen), default=0.0)
    if waits > _WAITS_TOO_LONG_S:
        detail = f"lacks what happened in the last {_span(waits)}, up to {counted(behind, 'offset')} of a partition"
        return [Finding("online store", False, detail, "see that a `tidemark worker` with the online store runs, and Redis' log")]
    detail = f"at most {counted(behind, 'offset')} behind the stages" if behind else "has all that the stages know"
    return [Finding("online store", True, detail)]


def of_clocks(ahead_s: Mapping[str, float]) -> list[Finding]:
    """How far others' clocks are ahead of ours, by name."""
    apart = {name: ahead for name, ahead in ahead_s.items() if abs(ahead) > _CLOCKS_APART_S}
    if not ahead_s:
        return []
    if not apart:
        return [Finding("clocks", True, f"within {_CLOCKS_APART_S:.0f} s of {' and '.join(ahead_s)}")]
    return [
        Finding(
            "clocks",
            False,
            f"that of {name} is {_span(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} this machine's",
            "set both by NTP: event times are compared with the broker's",
        )
        for name, ahead in apart.items()
    ]


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.0f} h"

"""``tidemark dead-letters``: what could not be taken, why, and sent again."""

from contextlib import closing
from pathlib import Path

import typer

from api.answer_key import answer_key
from api.cli.conventions import INTERRUPTED, progress, until_interrupted, write_summary
from api.cli.kafka_failures import kafka_failures_in_words
from api.settings import Settings
from features.errors import UserError, counted
from streams.delivery.kafka_dead_letters import DeadLetters
from streams.messages import dead_letters
from streams.messages.seal import Seal


def run(show: str | None, replay: str | None, summary: Path | None) -> None:
    """As ``tidemark dead-letters`` promises."""
    if show == "" or replay == "":
        raise UserError("the reason is empty; `tidemark dead-letters` lists those that there are")
    if show is not None and replay is not None:
        raise UserError("--show and --replay are two things; give one of them")
    settings = Settings.resolve(require_services=False)
    kafka, seal = settings.agreed_kafka(), Seal(answer_key(settings.home))
    with kafka_failures_in_words(kafka.servers), closing(DeadLetters(kafka, seal)) as letters:
        if show is not None:
            _show(letters, show)
        elif replay is not None:
            _replay(letters, replay, summary)
        else:
            _list(letters, summary)


def _list(letters: DeadLetters, summary: Path | None) -> None:
    with progress("reading", letters.offsets) as advance:
        tally = letters.tally(advance)
    by_count = tally.letters.most_common()
    write_summary(
        summary,
        {
            "letters": tally.letters.total(),
            "by": [
                {"topic": topic, "reason": reason, "count": count, "replayed": tally.replayed[topic, reason]}
                for (topic, reason), count in by_count
            ],
            "lost": tally.lost,
            "unreadable": tally.unreadable,
        },
    )
    for (topic, reason), count in by_count:
        again = tally.replayed[topic, reason]
        note = f", {'all' if again == count else f'{again:,}'} replayed" if again else ""
        typer.echo(f"{count:>12,}  {dead_letters.printable(topic):<14}{dead_letters.printable(reason)}{note}")
    typer.echo(f"{tally.letters.total():>12,}  in all")
    for reason, lost in tally.lost.items():
        typer.echo(
            f"note: of those replayed as {dead_letters.printable(reason)}, {counted(lost, 'record')} could not be sent again", err=True
        )
    if tally.unreadable:
        typer.echo(f"note: {counted(tally.unreadable, 'record')} on dead-letters not written by this deployment", err=True)


def _show(letters: DeadLetters, which: str) -> None:
    with progress("reading", letters.offsets) as advance:
        found = letters.find(which, advance)
    if found is None:
        raise UserError(f"there is no dead letter {which}; `tidemark dead-letters` lists the reasons there are")
    for line in dead_letters.text(found.letter, found.partition, found.offset, found.timestamp):
        typer.echo(line)


def _replay(letters: DeadLetters, reason: str, summary: Path | None) -> None:
    with until_interrupted() as stopped, progress("sending again", letters.offsets) as advance:
        done = letters.replay(reason, advance, stopped)
    write_summary(summary, {"reason": reason, "sent": done.sent, "lost": done.lost})
    typer.echo(f"refused as {reason}: {counted(done.sent, 'record')} sent again")
    if done.lost:
        lost = counted(done.lost, "record")
        typer.echo(f"{lost} lost: no longer in their topic, and too large to be whole in their dead letters", err=True)
    if not done.sent + done.lost and not stopped():
        typer.echo("none was left to send again; `tidemark dead-letters` lists the reasons there are", err=True)
    if stopped():
        typer.echo("interrupted; the same command goes on with the rest", err=True)
        raise typer.Exit(INTERRUPTED)

"""Where a stage really was, by what it has left on the logs: for a group's offset that another tool has changed, or that is lost."""

from collections import Counter
from collections.abc import Collection, Iterable

from streams.messages.batches import Batch
from streams.messages.record import SourcePosition
from streams.score import admit
from streams.state.merchants import Gap, ScoreState


def scored_up_to(read: Iterable[Batch], state: ScoreState, at_least: int, refused: Collection[SourcePosition]) -> int:
    """SCORE's position on a partition of transactions.by-merchant, which is ``at_least`` what it saved or logged.

    ``refused`` are the records of transactions of which there are dead letters: what SCORE decides is in its log, what it refuses isn't.
    ``state`` is the one that was saved, ``read`` the batches from there on. A row that was sent twice counts where it came first. Labels
    leave no trace, so some at the end may be read again; they are applied once all the same, for the state follows from the log.
    """
    position = at_least
    for batch in read:
        rows = admit(state, batch, Counter()).rows
        if batch.position[1] >= position and any(
            place in refused for place in zip(rows["source"].to_pylist(), rows["offset"].to_pylist(), strict=True)
        ):
            position = batch.position[1] + 1
    return position


def gaps_in(read: Iterable[Batch], state: ScoreState) -> dict[int, Gap]:
    """The gaps of a partition of transactions.by-merchant, by source partition, that are open at the end of these batches."""
    for batch in read:
        admit(state, batch, Counter())
    return state.gaps

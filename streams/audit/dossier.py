"""What happened to some users and merchants, event by event, for those who take single decisions apart."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from features.definitions import Entity
from streams.audit.recomputation import Applied
from streams.messages.record import SourcePosition


@dataclass(frozen=True)
class History:
    """The events that a transaction's user and merchant had seen, in the order in which they were applied, and the transaction itself."""

    transaction: Applied
    user: Sequence[Applied]
    merchant: Sequence[Applied]

    def of(self, entity: Entity) -> Sequence[Applied]:
        """Those of one of the two."""
        return self.user if entity == "user" else self.merchant


class Dossiers:
    """A ``recomputation.Watcher`` of these users and merchants."""

    def __init__(self, users: Iterable[str], merchants: Iterable[str]) -> None:
        self._users: dict[str, list[Applied]] = {key: [] for key in users}
        self._merchants: dict[str, list[Applied]] = {key: [] for key in merchants}

    def learned(self, source: int, events: Sequence[Applied]) -> None:
        """See ``recomputation.Watcher``."""
        for applied in events:
            known = self._users.get(applied.event.user_id)
            if known is not None:
                known.append(applied)

    def ordered(self, target: int, events: Sequence[Applied]) -> None:
        """See ``recomputation.Watcher``."""
        for applied in events:
            known = self._merchants.get(applied.event.merchant_id)
            if known is not None:
                known.append(applied)

    def before(self, place: SourcePosition, user_id: str, merchant_id: str) -> History | None:
        """All that came before the transaction at this place; None if it was not applied."""
        user, merchant = (_until(place, known) for known in (self._users[user_id], self._merchants[merchant_id]))
        if user is None or merchant is None:
            return None
        return History(self._users[user_id][len(user)], user, merchant)

    def as_of(self, place: SourcePosition, user_id: str, merchant_id: str, user_offset: int, merchant_offset: int) -> History | None:
        """All that came up to and with these offsets of ``transactions`` and of the merchants' log, as the API knew it."""
        known = _until(place, self._users[user_id])
        if known is None:
            return None
        return History(
            self._users[user_id][len(known)],
            [applied for applied in self._users[user_id] if applied.offset <= user_offset],
            [applied for applied in self._merchants[merchant_id] if applied.log_offset <= merchant_offset],
        )


def _until(place: SourcePosition, known: Sequence[Applied]) -> Sequence[Applied] | None:
    for number, applied in enumerate(known):
        if (applied.source, applied.offset) == place:
            return known[:number]
    return None

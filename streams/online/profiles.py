"""Users' records as profiles: the newest valid record of a user counts."""

from collections import Counter
from collections.abc import Iterable

from features.online.snapshot import Profile
from streams.messages.record import Record
from streams.messages.refusals import RefusedError
from streams.messages.validation import Validator


def fold(records: Iterable[Record], validator: Validator, profiles: dict[str, Profile | None], counts: Counter[str]) -> list[bytes]:
    """Sets the profiles of the records' users, in their order; None for a user whose record has no value. Returns dead letters, as JSON.

    Where a user's newest record is refused, what was known before stays.
    """
    refused = []
    for record in records:
        try:
            if record.value is None and record.key is not None:
                profiles[validator.removed(record)] = None
                counts["removed"] += 1
            else:
                user = validator.user(record)
                profiles[user.user_id] = Profile(user.updated_at, user.created_at, user.country, user.segment)
                counts["profiles"] += 1
        except RefusedError as error:
            counts[f"refused.{error.reason}"] += 1
            refused.append(validator.dead_letter(record, error))
    return refused

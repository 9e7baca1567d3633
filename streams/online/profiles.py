"""Users' records as profiles: the newest valid record of a user counts."""

from collections import Counter
from collections.abc import Iterable

from features.online.snapshot import Profile
from streams.blame import refusal
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
            name, profile = _profile(record, validator)
            profiles[name] = profile
            counts["removed" if profile is None else "profiles"] += 1
        except RefusedError as error:
            counts[f"refused.{error.reason}"] += 1
            refused.append(validator.dead_letter(record, error))
    return refused


def _profile(record: Record, validator: Validator) -> tuple[str, Profile | None]:
    """The user's name and profile. Raises RefusedError, also for a record on which anything unforeseen fails."""
    try:
        if record.value is None and record.key is not None:
            return validator.removed(record), None
        user = validator.user(record)
        return user.user_id, Profile(user.updated_at, user.created_at, user.country, user.segment)
    except RefusedError:
        raise
    except Exception as error:
        raise refusal(error, "PROFILES") from error

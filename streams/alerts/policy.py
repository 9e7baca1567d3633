"""Which alerts are acted on, and when: what a policy file settles, and what is due by it."""

import tomllib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from features.definitions import HOUR
from features.errors import UserError
from streams.alerts.book import AlertBook
from streams.messages.events import Alert, AlertAction


class Retrain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When to train anew: for alerts about these ``subjects``, at most once in ``hours``, with these further ``arguments`` of
    ``tidemark retrain``."""

    subjects: tuple[str, ...] = ("missed_fraud",)
    hours: float = 24.0
    arguments: tuple[str, ...] = ()


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of a policy file; what it leaves out is as here."""

    retrain: Retrain = Retrain()


class Due(NamedTuple):
    """An alert to be acted on; ``put_off`` says why not now, None: now."""

    alert: Alert
    put_off: str | None


def policy_in(text: str, file: str) -> Policy:
    """What a policy file's TOML says. Raises UserError that names the ``file`` if it can't be used."""
    try:
        return msgspec.convert(tomllib.loads(text), Policy)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise UserError(f"{file} is no policy ({error}); see docs/monitoring.md for what it may hold") from None


def due(book: AlertBook, taken: Iterable[AlertAction], policy: Policy, now: int) -> list[Due]:
    """The open alerts that the policy acts on and for which nothing has ended yet, what was opened first first; ``now`` in ms.

    One action at a time: with the first that is due the others are put off.
    """
    actions = list(taken)
    ended = {(action.alert_id, action.opened_at) for action in actions if action.status == "done"}
    open_ = book.newest(resolved=False)
    frozen = [alert for alert in open_ if alert.action == "freeze_training"]
    last = max((action for action in actions if action.status == "done"), key=lambda action: action.at, default=None)
    busy = last is not None and now < last.at + policy.retrain.hours * HOUR
    found: list[Due] = []
    for alert in reversed(open_):
        if alert.subject not in policy.retrain.subjects or (alert.alert_id, alert.opened_at) in ended:
            continue
        why = None
        if frozen:
            why = f"training is frozen, for alert {frozen[0].alert_id} is open: {frozen[0].sentence}"
        elif busy and last is not None:
            why = f"it was done for alert {last.alert_id} less than {policy.retrain.hours:g} hours ago"
        elif any(one.put_off is None for one in found):
            why = "one at a time"
        found.append(Due(alert, why))
    return found


def is_news(action: AlertAction, taken: Sequence[AlertAction]) -> bool:
    """Whether it says anything else than the newest record about the same alert."""
    before = [one for one in taken if (one.alert_id, one.opened_at) == (action.alert_id, action.opened_at)]
    return not before or (before[-1].status, before[-1].sentence) != (action.status, action.sentence)

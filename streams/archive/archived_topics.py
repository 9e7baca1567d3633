"""Every topic that is archived. One more is one more line."""

from collections.abc import Mapping

from streams.archive.rows import scoring_log, transactions, users
from streams.archive.rows.tables import ArchivedTopic, json_topic
from streams.messages.events import Decision, Label, decode_decision
from streams.messages.readers import label_reader
from streams.messages.record import LogRecord
from streams.messages.refusals import check_label
from streams.messages.topics import DECISIONS, LABELS, SCORING_LOG, TRANSACTIONS, USERS
from streams.messages.validation import require_key, require_stamp

# Offsets, of up to some hundred bytes; those of scoring-log have up to 2,000 decisions each.
_MESSAGES_AT_ONCE = 400_000
_BATCHES_AT_ONCE = 400


def _check_label(label: Label, record: LogRecord) -> None:
    """As INGEST will take its copy. That goes to its user's partition, wherever the label lies."""
    require_stamp(record, LABELS.name)
    check_label(label, record.timestamp)
    require_key(record.key, label.user_id)


ARCHIVED: Mapping[str, ArchivedTopic] = {
    archived.topic.name: archived
    for archived in (
        ArchivedTopic(TRANSACTIONS, transactions.SCHEMA, transactions.rows, _MESSAGES_AT_ONCE),
        json_topic(LABELS, Label, label_reader(), _MESSAGES_AT_ONCE, _check_label),
        ArchivedTopic(USERS, users.SCHEMA, users.rows, _MESSAGES_AT_ONCE),
        json_topic(DECISIONS, Decision, decode_decision, _MESSAGES_AT_ONCE),
        ArchivedTopic(SCORING_LOG, scoring_log.SCHEMA, scoring_log.rows, _BATCHES_AT_ONCE),
    )
}

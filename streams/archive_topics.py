"""Every topic that is archived. One more is one more line."""

from collections.abc import Mapping

from streams import archive_scoring_log, archive_transactions
from streams.archive_rows import ArchivedTopic, json_topic
from streams.events import Decision, Label
from streams.topics import DECISIONS, LABELS, SCORING_LOG, TRANSACTIONS

# Offsets, of up to some hundred bytes; those of scoring-log have up to 2,000 decisions each.
_MESSAGES_AT_ONCE = 400_000
_BATCHES_AT_ONCE = 400

ARCHIVED: Mapping[str, ArchivedTopic] = {
    archived.topic.name: archived
    for archived in (
        ArchivedTopic(TRANSACTIONS, archive_transactions.SCHEMA, archive_transactions.rows, _MESSAGES_AT_ONCE),
        json_topic(LABELS, Label, _MESSAGES_AT_ONCE),
        json_topic(DECISIONS, Decision, _MESSAGES_AT_ONCE),
        ArchivedTopic(SCORING_LOG, archive_scoring_log.SCHEMA, archive_scoring_log.rows, _BATCHES_AT_ONCE),
    )
}

"""Quix Streams with its own sliding window: count and mean amount of a user's last 24 hours."""

import os
from datetime import timedelta

from quixstreams import Application
from quixstreams.dataframe.windows import Count, Mean

BOOTSTRAP, SOURCE, TARGET, GROUP = (os.environ[name] for name in ("BOOTSTRAP", "SOURCE", "TARGET", "GROUP"))


def event_time(value, headers, timestamp, timestamp_type):
    return value["event_time"]


def main():
    app = Application(broker_address=BOOTSTRAP, consumer_group=GROUP, auto_offset_reset="earliest", loglevel="WARNING")
    source = app.topic(SOURCE, value_deserializer="json", timestamp_extractor=event_time)
    target = app.topic(TARGET, value_serializer="json")
    transactions = app.dataframe(source).filter(lambda value: "amount" in value)  # a label has none
    recent = transactions.sliding_window(timedelta(hours=24)).agg(tx_count_24h=Count(), mean_amount_24h=Mean("amount"))
    recent.current().to_topic(target)
    app.run()


if __name__ == "__main__":
    main()

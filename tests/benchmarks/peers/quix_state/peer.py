"""Quix Streams with state kept by hand: count and mean amount of a user's last 24 hours, from a list in its key-value state."""

import os

from quixstreams import Application, State

BOOTSTRAP, SOURCE, TARGET, GROUP = (os.environ[name] for name in ("BOOTSTRAP", "SOURCE", "TARGET", "GROUP"))
DAY = 86_400_000


def features(transaction: dict, state: State) -> dict:
    now, amount = transaction["event_time"], transaction["amount"]
    recent = [event for event in state.get("recent", []) if event[0] >= now - DAY]
    found = {
        "transaction_id": transaction["transaction_id"],
        "tx_count_24h": len(recent),
        "mean_amount_24h": sum(event[1] for event in recent) / len(recent) if recent else None,
    }
    recent.append((now, amount))
    state.set("recent", recent)
    return found


def main():
    app = Application(broker_address=BOOTSTRAP, consumer_group=GROUP, auto_offset_reset="earliest", loglevel="WARNING")
    source = app.topic(SOURCE, value_deserializer="json")
    target = app.topic(TARGET, value_serializer="json")
    transactions = app.dataframe(source).filter(lambda value: "amount" in value)  # a label has none
    transactions.apply(features, stateful=True).to_topic(target)
    app.run()


if __name__ == "__main__":
    main()

"""Flink SQL: count and mean amount of the last 24 hours, per user and per merchant, as OVER windows on event time."""

import os
import signal
import threading

from pyflink.common import Configuration
from pyflink.table import EnvironmentSettings, TableEnvironment

BOOTSTRAP, SOURCE, TARGET, GROUP, JARS = (os.environ[name] for name in ("BOOTSTRAP", "SOURCE", "TARGET", "GROUP", "JARS"))

CONFIGURATION = {
    "pipeline.jars": JARS,
    "parallelism.default": "2",
    "pipeline.object-reuse": "true",
    "taskmanager.memory.managed.size": "64m",  # its state is on the heap
}

# Each partition is in order of event time, and watermarks are kept by partition: nothing is late, whichever is read faster. An unbounded
# reader would keep the last events back until later ones arrive, so this one reads up to where the topic ended when it began.
TRANSACTIONS = f"""
CREATE TABLE transactions (
    transaction_id STRING,
    user_id STRING,
    merchant_id STRING,
    event_time BIGINT,
    amount BIGINT,
    event_at AS TO_TIMESTAMP_LTZ(event_time, 3),
    WATERMARK FOR event_at AS event_at - INTERVAL '0.001' SECOND
) WITH (
    'connector' = 'kafka',
    'topic' = '{SOURCE}',
    'properties.bootstrap.servers' = '{BOOTSTRAP}',
    'properties.group.id' = '{GROUP}',
    'scan.startup.mode' = 'earliest-offset',
    'scan.bounded.mode' = 'latest-offset',
    'format' = 'json'
)"""

FEATURES = f"""
CREATE TABLE features (
    transaction_id STRING,
    user_count BIGINT,
    user_mean BIGINT,
    merchant_count BIGINT,
    merchant_mean BIGINT
) WITH (
    'connector' = 'kafka',
    'topic' = '{TARGET}',
    'properties.bootstrap.servers' = '{BOOTSTRAP}',
    'properties.linger.ms' = '20',
    'properties.compression.type' = 'lz4',
    'format' = 'json'
)"""

# One query's OVER windows must share their key, so each key has a query of its own. A label has no amount.
QUERY = """
INSERT INTO features
SELECT transaction_id, user_count, user_mean,
    COUNT(*) OVER last_day AS merchant_count, AVG(amount) OVER last_day AS merchant_mean
FROM (
    SELECT transaction_id, merchant_id, amount, event_at, COUNT(*) OVER last_day AS user_count, AVG(amount) OVER last_day AS user_mean
    FROM transactions
    WHERE amount IS NOT NULL
    WINDOW last_day AS (PARTITION BY user_id ORDER BY event_at RANGE BETWEEN INTERVAL '24' HOUR PRECEDING AND CURRENT ROW)
)
WINDOW last_day AS (PARTITION BY merchant_id ORDER BY event_at RANGE BETWEEN INTERVAL '24' HOUR PRECEDING AND CURRENT ROW)
"""


def main():
    # It has no Python functions; else PyFlink would serve them on a port that anyone can reach.
    os.environ["_python_worker_execution_mode"] = "process"  # noqa: SIM112
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    configuration = Configuration()
    for name, value in CONFIGURATION.items():
        configuration.set_string(name, value)
    table = TableEnvironment.create(EnvironmentSettings.new_instance().in_streaming_mode().with_configuration(configuration).build())
    for statement in (TRANSACTIONS, FEATURES):
        table.execute_sql(statement)
    table.execute_sql(QUERY).wait()
    over.wait()


if __name__ == "__main__":
    main()

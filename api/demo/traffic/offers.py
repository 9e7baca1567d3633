"""What a demo sends, in order: transactions and labels of its world, some of the transactions through the API, and a few bad records."""

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from api.demo.traffic.bad_records import bad_record
from api.demo.world import LABELS_AFTER_MS, World
from features.arrays import RecordKind
from features.history.label_delay import with_label_times
from streams.replay.encode import encode_labels, encode_transactions
from streams.replay.plan import ReplayPlan, plan_replay
from streams.simulate import simulate
from streams.simulate.spec import DAY_MS

# Of the live transactions one in so many.
API_EVERY, BAD_EVERY = 200, 250
_OWN_NAMES = ("transaction_id", "user_id", "merchant_id")


class Way(Enum):
    """How an offer is sent, and what it is."""

    TOPIC = "transaction"
    API = "transaction through the API"
    LABEL = "label"
    BAD = "bad record"


class Offer(NamedTuple):
    """One thing to send; ``value`` is its JSON, ``is_fraud`` what the simulation knows, ``event_time`` in ms UTC."""

    way: Way
    live: bool
    transaction_id: str
    user_id: str
    merchant_id: str
    value: bytes
    is_fraud: bool
    event_time: int


def offers(world: World, run: str) -> Iterator[Offer]:
    """All that is to be sent; ids begin with ``run``, so that runs on the same topics don't meet.

    Bad records count as transactions. Ends early where the simulated time has come to the present.
    """
    sent, bad = 0, 0
    for offer in _history(world, run):
        if offer.way is Way.LABEL:
            yield offer._replace(live=sent >= world.warming)
            continue
        place = sent - world.warming  # among the live ones
        if place >= 0 and place % BAD_EVERY == BAD_EVERY // 5:
            name = f"{run}-bad-{bad}"
            spoilt = bad_record(bad, {**msgspec.json.decode(offer.value), "transaction_id": name}, world.present_ms)
            yield offer._replace(way=Way.BAD, live=True, value=spoilt, transaction_id=name, is_fraud=False)
            sent, bad, place = sent + 1, bad + 1, place + 1
            if sent == world.transactions:
                return
        through_api = place >= 0 and place % API_EVERY == API_EVERY // 2
        yield offer._replace(way=Way.API if through_api else Way.TOPIC, live=place >= 0)
        sent += 1
        if sent == world.transactions:
            return


def _history(world: World, run: str) -> Iterator[Offer]:
    """The world's transactions and labels in the order of a replay."""
    for table, plan in _pieces(world, run):
        is_label = plan.kind == RecordKind.LABEL
        columns = {name: table[name].to_pylist() for name in (*_OWN_NAMES, "is_fraud", "event_time")}
        transactions = iter(encode_transactions(table.take(plan.row[~is_label])))
        labels = iter(encode_labels(table.take(plan.row[is_label])))
        for label, row in zip(is_label.tolist(), plan.row.tolist(), strict=True):
            yield Offer(
                Way.LABEL if label else Way.TOPIC,
                False,
                columns["transaction_id"][row],
                columns["user_id"][row],
                columns["merchant_id"][row],
                next(labels if label else transactions),
                columns["is_fraud"][row],
                columns["event_time"][row],
            )


def _pieces(world: World, run: str) -> Iterator[tuple[pa.Table, ReplayPlan]]:
    """Some days at a time: a canonical table and what of it happens in these days, which includes labels of earlier frauds."""
    unlabelled: pa.Table | None = None
    step = world.days_at_once * DAY_MS
    for begin in range(world.begin_ms, world.present_ms, step):
        table = with_label_times(simulate(world.simulation(begin, world.days_at_once)), LABELS_AFTER_MS)
        for name in _OWN_NAMES:
            own = pc.binary_join_element_wise(run, table[name], "-")
            table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), own)
        if unlabelled is not None:
            table = pa.concat_tables([unlabelled, table]).combine_chunks()
        yield table, plan_replay(table, begin, min(begin + step, world.present_ms))
        unlabelled = table.filter(pc.fill_null(pc.greater_equal(table["label_time"], begin + step), False))

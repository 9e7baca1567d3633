"""What a demo sends: as many as were asked for, in the past, of one run's own users, with a few bad records among them."""

from collections import Counter

import msgspec
import pytest

from api.demo.traffic.bad_records import bad_record
from api.demo.traffic.offers import Offer, Way, offers
from api.demo.world import FEWEST, WARM_DAYS, world
from features.errors import UserError
from streams.messages.events import Label
from streams.messages.partitioner import partition_of
from streams.messages.readers import label_reader, transaction_reader
from streams.messages.record import LogRecord
from streams.messages.refusals import RefusedError
from streams.messages.validation import Validator
from streams.simulate.spec import DAY_MS

decode_transaction = transaction_reader()
decode_label = label_reader()

NOW = 1_790_000_000_000
RUN = "abc"


def sent(transactions: int) -> list[Offer]:
    return list(offers(world(transactions, NOW), RUN))


@pytest.mark.parametrize("transactions", [FEWEST, 3_000, 20_000])
def test_exactly_so_many_are_sent_and_the_first_warm_the_windows(transactions: int) -> None:
    plan = world(transactions, NOW)
    made = [offer for offer in sent(transactions) if offer.way is not Way.LABEL]
    assert len(made) == transactions == plan.warming + (plan.live or 0)
    assert [offer.live for offer in made] == [False] * plan.warming + [True] * (plan.live or 0)
    assert len({offer.transaction_id for offer in made}) == transactions


def test_fewer_than_that_show_nothing() -> None:
    with pytest.raises(UserError, match=str(FEWEST)):
        world(FEWEST - 1, NOW)


def test_the_windows_of_those_who_buy_live_are_warm() -> None:
    """Those of the default run: its first live transaction comes when the longest window and the labels' delay have passed."""
    made = sent(20_000)
    first, live = made[0], next(offer for offer in made if offer.live)
    assert live.event_time - first.event_time > (WARM_DAYS - 3) * DAY_MS


def test_ids_are_the_runs_own_and_nothing_lies_in_the_future() -> None:
    for offer in sent(3_000):
        if offer.way in (Way.TOPIC, Way.API):
            transaction = decode_transaction(offer.value)
            assert (transaction.transaction_id, transaction.user_id, transaction.merchant_id) == offer[2:5]
            assert transaction.event_time == offer.event_time <= NOW
            assert all(name.startswith(f"{RUN}-") for name in offer[2:5])


def test_every_fraud_whose_time_has_come_is_labelled_in_place() -> None:
    made = sent(20_000)
    frauds = {offer.transaction_id: offer for offer in made if offer.is_fraud and offer.way is not Way.LABEL}
    time, labelled = 0, set()
    for offer in made:
        if offer.way is Way.LABEL:
            label: Label = decode_label(offer.value)
            assert label.is_fraud
            assert int(label.label_time) >= time, "labels stand where they became known"
            time = int(label.label_time)
            labelled.add(label.transaction_id)
        else:
            time = max(time, offer.event_time)
    due = {name for name, offer in frauds.items() if offer.event_time + 7 * DAY_MS < made[-1].event_time}
    assert due
    assert due <= labelled <= set(frauds)


def test_a_simulated_day_is_sent_in_order() -> None:
    times = [offer.event_time for offer in sent(3_000) if offer.way in (Way.TOPIC, Way.API)]
    assert times == sorted(times)


def test_some_go_through_the_api_and_some_are_bad_live_ones_only() -> None:
    made = sent(20_000)
    assert {offer.live for offer in made if offer.way in (Way.API, Way.BAD)} == {True}
    counts = Counter(offer.way for offer in made)
    assert 20 <= counts[Way.API] <= 40
    assert 20 <= counts[Way.BAD] <= 30


def test_an_endless_run_begins_years_ago_and_ends_in_the_present() -> None:
    plan = world(None, NOW)
    assert plan.transactions is None
    stream = offers(plan, RUN)
    assert (NOW - next(stream).event_time) // DAY_MS > 1_000
    short = msgspec.structs.replace(plan, users=100, begin_ms=NOW // DAY_MS * DAY_MS - 3 * DAY_MS, warming=10)
    *_, last = offers(short, RUN)
    assert 0 <= NOW - last.event_time < DAY_MS


def test_every_bad_record_is_refused_and_says_whose_it_is() -> None:
    offer = sent(FEWEST)[0]
    key = offer.user_id.encode()
    validator = Validator("transactions", partition_of(key, 4), 4, "EUR")

    def record(value: bytes) -> LogRecord:
        return LogRecord(0, NOW, key, value, [])

    validator.transaction(record(offer.value))
    reasons = set()
    for number in range(7):
        value = bad_record(number, msgspec.json.decode(offer.value), NOW)
        with pytest.raises(RefusedError) as refused:
            validator.transaction(record(value))
        reasons.add(refused.value.reason)
        assert f'"{RUN}-'.encode() in value
    assert reasons == {"not_json", "invalid_field", "missing_field", "foreign_currency", "event_time_ahead"}

"""What a demo counts and shows."""

import base64
import io

import numpy as np
import pytest
from rich.console import Console

from api.demo.screen.view import Scene, line, screen
from api.demo.summary import summary
from api.demo.traffic.latency import Latencies
from api.demo.traffic.offers import Offer, Way
from api.demo.traffic.tally import Tally
from api.demo.world import world
from models.policy import Action
from models.reasons import Reason
from streams.messages.events import DeadLetter, Decision, Origin
from tests.made import decisions

NOW = 1_790_000_000_000
WORLD = world(20_000, NOW)


def offer(name: str, live: bool = True, is_fraud: bool = False, way: Way = Way.TOPIC) -> Offer:
    return Offer(way, live, name, "abc-1", "abc-2", b"{}", is_fraud, NOW)


def decision(name: str, action: Action = "approve", origin: Origin = "stream") -> Decision:
    reasons = [Reason("user_amount_ratio_24h", 12.345, 1.0), Reason("amount", None, 0.5)]
    return decisions.decision(
        name, NOW, user_id="abc-1", amount=2_599, decision=action, reasons=reasons, model_version="1", origin=origin, decided_at=NOW
    )


def letter(value: bytes | None) -> DeadLetter:
    encoded = None if value is None else base64.b64encode(value).decode()
    return DeadLetter("transactions", 0, 0, "not_json", "no JSON", None, encoded, len(value or b""), None)


def deal(tally: Tally, name: str, verdict: Action, *, live: bool = True, is_fraud: bool = False, took: float = 0.05) -> None:
    """A transaction sent and decided."""
    tally.expect(offer(name, live, is_fraud), due=100.0)
    tally.acknowledged(Way.TOPIC)
    tally.take_decision(decision(name, verdict), now=100.0 + took)


def test_every_transaction_ends_as_a_decision_or_a_dead_letter() -> None:
    tally = Tally("abc")
    deal(tally, "abc-1", "approve")
    tally.acknowledged(Way.BAD)
    tally.acknowledged(Way.LABEL)
    assert (tally.sent, tally.labels, tally.outstanding) == (2, 1, 1)
    tally.take_dead_letter(letter(b'{"user_id": "abc-1'), now=101.0)
    assert (tally.decided, tally.refused, tally.outstanding) == (1, 1, 0)


def test_other_runs_do_not_count() -> None:
    tally = Tally("abc")
    tally.take_decision(decision("abcd-1"), now=1.0)
    tally.take_dead_letter(letter(b'{"user_id":"abcd-1"}'), now=1.0)
    tally.take_dead_letter(letter(None), now=1.0)
    assert (tally.decided, tally.refused, len(tally.remarkable)) == (0, 0, 0)


def test_what_the_user_asks_the_api_for_is_shown_though_not_counted() -> None:
    tally = Tally("abc")
    tally.take_decision(decision("mine-1", origin="api"), now=1.0)
    assert tally.decided == 0
    assert [one.is_fraud for one in tally.remarkable] == [None]


def test_a_decision_said_twice_is_noticed() -> None:
    tally = Tally("abc")
    deal(tally, "abc-1", "approve")
    tally.take_decision(decision("abc-1"), now=101.0)
    assert (tally.repeated, tally.outstanding) == (1, -1)


def test_fraud_is_caught_by_review_or_block_and_only_live_ones_count() -> None:
    tally = Tally("abc")
    deal(tally, "abc-1", "block", is_fraud=True)
    deal(tally, "abc-2", "review", is_fraud=True)
    deal(tally, "abc-3", "approve", is_fraud=True)
    deal(tally, "abc-4", "review")
    deal(tally, "abc-5", "block", is_fraud=True, live=False)
    fraud = tally.fraud
    assert (fraud.transactions, fraud.caught, fraud.flagged) == (3, 2, 3)
    # 25.99 and a chargeback's 15.00 each; of what was stopped, 3.00 for either review.
    assert (fraud.at_stake, fraud.saved) == (3 * 4_099, 2 * 4_099 - 2 * 300)
    assert dict(tally.verdicts) == {"block": 2, "review": 2, "approve": 1}
    assert [one.decision.transaction_id for one in tally.remarkable] == ["abc-1", "abc-2", "abc-4"]


def test_latency_counts_from_when_it_was_due() -> None:
    tally = Tally("abc")
    for i, took in enumerate((0.02, 0.04, 0.06)):
        deal(tally, f"abc-{i}", "approve", took=took)
    found = tally.latencies.recent(100.0, (0.5,))
    assert found == pytest.approx([40.0])


def test_percentiles_hold_to_a_percent_and_recent_ones_forget() -> None:
    latencies = Latencies()
    ms = np.random.default_rng(0).lognormal(4, 1, 20_000)
    for one in ms.tolist():
        latencies.add(0.0, one)
    for share in (0.5, 0.99, 1.0):
        assert latencies.percentile(share) == pytest.approx(np.quantile(ms, share), rel=0.02)
    assert latencies.recent(5.0, (0.5,)) == pytest.approx([np.quantile(ms, 0.5)])
    assert latencies.recent(11.0, (0.5,)) is None
    assert latencies.percentile(0.5) is not None
    assert Latencies().percentile(0.5) is None


def test_the_rate_is_that_of_the_last_seconds() -> None:
    tally = Tally("abc")
    for second in range(20):
        tally.decided = second * second
        rate = tally.rate(float(second))
    assert rate == pytest.approx((19**2 - 14**2) / 5)


@pytest.mark.parametrize("live_since", [None, 90.0])
def test_the_screen_fits_a_small_terminal(live_since: float | None) -> None:
    tally = Tally("abc")
    tally.sent, tally.decided, tally.labels = 12_345_678, 12_345_600, 123_456
    for i in range(30):
        deal(tally, f"abc-{i}", ("review", "block")[i % 2], is_fraud=i % 3 == 0)
    tally.take_decision(decision("mine-1", origin="api"), now=1.0)
    for reason in ("not_json", "missing_field", "invalid_field", "event_time_ahead"):
        tally.dead_letters[reason] = 1_000
    scene = Scene(WORLD, 400, "version 12 (abcdef01)", "http://127.0.0.1:8000", live_since, over=False)
    console = Console(file=io.StringIO(), width=80, height=24)
    with console.capture() as captured:
        console.print(screen(tally, scene, now=101.0))
    rows = captured.get().rstrip("\n").splitlines()
    assert len(rows) <= 23  # one is left for the cursor
    assert max(map(len, rows)) <= 80
    text = "\n".join(rows)
    for expected in ("50 ms", "yours", "user_amount_ratio", "http://127.0.0.1:8000/docs", "12,345,6", "not_json 1,000"):
        assert expected in text
    assert ("warming" in text) == (live_since is None)
    assert "fraud caught" in line(tally, scene, now=101.0)


def test_the_summary_has_the_three_integers_at_the_top() -> None:
    tally = Tally("abc")
    deal(tally, "abc-1", "block", is_fraud=True)
    tally.answered(now=100.1, due=100.0)
    tally.take_decision(decision("abc-2"), now=100.2)
    tally.acknowledged(Way.BAD)
    tally.take_dead_letter(letter(b'"abc-1"'), now=100.3)
    done = summary(tally, WORLD, rate=400.0, live_seconds=2.0, seconds=30.0)
    assert (done["transactions"], done["decisions"], done["dead_letters"]) == (3, 2, 1)
    assert done["live_fraud"] == {"transactions": 1, "caught": 1, "caught_share": 1.0, "false_alarms": 0, "at_stake": 4_099, "saved": 4_099}
    assert done["api_latency_ms"] == {"p50": pytest.approx(100, rel=0.02), "p99": pytest.approx(100, rel=0.02), "max": 100.0}
    assert (done["model_version"], done["api_calls"]) == ("1", 1)

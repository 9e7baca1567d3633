"""What a library repeats is said now and then, with how often it was meant."""

import io
import logging

from streams.kafka.repeated_log import LeaveOutRepeated


def test_a_librarys_repeated_messages_are_counted_and_everybody_elses_pass() -> None:
    now = 0.0
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.addFilter(LeaveOutRepeated("noisy", every_s=10.0, clock=lambda: now))
    noisy, ours = logging.Logger("noisy.client"), logging.Logger("noisyless")
    for logger in (noisy, ours):
        logger.addHandler(handler)
    for tenth in range(120):
        now = tenth / 10
        noisy.error("no connection to node %d", tenth)
    noisy.error("something else")
    ours.error("ours")
    ours.error("ours")
    assert written.getvalue().splitlines() == [
        "no connection to node 0",
        "no connection to node 100 (and 99 more like this in 10 s)",
        "something else",
        "ours",
        "ours",
    ]


def test_of_messages_by_one_form_each_kind_is_counted_for_itself() -> None:
    kept = LeaveOutRepeated("noisy", every_s=10.0, clock=lambda: 0.0)
    noisy = logging.Logger("noisy.client")
    made = [
        noisy.makeRecord(noisy.name, logging.ERROR, "", 0, "%s [%s] %s", (kind, "c-1", "…"), None) for kind in ("FAIL", "FAIL", "ERROR")
    ]
    assert [kept.filter(record) for record in made] == [True, False, True]

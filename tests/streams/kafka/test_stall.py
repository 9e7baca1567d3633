"""A call that doesn't come back ends the process; one that does, doesn't."""

import threading
import time

from streams.kafka.stall import StallWatch


def test_a_call_that_takes_too_long_ends_the_process() -> None:
    ended = threading.Event()
    watch = StallWatch(ended.set)
    with watch.within(5, "a quick call"):
        pass
    with watch.within(0.1, "a slow call"):
        assert ended.wait(5)


def test_quick_calls_end_nothing_however_many() -> None:
    ended = threading.Event()
    watch = StallWatch(ended.set)
    for _ in range(5):
        with watch.within(1.0, "a call"):
            time.sleep(0.3)
    assert not ended.is_set()
    watch.close()

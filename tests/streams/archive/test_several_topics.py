"""Topics are archived side by side: one that can't be keeps no other from its end, where all is to be done."""

from collections.abc import Callable
from typing import Any

import pytest

from features.errors import UserError
from streams.archive import spark_archive


class Query:
    """Of Spark's streaming queries, what is asked of one; it is active for so many looks."""

    def __init__(self, looks: int) -> None:
        self.looks, self.stopped = looks, False

    @property
    def isActive(self) -> bool:  # noqa: N802  # as Spark names it
        self.looks -= 1
        return self.looks >= 0

    def exception(self) -> None:
        return None

    def stop(self) -> None:
        self.stopped = True


class Topic:
    """An archived topic that takes so long, and fails at once or never."""

    def __init__(self, name: str, looks: int, failure: Exception | None = None) -> None:
        self.name, self.query, self._fails = name, Query(looks), failure
        self.failure: Exception | None = None

    def start(self, *_: Any) -> Query:
        self.failure = self._fails
        return self.query


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark_archive, "_LOOK_EVERY_S", 0.0)


def run(topics: list[Topic], every_s: float | None, stopped: Callable[[], bool] = lambda: False) -> None:
    spark_archive.run(None, topics, every_s, lambda *_: None, stopped)  # type: ignore[arg-type]


def test_once_all_others_come_to_their_end_before_one_is_reported() -> None:
    bad, good = Topic("labels", 1, UserError("labels can't be archived")), Topic("decisions", 20)
    with pytest.raises(UserError, match="labels can't be archived"):
        run([bad, good], None)
    assert good.query.looks < 0, "it was still at work"


def test_one_that_goes_on_ends_at_the_first_failure() -> None:
    bad, good = Topic("labels", 1, UserError("labels can't be archived")), Topic("decisions", 20)
    with pytest.raises(UserError, match="labels can't be archived"):
        run([bad, good], 1.0)
    assert good.query.looks > 0
    assert bad.query.stopped
    assert good.query.stopped

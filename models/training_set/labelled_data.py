"""Transactions with what is known of their labels, and what a model may learn from them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from features.definitions import FeatureSet
from features.history.label_delay import parse_labels_after
from models.training_set.label_maturity import Immature
from models.training_set.rows import TrainingSet
from models.training_set.snapshot import DataSnapshot


@dataclass(frozen=True)
class Weighting:
    """Which rows count otherwise than others: what becomes of ``immature`` ones (None: what is usual with the data), and the column of the
    file that holds the ``propensity`` with which each transaction was let through; see ``models/training_set/label_maturity.py``."""

    immature: Immature | None = None
    propensity: str | None = None


USUAL_WEIGHTING = Weighting()


@dataclass(frozen=True)
class DataRequest:
    """What is asked of labelled data: rows from ``begin`` to before ``end`` and labels known ``as_of`` (ms; None: all that the data has),
    which come ``labels_after`` (ms; None: the usual 7 days, or as the data has it) their transaction, and the rows' ``weighting``."""

    begin: int | None = None
    end: int | None = None
    as_of: int | None = None
    labels_after: int | None = None
    weighting: Weighting = USUAL_WEIGHTING

    @property
    def label_delay(self) -> int:
        """How late labels come (ms), where the data itself doesn't fix it."""
        return (parse_labels_after(None, True) or 0) if self.labels_after is None else self.labels_after


@dataclass(frozen=True)
class LabelledData:
    """Transactions with labels: what they are called, which are asked for (``begin`` to before ``end``, ms), what was known when
    (``as_of``), how late labels come (``labels_after``, ms), and ``rows_of``, their training set as a feature set sees it. Of a past moment
    it can be had only if it is ``relabelled``. ``weighting`` is what the rows have. ``duplicates`` and ``conflicts`` were left out: rows
    that are another's once more, or have its id and other content."""

    name: str
    begin: int
    end: int
    as_of: int
    labels_after: int
    snapshot: DataSnapshot
    rows_of: "RowsOf"
    weighting: Weighting
    relabelled: bool = True
    duplicates: int = 0
    conflicts: int = 0


class RowsOf(Protocol):
    """Makes the training set of the rows from ``begin`` to before ``end`` with the labels known ``as_of`` (ms); ``advanced`` is called with
    how many transactions were taken in."""

    def __call__(self, feature_set: FeatureSet, begin: int, end: int, as_of: int, advanced: Callable[[int], None] = ...) -> TrainingSet:
        """See the class."""
        ...


def unobserved(_rows: int) -> None:
    """Where nobody asks how far it has come."""

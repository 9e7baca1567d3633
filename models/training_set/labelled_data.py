"""Transactions with what is known of their labels, and what a model may learn from them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from features.definitions import FeatureSet
from models.training_set.rows import TrainingSet
from models.training_set.snapshot import DataSnapshot

if TYPE_CHECKING:
    from models.training_set.label_maturity import Immature


@dataclass(frozen=True)
class Weighting:
    """Which rows count otherwise than others: what becomes of ``immature`` ones (None: nobody says, so what is usual with the data), and
    the column of the file that says the ``propensity`` with which each transaction was let through; see
    ``models/training_set/label_maturity.py``."""

    immature: "Immature | None" = None
    propensity: str | None = None


UNSAID = Weighting()


@dataclass(frozen=True)
class LabelledData:
    """Transactions with labels: what they are called, which are asked for (``begin`` to before ``end``, ms), what was known when
    (``as_of``), how late labels come (``labels_after``, ms), and ``rows_of``, their training set as a feature set sees it. Of a past moment
    it can be had only if it is ``relabelled``. ``weighting`` is what the rows have."""

    name: str
    begin: int
    end: int
    as_of: int
    labels_after: int
    snapshot: DataSnapshot
    rows_of: "RowsOf"
    weighting: Weighting
    relabelled: bool = True


class RowsOf(Protocol):
    """Makes the training set of the rows from ``begin`` to before ``end`` with the labels known ``as_of`` (ms); ``advanced`` hears how many
    transactions were taken in."""

    def __call__(self, feature_set: FeatureSet, begin: int, end: int, as_of: int, advanced: Callable[[int], None] = ...) -> TrainingSet:
        """See the class."""
        ...


def unheard(_rows: int) -> None:
    """Where nobody asks how far it has come."""

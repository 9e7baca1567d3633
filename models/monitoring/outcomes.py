"""What became of decisions, as far as it is known by some moment. The one definition: the table ``outcomes`` and every figure of the
monitor follow it."""

from dataclasses import dataclass
from typing import Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from features.arrays import Bool, Float64, Int64
from models.training_set.label_maturity import DelaysBySource

Outcome = Literal["fraud", "legitimate", "presumed_legitimate", "immature", "unseen"]
"""``fraud`` and ``legitimate``: the label that counts says so, however young the decision is. Without a label: ``immature`` if it is
younger than labels take; else ``unseen`` if it was blocked, for nothing shows whether that was right; else ``presumed_legitimate``."""

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True)
class Outcomes:
    """One entry a decision. ``is_fraud`` is its label, False without one; ``mature``: it is as old as labels take. ``known`` (0–1) is the
    share of frauds of its age that have a label by now, 1 if it is mature.
    """

    is_fraud: Bool
    labelled: Bool
    blocked: Bool
    mature: Bool
    known: Float64

    @classmethod
    def of(cls, event_time: Int64, is_fraud: Bool, labelled: Bool, blocked: Bool, as_of: int, delay: int, delays: DelaysBySource) -> Self:
        """As known ``as_of``; times and the ``delay`` of labels in ms. ``is_fraud`` is of no meaning without a label."""
        age = as_of - event_time
        mature = age >= delay
        return cls(is_fraud & labelled, labelled, blocked, mature, np.where(mature, 1.0, delays.share_known(age)))

    @property
    def seen(self) -> Bool:
        """Those whose outcome shows, for they have a label or weren't blocked; a blocked payment never shows whether it was fraud."""
        return self.labelled | ~self.blocked

    @property
    def counted(self) -> Bool:
        """The decisions that performance can be told by: matured, with an outcome that shows."""
        return self.mature & self.seen

    @property
    def words(self) -> npt.NDArray[np.object_]:
        """Each decision's ``Outcome``."""
        return np.asarray(
            np.select(
                [self.is_fraud, self.labelled, ~self.mature, self.blocked],
                np.array(["fraud", "legitimate", "immature", "unseen"], np.object_)[:, None],
                "presumed_legitimate",
            ),
            np.object_,
        )

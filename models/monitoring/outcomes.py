"""What became of decisions, as far as it is known by some moment."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from features.arrays import Bool, Float64, Int64
from models.training_set.label_maturity import share_known


@dataclass(frozen=True)
class Outcomes:
    """One entry a decision. ``is_fraud`` is its label, False without one. ``seen``: its outcome shows, for it has a label or wasn't
    blocked; a blocked payment never shows whether it was fraud. ``mature``: it is as old as labels take. ``known`` (0–1) is the share of
    frauds of its age that have a label by now.
    """

    is_fraud: Bool
    labelled: Bool
    seen: Bool
    mature: Bool
    known: Float64

    @classmethod
    def of(cls, event_time: Int64, is_fraud: Bool, labelled: Bool, label_time: Int64, blocked: Bool, as_of: int, delay: int) -> Self:
        """As known ``as_of``; times and the ``delay`` of labels in ms. ``label_time`` is of no meaning without a label.

        How soon labels come is learnt from the matured frauds; without one nothing is known of an age below ``delay``.
        """
        age = as_of - event_time
        mature = age >= delay
        took = np.clip(label_time - event_time, 0, delay)[mature & labelled & is_fraud]
        young = share_known(took, age) if len(took) else np.zeros(len(age))
        return cls(is_fraud & labelled, labelled, labelled | ~blocked, mature, np.where(mature, 1.0, young))

    @property
    def counted(self) -> Bool:
        """The decisions that performance can be told by: matured, with an outcome that shows."""
        return self.mature & self.seen

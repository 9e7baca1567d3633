"""Are there frauds and others enough to learn from?"""

from collections.abc import Mapping

import numpy as np

from features.arrays import Bool
from features.errors import UserError
from models.evaluation.metrics import has_both_classes

# Of fewer nothing can be learnt, and nothing chosen, that isn't chance.
FEWEST_FRAUDS = 10


def require_both_classes(is_fraud: Bool) -> None:
    """Raises UserError unless the rows (one entry each) hold frauds and others."""
    of_all = f"of the {len(is_fraud):,} transactions to learn from"
    if not is_fraud.any():
        raise UserError(f"none {of_all} is a fraud; widen --from and --to, or map another label column with --columns is_fraud=…")
    if is_fraud.all():
        raise UserError(f"every one {of_all} is a fraud; give the legitimate ones too, or map another label column")


def require_both_classes_in_each(parts: Mapping[str, Bool]) -> None:
    """Raises UserError unless each part, by its title ("the later part, which …,"), holds frauds and others."""
    for title, is_fraud in parts.items():
        if not has_both_classes(is_fraud):
            raise UserError(
                f"{title} has {np.count_nonzero(is_fraud):,} frauds among {len(is_fraud):,} transactions; widen --from and --to until both "
                "parts have frauds and others"
            )


def require_enough_frauds(is_fraud: Bool) -> None:
    """Raises UserError if there are some frauds, but too few; rows of one class are refused where a model is fitted."""
    frauds = np.count_nonzero(is_fraud)
    if 0 < frauds < FEWEST_FRAUDS:
        raise UserError(
            f"only {frauds} of the {len(is_fraud):,} transactions to learn from are frauds, too few to learn from and to judge "
            f"by; widen --from and --to until there are at least {FEWEST_FRAUDS}"
        )

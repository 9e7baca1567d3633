"""The choices that a training is given on the command line."""

from collections.abc import Sequence

import msgspec

from features.errors import UserError
from models.costs import Costs
from models.training.baseline_fitting import BaselineName
from models.training.baseline_pipeline import BASELINES
from models.training_set.label_maturity import IMMATURE, Immature
from models.training_set.labelled_data import Weighting


def weighting_of(immature: str | None, propensity: str | None) -> Weighting:
    """What ``--immature`` and ``--propensity`` ask for. Raises UserError for an unknown choice."""
    return Weighting(None if immature is None else immature_of(immature), propensity)


def immature_of(immature: str) -> Immature:
    """What ``--immature`` asks for. Raises UserError for an unknown choice."""
    found = next((choice for choice in IMMATURE if choice == immature), None)
    if found is None:
        raise UserError(f"--immature {immature} is not a choice; use {' or '.join(IMMATURE)}")
    return found


def baseline_of(model: str, search: float | None) -> BaselineName | None:
    """The baseline that ``--model`` asks for, None for xgboost. Raises UserError for anything else, or a baseline with a search."""
    if model == "xgboost":
        return None
    found = next((name for name in BASELINES if name == model), None)
    if found is None:
        raise UserError(f"--model {model} is not a learner; use xgboost, or to compare with it {' or '.join(BASELINES)}")
    if search is not None:
        raise UserError(f"--search looks for parameters of xgboost alone; leave it out with --model {model}")
    return found


def parse_histories(text: str) -> tuple[int, ...]:
    """The days of ``--history-days 7,28,90``; none for ``all``. Raises UserError for anything else."""
    if text == "all":
        return ()
    parts = text.split(",")
    if not all(part.isdigit() and 0 < int(part) <= 3_650 for part in parts):
        raise UserError(f"--history-days {text} is not a list of days; write it as 7,28,90, or all")
    return tuple(sorted({int(part) for part in parts}))


def parse_costs(pairs: Sequence[str]) -> Costs:
    """The costs of ``--cost review=250 --cost margin=0.03``. Raises UserError for an unknown name or a value that makes no sense."""
    given = dict(pair.partition("=")[::2] for pair in pairs)
    if unknown := sorted(set(given) - set(Costs.__struct_fields__)):
        raise UserError(f"--cost {unknown[0]} is not a cost; the costs are {', '.join(Costs.__struct_fields__)}")
    for name, value in given.items():
        try:
            msgspec.convert({name: value}, Costs, strict=False)
        except (msgspec.ValidationError, ValueError) as error:
            why = error if "negative" in str(error) else "it takes a number, shares with a point and money in whole minor units"
            raise UserError(f"--cost {name}{value and '='}{value} can't be used: {why}; write it as --cost review=250") from None
    return msgspec.convert(given, Costs, strict=False)

"""What a learner is set to."""

from collections.abc import Mapping

Value = str | float | int
Parameters = Mapping[str, Value]

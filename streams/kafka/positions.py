"""Where a group stands in a topic."""

from collections.abc import Mapping

Positions = Mapping[int, int]
"""The next offset to process, by partition."""

"""The days of ``--from`` and ``--to``, where both are given."""

from datetime import date

from features.history.moments import day_range


def days_between(begin: str, end: str) -> tuple[date, date]:
    """The days of ``--from`` and ``--to``. Raises UserError if they are no days, or none lies between them."""
    day_range(begin, end)
    return date.fromisoformat(begin), date.fromisoformat(end)

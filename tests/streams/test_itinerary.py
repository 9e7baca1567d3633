"""The way of a transaction as ``streams`` describes it leads through files that exist."""

import re
from pathlib import Path

import streams

ROOT = Path(__file__).parents[2]


def test_every_stop_exists() -> None:
    stops = re.findall(r"``(streams/[\w/.]+)``", streams.__doc__ or "")
    assert len(stops) > 8
    assert not [stop for stop in stops if not (ROOT / stop).exists()]

"""The acceptance of training and backtest: by the handbook's protocol, a model trained on its published week beats its XGBoost.

Without the handbook's file the same commands and protocol run over simulated transactions of its shape and dates. The published figures say
nothing about those, so there the model must beat what needs no model: the larger the amount, the likelier a fraud.
"""

import os
from pathlib import Path

import pyarrow as pa
import pytest

from features.history.datafile import write_transactions
from tests.benchmarks.handbook.handbook_protocol import PUBLISHED
from tests.benchmarks.handbook_week import judge, train_and_backtest


@pytest.mark.timeout(600)
def test_the_published_week_is_judged_better_than_before(handbook: pa.Table, tmp_path: Path) -> None:
    source = os.environ.get("TIDEMARK_HANDBOOK")
    if source:
        file, columns = Path(source), "handbook"
    else:
        file, columns = tmp_path / "simulated.parquet", "tidemark"
        written = handbook.drop_columns(["label_time"])
        write_transactions(file, [written], written.schema)
    home = tmp_path / "home"
    home.mkdir()

    trained, scores = train_and_backtest(home, file, columns)

    found, rows, frauds = judge(handbook, scores)
    to_beat = PUBLISHED
    if source:
        assert (trained["rows"], trained["frauds"]) == (67_240, 598)
        assert (rows, frauds) == (58_264, 385)
    else:
        to_beat = judge(handbook, scores.set_column(1, "probability", scores["amount"].cast(pa.float64())))[0]
    assert trained["label_unknown"] == 0
    assert trained["role"] == "champion"
    assert found.beats(to_beat), (found, to_beat)

"""The handbook's own features, against their definition in pandas as the handbook computes them."""

import numpy as np
import pandas as pd
import pytest

from features.definitions import DAY, HOUR
from tests.benchmarks.handbook.handbook_features import NAMES, handbook_features

N = 600


@pytest.fixture(scope="module")
def history() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "event_time": np.sort(rng.integers(0, 60 * 24, N)) * HOUR,  # some at one time
            "user": rng.integers(0, 8, N),
            "merchant": rng.integers(0, 5, N),
            "amount": rng.integers(100, 30_000, N),
            "is_fraud": rng.random(N) < 0.2,
        }
    )


def rolled(history: pd.DataFrame, key: str, column: str, days: int, how: str) -> np.ndarray:
    at = history.assign(at=pd.to_datetime(history["event_time"], unit="ms"), row=np.arange(N))
    parts = [
        group.set_index("at")[column].astype(float).rolling(f"{days}d").agg(how).set_axis(group["row"]) for _, group in at.groupby(key)
    ]
    return pd.concat(parts).sort_index().to_numpy()


def test_windows_are_the_handbooks(history: pd.DataFrame) -> None:
    found = dict(zip(NAMES, handbook_features(*(history[name].to_numpy() for name in history.columns)).T, strict=True))
    for days in (1, 7, 30):
        assert found[f"CUSTOMER_ID_NB_TX_{days}DAY_WINDOW"] == pytest.approx(rolled(history, "user", "amount", days, "count"))
        assert found[f"CUSTOMER_ID_AVG_AMOUNT_{days}DAY_WINDOW"] == pytest.approx(rolled(history, "user", "amount", days, "mean") / 100)
        count = rolled(history, "merchant", "is_fraud", 7 + days, "count") - rolled(history, "merchant", "is_fraud", 7, "count")
        frauds = rolled(history, "merchant", "is_fraud", 7 + days, "sum") - rolled(history, "merchant", "is_fraud", 7, "sum")
        risk = np.nan_to_num(np.divide(frauds, count, out=np.zeros(N), where=count > 0))
        assert found[f"TERMINAL_ID_NB_TX_{days}DAY_WINDOW"] == pytest.approx(count)
        assert found[f"TERMINAL_ID_RISK_{days}DAY_WINDOW"] == pytest.approx(risk)


def test_labels_of_the_last_seven_days_have_no_part(history: pd.DataFrame) -> None:
    columns = [history[name].to_numpy() for name in history.columns]
    before = handbook_features(*columns)
    late = columns[0] >= 50 * DAY
    after = handbook_features(*columns[:4], np.where(late, ~columns[4], columns[4]))
    young = columns[0] < 57 * DAY
    assert (before[young] == after[young]).all()

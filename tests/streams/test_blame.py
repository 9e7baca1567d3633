"""Who is blamed for a failure: only what a record can cause may cost it its decision."""

import pyarrow as pa
import pytest
import xgboost as xgb

from features.errors import UserError
from streams.blame import is_the_processes


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        pa.lib.ArrowMemoryError("malloc of size 1408 failed"),
        OSError(28, "No space left on device"),
        ConnectionResetError(),
        TimeoutError(),
        RuntimeError("can't start new thread"),
        xgb.core.XGBoostError("[09:00:00] src/common: std::bad_alloc"),
        xgb.core.XGBoostError("bad allocation"),
        UserError("the topic is missing; create it with tidemark up"),
        KeyboardInterrupt(),
    ],
)
def test_memory_threads_files_and_connections_are_the_processes(error: BaseException) -> None:
    assert is_the_processes(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no such value"),
        RecursionError("maximum recursion depth exceeded"),
        RuntimeError("can't count 1000001"),
        xgb.core.XGBoostError("feature_names mismatch"),
        OverflowError(),
        # What a record holds may stand in a message.
        ValueError("merchant 'std::bad_alloc' is none"),
        KeyError("out of memory"),
    ],
)
def test_all_else_may_be_a_records(error: BaseException) -> None:
    assert not is_the_processes(error)


def test_what_was_raised_from_the_processes_error_is_the_processes_too() -> None:
    error = ValueError("no vector")
    error.__cause__ = MemoryError()
    assert is_the_processes(error)

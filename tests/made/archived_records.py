"""Records of an archive, by hand; ``tests/made/archive.py`` makes one of a table."""

from collections.abc import Iterable, Mapping

import pyarrow as pa

from tests.made.archive import SCHEMA


def record(partition: int, offset: int, kind: str, **fields: object) -> Mapping[str, object]:
    """One record by hand."""
    return {"partition": partition, "offset": offset, "kind": kind, **fields}


def of_records(given: Iterable[Mapping[str, object]]) -> pa.Table:
    """Records as ``archive`` takes them."""
    return pa.Table.from_pylist([{name: one.get(name) for name in SCHEMA.names} for one in given], schema=SCHEMA)

"""The messages of ``streams/messages/events.py`` as columns: each type's fields as Arrow's, and decoded messages as arrays of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import pyarrow as pa
from msgspec import Struct, inspect

_SCALARS = {
    inspect.BoolType: pa.bool_(),
    inspect.IntType: pa.int64(),
    inspect.FloatType: pa.float64(),
    inspect.StrType: pa.string(),
    inspect.LiteralType: pa.string(),
}


@dataclass(frozen=True)
class Column:
    """A column, and where in a message its values are: a field's name, or those of a struct and of a field in it."""

    field: pa.Field
    path: tuple[str, ...]

    def array(self, messages: Sequence[Struct | None]) -> pa.Array:
        """Its values; null where there is no message, or one of a type without that field."""
        values: list[object] = list(messages)
        for name in self.path:
            values = [getattr(value, name, None) for value in values]
        if pa.types.is_list(self.field.type):
            values = [msgspec.to_builtins(value) for value in values]
        return pa.array(values, self.field.type)


def columns_of(message: type[Struct]) -> list[Column]:
    """One nullable column a field: int64, float64, bool, string, or a list of structs; a time is int64 ms.

    A struct within becomes a column for each of its fields, ``source.offset`` for example ``source_offset``.
    """
    found = []
    for field in _of(message):
        kind = _present(field.type)
        if isinstance(kind, inspect.StructType):
            found += [
                Column(inner.field.with_name(f"{field.name}_{inner.field.name}"), (field.name, *inner.path))
                for inner in columns_of(kind.cls)
            ]
        else:
            found.append(Column(pa.field(field.name, _arrow(kind)), (field.name,)))
    return found


def _of(message: type[Struct]) -> Sequence[inspect.Field]:
    found = inspect.type_info(message)
    assert isinstance(found, inspect.StructType)
    return found.fields


def _arrow(kind: inspect.Type) -> pa.DataType:
    if isinstance(kind, inspect.ListType):
        return pa.list_(_arrow(_present(kind.item_type)))
    if isinstance(kind, inspect.StructType):
        return pa.struct([column.field for column in columns_of(kind.cls)])
    return _SCALARS[type(kind)]


def _present(kind: inspect.Type) -> inspect.Type:
    """An optional type, without None."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        left = tuple(_present(option) for option in kind.types if not isinstance(option, inspect.NoneType))
        return left[0] if len(left) == 1 else inspect.UnionType(left)
    return kind

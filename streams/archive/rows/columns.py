"""The messages of ``streams/messages/events.py`` as columns: each type's fields as Arrow's, and decoded messages as arrays of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
import pyarrow as pa
from msgspec import Struct, inspect

from streams.messages.events import milliseconds

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
        """Its values; null where there is no message, or one of a type without that field. Times must be int ms."""
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


def time_fields(message: type[Struct]) -> list[str]:
    """The fields that may come as int ms or as ISO 8601 text."""
    return [field.encode_name for field in _of(message) if _is_time(field.type)]


def settle_times(message: Struct, fields: Iterable[str]) -> None:
    """Makes these fields int ms. Raises ValueError that names the field for a text that is no such time."""
    for field in fields:
        moment = getattr(message, field)
        if isinstance(moment, str):
            try:
                setattr(message, field, milliseconds(moment))
            except ValueError as error:
                raise ValueError(f"{field}: {error}") from None


def _of(message: type[Struct]) -> Sequence[inspect.Field]:
    told = inspect.type_info(message)
    assert isinstance(told, inspect.StructType)
    return told.fields


def _arrow(kind: inspect.Type) -> pa.DataType:
    if _is_time(kind):
        return pa.int64()
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


def _is_time(kind: inspect.Type) -> bool:
    kind = _present(kind)
    return isinstance(kind, inspect.UnionType) and {type(option) for option in kind.types} == {inspect.IntType, inspect.StrType}

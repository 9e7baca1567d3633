"""Options that belong together, named once: a command takes a dataclass of them as one parameter."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any, get_type_hints


def with_option_sets(command: Callable[..., None]) -> Callable[..., None]:
    """The command as Typer wants it: each parameter whose type is a dataclass has given way to an option a field, with the field's
    annotation and default."""
    hints = get_type_hints(command, include_extras=True)
    sets: Mapping[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}

    @wraps(command)
    def spread(**given: object) -> None:
        gathered = {name: kind(**{field.name: given.pop(field.name) for field in fields(kind)}) for name, kind in sets.items()}
        command(**gathered, **given)

    parameters: list[Parameter] = []
    for name, parameter in signature(command).parameters.items():
        if name in sets:
            parameters += _options(sets[name])
        else:
            parameters.append(parameter.replace(kind=Parameter.KEYWORD_ONLY, annotation=hints[name]))
    del spread.__wrapped__  # whose own parameters Typer would find
    spread.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    spread.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return spread


def _options(kind: Any) -> list[Parameter]:
    hints = get_type_hints(kind, include_extras=True)

    def option(field: "Field[Any]") -> Parameter:
        default = Parameter.empty if field.default is MISSING else field.default
        return Parameter(field.name, Parameter.KEYWORD_ONLY, default=default, annotation=hints[field.name])

    return [option(field) for field in fields(kind)]

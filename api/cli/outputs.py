"""Files that commands write: looked at before any work is done, and never written over what no command of ours has made."""

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from functools import wraps
from inspect import Parameter, Signature, signature
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self, get_args

import typer
from typer.models import ArgumentInfo, ParameterInfo

from features.errors import UserError

_Force = Annotated[bool, typer.Option("--force", help="Write over a file that no command of tidemark has made.")]
MADE_BY = {"made_by": "tidemark"}
"""What every summary begins with: a file that has it may be written over."""

_PARQUET = ".parquet"
_OF_OTHERS = frozenset({".csv", ".tsv", ".json", ".arrow", ".feather", ".xlsx", ".gz", ".zip"})
_OF_TABLES = _OF_OTHERS - {".json", ".gz"} | {_PARQUET, ".pq"}
# A larger file is no summary.
_MOST_BYTES = 1 << 24


def checked(command: Callable[..., None]) -> Callable[..., None]:
    """The command with its outputs, the paths that its options declare ``writable``, looked at before it runs: it then raises UserError for
    one that can't be written, or must not be. It gains ``--force`` if it has outputs, unless that means something else already."""
    parameters = dict(signature(command, eval_str=True).parameters)
    outputs = [_File.of(parameter) for parameter in parameters.values() if _is_output(parameter)]
    if not outputs:
        return command
    inputs = [_File.of(parameter) for parameter in parameters.values() if not _is_output(parameter)]
    gains_force = "force" not in parameters

    @wraps(command)
    def run(**given: Any) -> None:
        forced = gains_force and given.pop("force")
        _check([(file, given[file.name]) for file in outputs], [(file, given[file.name]) for file in inputs], forced, gains_force)
        command(**given)

    if gains_force:
        parameters["force"] = Parameter("force", Parameter.KEYWORD_ONLY, default=False, annotation=_Force)
    del run.__wrapped__  # whose own parameters Typer would find
    run.__signature__ = Signature([parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in parameters.values()])  # type: ignore[attr-defined]
    run.__annotations__ = {name: parameter.annotation for name, parameter in parameters.items()}
    return run


class _File(NamedTuple):
    """A parameter that may name a file: its ``name``, how it is ``typed``, and its ``metavar``, which says in what format."""

    name: str
    typed: str
    metavar: str

    @classmethod
    def of(cls, parameter: Parameter) -> Self:
        info = _info(parameter)
        metavar = getattr(info, "metavar", None) or parameter.name
        # Within Annotated, Typer's first declaration stands where a default would.
        given = (getattr(info, "default", None), *(getattr(info, "param_decls", None) or ()))
        declared = [text for text in given if isinstance(text, str) and text.startswith("--")]
        typed = metavar if isinstance(info, ArgumentInfo) else (declared or [f"--{parameter.name.replace('_', '-')}"])[0]
        return cls(parameter.name, typed, metavar)


def _info(parameter: Parameter) -> object:
    """What Typer is to make of it."""
    return next((given for given in get_args(parameter.annotation) if isinstance(given, ParameterInfo)), None)


def _is_output(parameter: Parameter) -> bool:
    return bool(getattr(_info(parameter), "writable", False))


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Writes an object whose first field says that it is ours, at once or not at all. Raises OSError."""
    text = json.dumps({**MADE_BY, **content}, indent=2) + "\n"
    if (path.exists() and not path.is_file()) or path.parts[:2] == ("/", "dev"):
        path.write_text(text)
        return
    place = path.resolve()
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.with_name(f".{place.name}.{os.getpid()}.unfinished")
    try:
        draft.write_text(text)
        draft.replace(place)
    finally:
        draft.unlink(missing_ok=True)


def _check(outputs: list[tuple[_File, Path | None]], inputs: list[tuple[_File, object]], forced: bool, can_force: bool) -> None:
    named = [(file, path) for file, path in outputs if path is not None]
    for file, path in named:
        for other, read in inputs:
            if isinstance(read, Path) and _same(path, read):
                raise UserError(f"{file.typed} {path} is what {other.typed} names to be read, and would be lost; name another file")
        _require_writable(file, path)
        if not (forced or _is_ours(file, path)):
            raise UserError(
                f"{file.typed} {path} exists and was not made by tidemark; name another file{', or add --force' if can_force else ''}"
            )
    for (one, path), (other, again) in combinations(named, 2):
        if path.absolute() == again.absolute() or _same(path, again):
            raise UserError(f"{one.typed} and {other.typed} are both {path}; name two files")


def _same(one: Path, other: Path) -> bool:
    try:
        return one.is_file() and one.samefile(other)
    except OSError:
        return False


def _require_writable(file: _File, path: Path) -> None:
    option, wants_table = file.typed, file.metavar.endswith(_PARQUET)
    if wants_table and path.suffix in _OF_OTHERS:
        raise UserError(f"{option} {path} is written as Parquet; name a file that ends in {_PARQUET}")
    if not wants_table and path.suffix in _OF_TABLES:
        raise UserError(f"{option} {path} is written as JSON; name a file that ends in .json")
    try:
        if path.is_dir():
            raise UserError(f"{option} {path} is a folder; name a file in it")
        if path.exists() and not path.is_file():
            # A table is written beside its place and then put there; that would replace a device by a file.
            if wants_table:
                raise UserError(f"{option} {path} is no plain file; name one that ends in {_PARQUET}")
            if path.resolve() == Path("/dev/full"):
                raise UserError(f"{option} {path} never has room; name a file")
            return
        place = path.resolve()  # of a link that leads nowhere yet, too
        if place.parts[:2] == ("/", "dev"):
            raise UserError(f"{option} {path} is no place for files; name one elsewhere")
        parent = next(folder for folder in place.parents if folder.exists())
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as failure:
        raise UserError(f"{option} {path} can't be written: {failure.strerror}; name a file in a folder that you may write to") from None


def _is_ours(file: _File, path: Path) -> bool:
    """Whether nothing is lost by writing there: nothing is there, or what a command has made, or the shell has opened it for us."""
    if path.parts[:2] == ("/", "dev") or not path.is_file() or not (size := path.stat().st_size):
        return True
    if file.metavar.endswith(_PARQUET):
        from features.history.datafile import is_ours  # slow to import

        return is_ours(path)
    try:
        content = json.loads(path.read_bytes()) if size <= _MOST_BYTES else None
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and MADE_BY.items() <= content.items()

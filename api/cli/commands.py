"""Every command by name: where it is, and what `tidemark --help` says of it. A command's module is imported only when that command runs
or is asked for help, and holds its options alone: the work is in the ``run_…`` beside it, which may be slow to import."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from api.cli.outputs import checked
from features.errors import UserError

COMMANDS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "Services": {
        "up": ("api.cli.services.up:up", "start the services; settle features and currency"),
        "status": ("api.cli.services.control:status", "say where the services are"),
        "logs": ("api.cli.services.control:logs", "show the ends of their logs"),
        "reset": ("api.cli.services.reset:reset", "remove what the stream has computed, and begin anew"),
        "down": ("api.cli.services.control:down", "end the services; their data stays"),
        "doctor": ("api.cli.services.control:doctor", "say what is missing or broken, and what to do"),
        "demo": ("api.cli.services.demo:demo", "see everything at work on simulated transactions"),
    },
    "Data": {
        "simulate": ("api.cli.data.simulate:simulate", "make up transactions with known frauds"),
        "replay": ("api.cli.data.replay:replay", "send a file's transactions and labels"),
    },
    "Stream": {
        "worker": ("api.cli.stream.worker:worker", "score transactions as they come in"),
        "serve": ("api.cli.stream.serve:serve", "score single transactions over HTTP"),
        "dead-letters": ("api.cli.stream.dead_letters:dead_letters", "say what was refused and why, and send it again"),
        "rebuild-online": ("api.cli.stream.state:rebuild_online", "write the online store again"),
        "rebuild-state": ("api.cli.stream.state:rebuild_state", "build the states of another feature set"),
        "transactions": ("api.cli.stream.transactions:transactions", "say what open transactions hold back, or abort one"),
        "offsets": ("api.cli.stream.offsets:offsets", "say where the stages stand in their logs, or restore it"),
    },
    "Models": {
        "train": ("api.cli.models.training:train", "train a model and register it"),
        "retrain": ("api.cli.models.training:retrain", "train a candidate, for an alert or by schedule"),
        "backtest": ("api.cli.models.backtest:backtest", "score a file as the stream would have"),
        "promote": ("api.cli.models.promotion:promote", "let a version serve, if it passes the gate"),
        "monitor": ("api.cli.models.monitor:monitor", "say whether what serves is still good"),
        "alerts": ("api.cli.models.alerts:alerts", "say what has drifted, and take note of it"),
    },
    "Offline store": {
        "archive": ("api.cli.offline.archive:archive", "keep the topics as Parquet by day"),
        "backfill": ("api.cli.offline.backfill:backfill", "compute a feature set over the archive"),
        "features": ("api.cli.offline.export:features", "write the features of the past to files"),
        "outcomes": ("api.cli.offline.outcomes:outcomes", "keep what has become of each decision"),
        "training-set": ("api.cli.offline.training_set:training_set", "make the rows to learn from, ahead of training"),
        "score-users": ("api.cli.offline.score_users:score_users", "say how risky every user is"),
    },
    "Proof": {
        "audit": ("api.cli.proof.audit:audit", "make decisions again from the raw logs, bit for bit"),
        "explain": ("api.cli.proof.explain:explain", "take one decision apart"),
    },
}
"""Section → command → (module:function, or module:group; its line of help)."""


EXAMPLES: Mapping[str, str] = {
    "up": "tidemark up --currency EUR --features fraud_v1",
    "status": "tidemark status --json",
    "logs": "tidemark logs worker --follow",
    "reset": "tidemark reset --keep-models",
    "doctor": "tidemark doctor",
    "demo": "tidemark demo --exit --transactions 20000 --json out.json",
    "simulate": "tidemark simulate --days 90 --out history.parquet",
    "replay": "tidemark replay history.parquet --columns tidemark --from 2025-02-20 --rate realtime×60",
    "worker": "tidemark worker --metrics 127.0.0.1:9100",
    "serve": "tidemark serve --port 8000 --when-store-fails degrade",
    "dead-letters": "tidemark dead-letters --show wrong_partition",
    "rebuild-online": "tidemark rebuild-online",
    "rebuild-state": "tidemark rebuild-state --features fraud_v2",
    "train": "tidemark train --data history.parquet --from 2025-02-01 --to 2025-02-20",
    "retrain": 'tidemark retrain --reason "drift of amount" --json report.json',
    "monitor": "tidemark monitor --as-of 2025-03-10 --json monitor.json",
    "alerts": "tidemark alerts list",
    "backtest": "tidemark backtest history.parquet --columns tidemark --from 2025-02-20 --scores scores.parquet",
    "promote": "tidemark promote 3",
    "archive": "tidemark archive --once",
    "backfill": "tidemark backfill --features fraud_v2 --from 2025-02-20 --to 2025-03-02",
    "outcomes": "tidemark outcomes --json outcomes.json",
    "training-set": "tidemark training-set rows/ --keep-every 5",
    "score-users": "tidemark score-users --as-of 2025-03-01 --topic",
    "audit": "tidemark audit --all",
    "explain": "tidemark explain a1 --user 123",
}
"""Command → how it is typed."""

_RETIRED = {
    "backfill-state": "use `tidemark rebuild-state`",
    "bench": 'use make bench ARGS="NAME …" in a checkout',
}
_SETTLED = {
    "--features": "the feature set is settled by `tidemark up --features`, or TIDEMARK_FEATURES",
    "--currency": "the currency is settled by `tidemark up --currency`",
    "--delivery": "every transaction is decided exactly once",
}
"""What is no command, or no option of most commands, since 0.2.0, and what to use."""

_TARGETS = {name: target for section in COMMANDS.values() for name, (target, _) in section.items()}


class LazyGroup(TyperGroup):
    """The group of all commands."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**{**given, "commands": _Loading()})

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names in the table's order."""
        return list(_TARGETS)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """A section a group of commands, a line a command."""
        widest = max(map(len, _TARGETS))
        for title, commands in COMMANDS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(widest), line) for name, (_, line) in commands.items()])

    def resolve_command(self, ctx: Any, args: Sequence[str]) -> Any:
        """As Typer does. Raises UserError for a command that there isn't."""
        if args[0] in _RETIRED:
            raise UserError(f"there is no command {args[0]!r} any more; {_RETIRED[args[0]]}")
        if args[0] not in _TARGETS and not args[0].startswith("-"):
            near = " or ".join(f"`tidemark {name}`" for name in get_close_matches(args[0], _TARGETS, 2))
            meant = f"did you mean {near}? " if near else ""
            raise UserError(f"there is no command {args[0]!r}; {meant}`tidemark --help` lists them all")
        name, command, rest = super().resolve_command(ctx, list(args))
        taken = {option for parameter in command.params for option in parameter.opts} if command is not None else set()
        for option in (argument.partition("=")[0] for argument in rest):
            if option in _SETTLED and option not in taken and not hasattr(command, "commands"):
                raise UserError(f"tidemark {name} has no option {option}; {_SETTLED[option]}")
        return name, command, rest


def app_of(name: str) -> typer.Typer:
    """A Typer app of one command alone. Raises KeyError if there is no such command."""
    module, _, attribute = _TARGETS[name].partition(":")
    found = getattr(import_module(module), attribute)
    if isinstance(found, typer.Typer):
        return found
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(name, epilog=f"Example: {EXAMPLES[name]}" if name in EXAMPLES else None)(checked(found))
    return app


class _Loading(Mapping[str, Any]):
    """Name → Typer's command, which is made when it is asked for."""

    def __getitem__(self, name: str) -> Any:
        command = get_command(app_of(name))
        command.name = name
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(_TARGETS)

    def __len__(self) -> int:
        return len(_TARGETS)

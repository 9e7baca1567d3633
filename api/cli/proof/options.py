"""The options of ``audit`` and ``explain``, as they are given."""

from dataclasses import dataclass
from typing import Annotated

import typer

from api.cli.options import SummaryOption

DEFAULT_SAMPLE = 10_000

AuditedOption = Annotated[
    str | None,
    typer.Option(
        "--features", metavar="NAME", help="The feature set whose decisions are audited; else the deployment's.", show_default=False
    ),
]


@dataclass(frozen=True)
class AuditOptions:
    """Of ``audit``."""

    sample: Annotated[int, typer.Option(min=1, metavar="N", help="About how many decisions are compared.")] = DEFAULT_SAMPLE
    everything: Annotated[bool, typer.Option("--all", help="Compare every decision, and all keys of the online store up to 40,000.")] = (
        False
    )
    accept: Annotated[
        str | None,
        typer.Option(
            metavar="REASON",
            help="With --all: what differs is explained, on record, and the next audit goes on behind it.",
            show_default=False,
        ),
    ] = None
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Look at the whole logs, though an earlier audit with --all could be gone on from.")
    ] = False
    oracle_share: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            min=0.0,
            max=1.0,
            help="The share of users and merchants that the slow oracle computes too, in the whole logs; 0.01 if these are looked at.",
            show_default=False,
        ),
    ] = None
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what is decided from now on, until Ctrl-C.")] = False
    event_time: Annotated[
        bool,
        typer.Option(
            "--event-time", help="Also say how far vectors are from those of all events in the order of event time, in the whole logs."
        ),
    ] = False
    summary: SummaryOption = None
    metrics_port: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=65535, help="Answer Prometheus on this port of 127.0.0.1.")
    ] = None
    store_patience: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="Seconds that the online store may be behind before that counts as a mismatch.")
    ] = 10.0
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Don't record the verdict in the registry, where it bars promotions, nor save where to go on.")
    ] = False
    features: AuditedOption = None

"""``tidemark rebuild-online`` and ``tidemark rebuild-state``: states written again, to the online store or for other features."""

from typing import Annotated

import typer


def rebuild_online(
    timeout: Annotated[float, typer.Option(metavar="SECONDS", min=1, help="Seconds to wait until all is written.")] = 300.0,
) -> None:
    """Have the running workers write every key to the online store again, for example after somebody has changed it by hand.

    Reads go on meanwhile. Workers notice by themselves when Redis was restarted, wiped or restored; then this is not needed.
    """
    from api.cli.stream.run_rebuilds import run_online

    run_online(timeout)


def rebuild_state(
    features: Annotated[str, typer.Option(metavar="NAME", help="The feature set that workers are to compute from now on.")],
) -> None:
    """Build the states of another feature set from the logs, beside the present ones, and make it the deployment's.

    No worker may run meanwhile. Workers and API compute the new set from their next start on, and decide once a model that was trained
    on it (tidemark train --features) is champion. The same command with the former set leads back.
    """
    from api.cli.stream.run_rebuilds import run_state

    run_state(features)

"""``tidemark reset``: begins anew."""

from typing import Annotated

import typer


def reset(
    keep_models: Annotated[bool, typer.Option("--keep-models", help="Say that models stay: the registry is left as it is.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Remove all of Tidemark's topics with what is on them, and all that was computed from them, and make empty ones.

    For where logs or states are lost for good, as refusals then say. Stop workers, API, producers and `tidemark archive` first; what isn't
    archived is lost. Models, feature set, currency and the number of partitions stay; other settings of the topics are Tidemark's own
    again. The archive and the key are moved aside, for they belong to the former topics. Broken off, the same command goes on.
    """
    from api.cli.services.run_reset import run

    run(keep_models, yes)

"""``tidemark audit``: decisions computed again from the raw logs."""

from api.cli.option_sets import with_option_sets
from api.cli.proof.options import AuditOptions


@with_option_sets
def audit(options: AuditOptions) -> None:
    """Compute the vectors and scores of decisions again from the raw logs, compare them bit for bit, and name the cause of what differs.

    Checks what the online store serves too. What an audit with --all found right is saved in the home, and the next goes on from there.
    Fails with 1 if anything differs, with 2 if it can't audit.
    """
    from api.cli.proof.run_audit import run

    run(options)

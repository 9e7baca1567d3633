"""Which code made a vector: a digest that every row of the scoring log carries, so that an auditor knows when other code did."""

from functools import cache

from features.source_closure import Read, closure, digest, read_own

# Both stages' pure steps, and how the API finishes a vector from what the online store holds.
_STEPS = ("streams.ingest", "streams.score", "features.online.on_demand")

# What a model makes of a vector comes after it and has a version of its own, so ``models`` isn't among them.
_PACKAGES = ("features", "streams")


def sources(read: Read = read_own) -> dict[str, bytes]:
    """Our sources, by path, that stand between a record of ``transactions`` and its vector in the scoring log: these steps and all of
    ``features`` and ``streams`` that they import. SCORE goes on to decisions, so the few messages in which it reports them are among
    these; with a change in one of them code counts as other code, though it makes the same vectors."""
    return closure(_STEPS, _PACKAGES, read)


@cache
def code_digest() -> str:
    """Hex SHA-256 of these sources as this program runs them."""
    return digest(sources())

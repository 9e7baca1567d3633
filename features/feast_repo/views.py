"""All that this repository defines. Generated from Tidemark's feature definitions: change those, then run `tidemark up`."""

from features.online.feast_views import objects

# Feast collects what it finds under a module's names.
globals().update({f"{type(found).__name__.lower()}_{found.name}": found for found in objects()})

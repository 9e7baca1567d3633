"""ARCHIVE: Spark keeps what was on the topics as tables of the offline store, each record once."""

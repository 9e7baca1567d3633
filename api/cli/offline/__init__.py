"""The commands for the offline store: what is archived, and computed from it."""

"""The commands for the offline store and batch jobs."""

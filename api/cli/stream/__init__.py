"""The commands for workers, the API and what they keep."""

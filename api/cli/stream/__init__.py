"""The commands for workers, state and replays."""

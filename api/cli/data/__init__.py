"""The commands that bring transactions in: made up, or from a file."""

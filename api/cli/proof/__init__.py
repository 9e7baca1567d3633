"""The commands that make decisions again and compare."""

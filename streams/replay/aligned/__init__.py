"""Aligned replays: over any number of partitions at full speed, and yet in the order of event time."""

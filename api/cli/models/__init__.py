"""The commands for training, comparing and promoting models."""

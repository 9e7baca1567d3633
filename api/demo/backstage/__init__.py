"""What the demo runs on, and how that is started and stopped."""

"""What the demo sends, and what comes back."""

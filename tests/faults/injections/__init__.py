"""What the campaign does to a deployment under load, by whom it comes from."""

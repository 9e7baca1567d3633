"""The commands for services, and the demo of everything."""

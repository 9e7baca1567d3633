"""Faults injected into real services and workers, and an oracle that tells whether anything was lost, repeated or wrong."""

"""The auditor: recomputes decisions from the raw logs, bit for bit, and says why one differs."""

"""What the commands that train and promote have in common: data in, provenance, summaries."""

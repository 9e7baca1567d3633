"""What learns: one learner a file."""

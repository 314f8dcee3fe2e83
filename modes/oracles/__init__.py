"""The parts of mode=oracle: a run's loss in its parts, and the table."""

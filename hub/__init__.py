"""Published checkpoints in: their formats and conventions, and the same networks in this suite."""

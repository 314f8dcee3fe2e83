"""The checks of a command before anything heavy is imported; only the standard library."""

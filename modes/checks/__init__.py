"""What a command is refused for before anything heavy is imported; only the standard library."""

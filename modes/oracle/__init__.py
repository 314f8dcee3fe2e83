"""mode=oracle."""

"""mode=train."""

"""mode=audit."""

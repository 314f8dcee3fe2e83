"""mode=benchmark."""

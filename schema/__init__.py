"""Typed settings: fields with meanings and limits, and their check; only the standard library."""

"""Loops that produce tokens."""

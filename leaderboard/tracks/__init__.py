"""Tracks: what their rules refuse, which records are entries, and how soon these reach a target."""

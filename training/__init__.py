"""Optimisation, averaged weights, checkpoints and progress of a run."""

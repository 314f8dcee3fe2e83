"""Gaussians and their argmax: the noise level that a Gaussian path gives to a token, its cached
tables, and draws of such paths."""

"""Generative perplexity: the samples under a scoring model."""

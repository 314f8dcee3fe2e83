"""Statistics of samples beside generative perplexity."""

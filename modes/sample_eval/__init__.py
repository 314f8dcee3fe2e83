"""mode=sample_eval."""

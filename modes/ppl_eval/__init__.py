"""mode=ppl_eval."""

"""Networks from tokens, or soft tokens, to hidden states."""

"""Numbers and their evidence: likelihood, sample quality, records and the leaderboard."""

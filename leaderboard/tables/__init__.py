"""The tables of the leaderboard, from records."""

"""From records to a leaderboard: tables with evidence, published results, a page."""

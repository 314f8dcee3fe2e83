"""The Markov language and perfect networks for it."""

"""The parts of mode=benchmark: its rows, their stages, and who runs them."""

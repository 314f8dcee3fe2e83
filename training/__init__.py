"""What a run needs besides the algorithm: optimisation, averaged weights, checkpoints, a progress
bar."""

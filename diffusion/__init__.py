"""Tensor mathematics that the algorithms share: schedules, processes, bounds, the head, draws and
times."""

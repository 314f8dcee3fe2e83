"""The progress bar of a training."""

from training.progress import RunProgress


def test_progress_a_validation_between_two_steps_slows_no_step_that_follows() -> None:
    progress = RunProgress("run", tokens_per_step=10)
    progress._open(100, 0, "step")
    bar = progress._bar
    assert bar is not None
    now = bar.start_t
    bar._time = lambda: now
    for seconds in [0.125] * 49 + [10.125]:  # a step of 0.125 s behind 10 s of validation
        now += seconds
        bar.update()
    assert "[00:16<00:16" in str(bar)
    bar.close()

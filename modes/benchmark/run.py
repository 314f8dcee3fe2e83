"""mode=benchmark: every algorithm with the same data, network and budget, then the tables."""

import sys
from contextlib import closing

from modes.benchmark.runs import rows
from modes.benchmark.slurm import hand_over
from modes.checks.folders import check_writable
from modes.settings import Compose, Settings


def run(settings: Settings, overrides: list[str], compose: Compose) -> None:
    """Trains, evaluates and samples what is not done yet; with benchmark.row one row alone, with
    benchmark.jobs by other machines."""
    every, benchmark = rows(settings, overrides, compose), settings.benchmark
    if benchmark.jobs is not None:
        hand_over(benchmark.jobs, every, overrides)
        return
    # Here, since it takes seconds to import what follows, and a refusal should not.
    from modes.benchmark.local import GOES_ON, end_with_parent, run_all
    from modes.benchmark.progress import Overview
    from modes.benchmark.stages import WAITING, Stages
    from training.signals import StopSignals

    check_writable(settings.results, "results_dir")
    stages = Stages(compose)
    if benchmark.row is not None:
        end_with_parent()
    with StopSignals(f"finished stages {GOES_ON}") as signals:
        for row in every:  # all before the first, which may take hours
            check_writable(row.folder, "checkpointing.save_dir")
            stages.check(row)
        if benchmark.row is not None:
            stages.run(every[0])
            return
        left = [(row, [stage.mode for stage in stages.left(row)]) for row in every]
        unfinished = [(row, kinds) for row, kinds in left if kinds]
        unfinished.sort(key=lambda pair: pair[0].waits)  # the scorer of the others first
        for row in (row for row, kinds in left if not kinds):
            print(f"{row.name}: finished before", file=sys.stderr)
        with closing(Overview(len(unfinished), sys.stderr.isatty())) as overview:
            failures = run_all(unfinished, overrides, overview, signals)
    if len(failures) < len(every):
        from modes import leaderboard

        with StopSignals(f"all records {GOES_ON}"):
            leaderboard.run(settings, overrides, compose)
    if failures:
        print("\n".join(failures), file=sys.stderr)
        for row in every:
            if row.scorer is not None and row.waits and not stages.is_scored(row):
                reason = WAITING.format(row.scorer.name)
                print(f"not done: {row.name}, sample_eval: {reason}", file=sys.stderr)
        sys.exit(1)

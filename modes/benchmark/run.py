"""mode=benchmark: every algorithm with the same data, network and budget, then the tables."""

import sys
from collections.abc import Callable
from typing import Any

from modes.benchmark.runs import options, rows
from modes.benchmark.slurm import hand_over
from modes.checks.folders import check_writable


def run(settings: dict[str, Any], overrides: list[str], compose: Callable[..., Any]) -> None:
    """Trains, evaluates and samples what is not done yet; with benchmark.row one row alone, with
    benchmark.jobs by other machines."""
    every, chosen = rows(settings, overrides, compose), options(settings)
    if chosen.jobs is not None:
        hand_over(chosen.jobs, every, overrides)
        return
    # Here, since it takes seconds to import what follows, and a refusal should not.
    from modes.benchmark.local import GOES_ON, end_with_parent, run_all
    from modes.benchmark.progress import Overview
    from modes.benchmark.stages import WAITING, Work
    from training.signals import StopSignals

    check_writable(settings["results_dir"], "results_dir")
    work = Work(compose)
    if chosen.row is not None:
        end_with_parent()
    with StopSignals(f"finished stages {GOES_ON}") as signals:
        for row in every:  # all before the first, which may take hours
            check_writable(row.folder, "checkpointing.save_dir")
            work.check(row)
        if chosen.row is not None:
            work.run(every[0])
            return
        left = [(row, [stage.kind for stage in work.left(row)]) for row in every]
        unfinished = [(row, stages) for row, stages in left if stages]
        unfinished.sort(key=lambda one: one[0].waits)  # the judge of the others first
        for row in (row for row, stages in left if not stages):
            print(f"{row.name}: finished before", file=sys.stderr)
        overview = Overview(len(unfinished), sys.stderr.isatty())
        try:
            failures = run_all(unfinished, overrides, overview, signals)
        finally:
            overview.close()
    if len(failures) < len(every):
        from modes import leaderboard

        leaderboard.run(settings, overrides, compose)
    if failures:
        print("\n".join(map(str, failures)), file=sys.stderr)
        for row in every:
            if row.judge is not None and row.waits and not work.is_judged(row):
                reason = WAITING.format(row.judge.name)
                print(f"not done: {row.name}, sample_eval: {reason}", file=sys.stderr)
        sys.exit(1)

"""mode=benchmark: every algorithm with the same data, network and budget, then the tables."""

import sys
from collections.abc import Callable
from typing import Any

from modes import benchmark_jobs, benchmark_rows


def run(settings: dict[str, Any], overrides: list[str], compose: Callable[..., Any]) -> None:
    """Trains, evaluates and samples what is not done yet; with benchmark.row one row alone, with
    benchmark.jobs by other machines."""
    rows = benchmark_rows.rows(settings, overrides, compose)
    chosen = benchmark_rows.options(settings)
    if chosen.jobs is not None:
        benchmark_jobs.hand_over(chosen.jobs, rows, overrides)
        return
    # Here, since it takes seconds to import what follows, and a refusal should not.
    from modes import benchmark_local, benchmark_progress, benchmark_stages

    work = benchmark_stages.Work(compose)
    if chosen.row is not None:
        benchmark_local.end_with_parent()
    for row in rows:  # all before the first, which may take hours
        work.check(row)
    if chosen.row is not None:
        work.run(rows[0])
        return
    left = [(row, [stage.kind for stage in work.left(row)]) for row in rows]
    unfinished = [(row, stages) for row, stages in left if stages]
    unfinished.sort(key=lambda one: one[0].waits)  # the judge of the others first
    for row in (row for row, stages in left if not stages):
        print(f"{row.name}: finished before", file=sys.stderr)
    overview = benchmark_progress.Overview(len(unfinished), sys.stderr.isatty())
    failures = benchmark_local.run_all(unfinished, overrides, overview)
    overview.close()
    if len(failures) < len(rows):
        from modes import leaderboard

        leaderboard.run(settings, overrides, compose)
    if failures:
        print("\n".join(map(str, failures)), file=sys.stderr)
        for row in rows:
            if row.judge is not None and row.waits and not work.is_judged(row):
                reason = benchmark_stages.WAITING.format(row.judge.name)
                print(f"not done: {row.name}, sample_eval: {reason}", file=sys.stderr)
        sys.exit(1)

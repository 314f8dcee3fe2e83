"""The rows of a benchmark: every algorithm with every seed, and the checks of their settings before
the first one begins. Nothing heavy is imported here."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from algos.facts import canonical, facts_of
from leaderboard.tracks.rules import UNITS, Budget, budget_of
from modes.checks.combinations import check
from modes.checks.keys import key_of, keys_of
from modes.settings import Benchmark, Compose, Settings

MARK = "benchmark stage: "  # begins the line in which a row announces its stage
OF_ROW = ("mode", "algo", "seed", "benchmark")  # the keys that a row sets itself
MOST_POINTS = 10  # of a learning curve, unless the user says how often to validate
CURVE_BATCHES = 2  # of each of them
LENGTHS = ("trainer.max_steps", "experiment")  # the keys that set the length, but for a budget
VALIDATIONS = ("trainer.val_check_interval", "trainer.limit_val_batches", "experiment")


class Row(NamedTuple):
    """One run, the overrides that make it, and what they compose to."""

    number: int
    name: str
    overrides: list[str]
    settings: Settings
    scorer: "Row | None" = None  # the row whose network scores the samples of this one

    @property
    def folder(self) -> str:
        return self.settings.checkpointing.save_dir

    @property
    def waits(self) -> bool:
        """Whether its samples need the training of another row."""
        return self.scorer is not None and self.scorer.number != self.number


def checked_benchmark(settings: Settings) -> Benchmark:
    """ValueError naming the key, the value and what is allowed."""
    asked = settings.benchmark
    listed: dict[str, list[Any]] = {"algos": asked.algos, "seeds": asked.seeds or []}
    for key, value in listed.items():
        if len(set(value)) < len(value):
            raise ValueError(f"benchmark.{key}={value}: a list is needed, nothing in it twice")
    if asked.row is not None and asked.jobs is not None:
        raise ValueError(f"benchmark.row={asked.row}: a number, and no benchmark.jobs beside it")
    budget(asked.budget)
    return asked


def budget(text: str | None) -> Budget | None:
    """ "2M tokens", "1.5k seconds", "2e15 FLOPs"; None where trainer.max_steps says it."""
    if text is None:
        return None
    parsed = budget_of(text)
    if parsed is None:
        raise ValueError(
            f"benchmark.budget={text}: a positive number, also with k, M or B behind it, and one "
            f'of {", ".join(UNITS)} is needed, such as "2M tokens"'
        )
    return parsed


def rows(settings: Settings, overrides: Sequence[str], compose: Compose) -> list[Row]:
    """Every row, or the one that benchmark.row names, checked as a command of its own would be."""
    benchmark = checked_benchmark(settings)
    seeds = benchmark.seeds or [settings.seed]
    pairs = [(algo, seed) for algo in benchmark.algos for seed in seeds]
    if benchmark.row is not None and benchmark.row >= len(pairs):
        raise ValueError(f"benchmark.row={benchmark.row}: from 0 to {len(pairs) - 1}")
    shared = [
        text
        for text in overrides
        if key_of(text).split(".")[0] not in OF_ROW or key_of(text).startswith("algo.")
    ]
    keys = keys_of(overrides)
    # The default budget gives way to another key for the length.
    limited = "benchmark.budget" in keys or not keys & set(LENGTHS)
    limit = budget(benchmark.budget) if limited else None

    def make(number: int) -> Row:
        return _row(number, *pairs[number], shared, limit, compose)

    numbers = range(len(pairs)) if benchmark.row is None else [benchmark.row]
    every = [make(number) for number in numbers]
    number = _scorer_number(benchmark, settings, pairs)
    if number is not None:
        scorer = next((row for row in every if row.number == number), None) or make(number)
        every = [_scored(row, scorer) for row in every]
    _check_folders(every)
    return every


def _scorer_number(
    benchmark: Benchmark, settings: Settings, pairs: Sequence[tuple[str, int]]
) -> int | None:
    """The number of the row whose network scores the samples of all: the first one of algo=ar,
    unless the user names a scoring model, or wants none."""
    if not benchmark.scorer or settings.eval.gen_ppl_eval_model_name_or_path is not None:
        return None
    return next(
        (number for number, (algo, _) in enumerate(pairs) if facts_of(canonical(algo)).causal), None
    )


def _scored(row: Row, scorer: Row) -> Row:
    evaluation = replace(row.settings.eval, gen_ppl_eval_model_name_or_path=scorer.folder)
    return row._replace(settings=replace(row.settings, eval=evaluation), scorer=scorer)


def _row(
    number: int, algo: str, seed: int, shared: list[str], limit: Budget | None, compose: Compose
) -> Row:
    overrides = [*shared, f"algo={algo}", f"seed={seed}"]
    settings, changed = compose(overrides), keys_of(overrides)
    added = _within_budget(limit, settings, changed)
    steps = added.get("trainer.max_steps", settings.trainer.max_steps)
    if settings.track.name is None:
        added |= {} if changed & set(VALIDATIONS) else _validations(steps)
    elif "trainer.max_steps" in added and "trainer.val_check_interval" not in changed:
        # Of a budget of seconds nobody knows the steps, and the file says how often.
        added["trainer.val_check_interval"] = max(1, steps // settings.track.points)
    if added:
        overrides += [f"{key}={value}" for key, value in added.items()]
        settings = compose(overrides)
    check(settings, changed - {"protocol"})  # which is the evaluation's, and held to that there
    return Row(number, f"{algo}, seed {seed}", overrides, settings)


def _within_budget(limit: Budget | None, settings: Settings, changed: set[str]) -> dict[str, Any]:
    """The keys that hold a run to the budget."""
    if limit is None:
        return {}
    where = f"benchmark.budget={limit.amount:g} {limit.unit}"
    if limit.unit == "seconds":
        return {"training.max_seconds": limit.amount}
    if "trainer.max_steps" in changed:
        raise ValueError(f"{where}: and trainer.max_steps; give one of them")
    tokens = settings.loader.global_batch_size * settings.model.length
    per_step = {"steps": 1.0, "tokens": tokens, "FLOPs": 0.0}[limit.unit]
    if limit.unit == "FLOPs":
        from modes.estimate import flops_per_token, vocabulary  # it loads torch

        per_step = tokens * flops_per_token(settings, vocabulary(settings.data))
    steps = int(limit.amount // per_step)
    if steps < 1:
        of = f"{per_step:.3g} FLOPs" if limit.unit == "FLOPs" else f"{tokens:,} tokens"
        raise ValueError(f"{where}: not one step of {of}")
    return {"trainer.max_steps": steps}


def _validations(steps: int) -> dict[str, Any]:
    """The keys of the validations for a learning curve, the last at the end where that divides."""
    count = next((n for n in range(MOST_POINTS, 4, -1) if steps % n == 0), MOST_POINTS)
    return {
        "trainer.val_check_interval": max(1, steps // count),
        "trainer.limit_val_batches": CURVE_BATCHES,
    }


def _check_folders(every: Sequence[Row]) -> None:
    """ValueError for two rows in one folder."""
    folders: dict[str, Row] = {}
    for row in every:
        other = folders.setdefault(row.folder, row)
        if other is not row:
            raise ValueError(
                f"checkpointing.save_dir={row.folder}: {other.name} and {row.name} would share "
                f"it; put ${{algo.name}} and ${{seed}} into it"
            )

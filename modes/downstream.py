"""mode=downstream: a trained run on tasks of EleutherAI's lm-eval, one record a task."""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import lightning as L
from rich import box
from rich.console import Console
from rich.table import Table

from algos.base import Algorithm
from algos.facts import facts_of
from evaluation import record_schema
from evaluation.downstream.generation import Writer, sampling_keys
from evaluation.downstream.loglikelihood import Scorer
from evaluation.downstream.metrics import Metric, digest, metrics_of, number, write_answers
from evaluation.downstream.paired import Precision, precision
from evaluation.downstream.tasks import VERSION, check_tasks, load_tasks
from evaluation.records import write_record
from evaluation.rounding import with_error
from modes import build, trained_run
from modes.checks.folders import check_writable
from modes.checks.samplers import check_sampling
from modes.sample_eval.requests import beginning
from modes.trained_run import TrainedRun
from samplers.build import SamplerConfig, sampler_config

if TYPE_CHECKING:
    from evaluation.downstream.lm_eval_adapter import Adapter

LEGEND = (
    "± one standard error: of a value over questions; of log-likelihoods and of the lead of the "
    "likeliest answer over passes, in nats. Undecided: leads within two of their errors."
)


class Result(NamedTuple):
    """Of one task: the main metric comes first; `known` of its log-likelihoods, None where there
    are none."""

    task: Any
    metrics: list[Metric]
    samples: list[dict[str, Any]]
    known: Precision | None

    @property
    def name(self) -> str:
        return self.task.config.task

    @property
    def writes(self) -> bool:
        return self.task.OUTPUT_TYPE == "generate_until"


def run(settings: build.Settings, overrides: list[str], compose: Callable[..., Any]) -> None:
    started, options = time.monotonic(), settings["eval"]
    check_writable(settings["results_dir"], "results_dir")
    check_tasks(options)
    logging.getLogger("lm_eval").setLevel(logging.ERROR)  # it warns of what its own tasks say
    trusted = options["trust_tasks"]
    tasks = load_tasks(options["tasks"], options["tasks_path"], options["num_fewshot"], trusted)
    check_score(options["downstream_score"], tasks)
    run = trained_run.open_run(settings, overrides)
    trained_run.check_output(run)
    trainer = build.trainer(run.settings, [], fitting=False)
    adapter = open_model(run, trainer)
    results = evaluate(adapter, tasks, options["limit"], trainer)
    algorithm = adapter.scorer.algorithm
    Console().print(table(results, algorithm))
    for one in results:
        answers = written(trained_run.output_directory(run), one, adapter)
        fields = trained_run.provenance(run, algorithm, started, algorithm.device)
        fields |= fields_of(one, algorithm) | {
            "seed": settings["seed"],
            "protocol": protocol(run, one, adapter, trainer),
            "sampler": drawn_how(adapter, one),
        }
        fields["metrics"] |= {"answers": str(answers), "truncated": adapter.truncated()}
        print(f"answers: {answers}\nrecord: {write_record(settings['results_dir'], fields)}")


def written(folder: Path, result: Result, adapter: "Adapter") -> Path:
    """The file of a task's answers; OSError that names the key where it cannot be written."""
    measured = adapter.measured.get(result.name, {})
    try:
        return write_answers(folder / "downstream", result.name, result.samples, measured)
    except OSError as error:
        raise OSError(
            f"eval.output_dir={folder}: cannot write the answers: {error.strerror}"
        ) from error


def check_score(score: str, tasks: dict[str, Any]) -> None:
    """ValueError for a score that ranks choices, of a task that has none."""
    for name, task in tasks.items():
        if score == "full" and task.OUTPUT_TYPE != "multiple_choice":
            raise ValueError(
                f"eval.downstream_score=full: it ranks choices, but the task {name} is of the kind "
                f"{task.OUTPUT_TYPE}"
            )


def open_model(run: TrainedRun, trainer: L.Trainer) -> "Adapter":
    """The run as lm-eval takes a model, on the trainer's device."""
    from evaluation.downstream.lm_eval_adapter import Adapter  # it imports lm-eval

    settings, options = run.settings, run.settings["eval"]
    size, seed = settings["loader"]["eval_batch_size"], settings["seed"]
    tokenizer = trained_run.open_tokenizer(run)
    begin, length = beginning(settings, tokenizer), settings["model"]["length"]
    default = facts_of(settings["algo"]["name"]).samplers[0]

    def draws(keys: dict[str, Any]) -> SamplerConfig:
        chosen = settings["sampling"] | keys
        check_sampling(settings["algo"], chosen)
        return sampler_config(chosen, default, length, len(begin))

    algorithm = trained_run.restore(run, tokenizer.vocab_size).to(trainer.strategy.root_device)
    score = options["downstream_score"]
    scorer = Scorer(algorithm, length, tokenizer.eos, options["passes"], size, score)
    writer = Writer(algorithm, tokenizer, begin, draws, size, seed)
    return Adapter(scorer, writer, tokenizer, begin)


def evaluate(
    adapter: "Adapter", tasks: dict[str, Any], limit: int | None, trainer: L.Trainer
) -> list[Result]:
    """What lm-eval makes of the model's answers; its bootstrap is left out, `metrics_of` has errors
    in closed form."""
    from lm_eval.evaluator import evaluate as harness

    from evaluation.downstream.trust import rendering

    with trainer.precision_plugin.forward_context(), rendering("eval.tasks"):
        found: Any = harness(lm=adapter, task_dict={"tasks": tasks}, limit=limit, bootstrap_iters=0)
    results = []
    for name, task in tasks.items():
        samples, measured = found["samples"][name], adapter.measured.get(name)
        known = precision(measured.values()) if measured else None
        metrics = metrics_of(task, found["results"][name], samples)
        results.append(Result(task, metrics, samples, known))
    return results


def fields_of(result: Result, algorithm: Algorithm) -> dict[str, Any]:
    """What a record says of the numbers."""
    main, known = result.metrics[0], result.known
    return {
        "metric": main.name,
        "value": main.value,
        "stderr": main.stderr,
        "count": len({sample["doc_id"] for sample in result.samples}),
        "kind": kind_of(result, algorithm),
        "data": {"name": result.name, "digest": digest(result.samples)},
        "metrics": {
            "task_metrics": {one.name: [one.value, one.stderr] for one in result.metrics},
            "log_likelihoods": None if known is None else asdict(known),
        },
    }


def kind_of(result: Result, algorithm: Algorithm) -> str:
    """Bounds of log-likelihoods make a perplexity an upper bound, and an accuracy an estimate."""
    if result.writes:
        return "estimate"
    if not algorithm.nll_is_bound:
        return "exact"
    return "upper bound" if result.metrics[0].is_perplexity else "estimate"


def content_of(task: Any) -> Any:
    """The configuration of a task as plain data, without the place that its file lies in."""
    config = task.dump_config()
    facts = config.get("metadata")
    if isinstance(facts, dict):
        config |= {"metadata": {k: v for k, v in facts.items() if k != "config_source"}}
    return json.loads(json.dumps(config, default=str))


def protocol(
    run: TrainedRun, result: Result, adapter: "Adapter", trainer: L.Trainer
) -> dict[str, Any]:
    """Everything that changes the number, beyond the run and the questions."""
    options, task = run.settings["eval"], result.task
    said = {
        "harness": f"lm-eval {VERSION}",
        "task": result.name,
        "version": task.VERSION,
        "task_digest": record_schema.digest(content_of(task)),
        "num_fewshot": task.get_config("num_fewshot"),
        "limit": options["limit"],
        "length": run.settings["model"]["length"],
        "tokenizer": adapter.tokenizer.digest,
        "framing": run.settings["data"]["framing"],
        "weights": "averaged" if trained_run.averaged(run) else "raw",
        "precision": str(trainer.precision),
    }
    if result.writes:
        return said | {"sampler": drawn_how(adapter, result)}
    return said | adapter.scorer.protocol()


def drawn_how(adapter: "Adapter", result: Result) -> dict[str, Any] | None:
    """The sampler of a task's texts, with the keys that the task sets; None where it has none."""
    if not result.writes:
        return None
    wanted = result.task.get_config("generation_kwargs")
    return adapter.writer.draws(sampling_keys(wanted)).protocol()


def table(results: list[Result], algorithm: Algorithm) -> Table:
    """Metrics by task, and what the passes leave unknown."""
    made = Table(
        box=box.SIMPLE, caption=LEGEND if algorithm.nll_is_bound else None, padding=(0, 1, 0, 0)
    )
    made.add_column("task", overflow="fold")
    made.add_column("metric")
    for header in ("value", "log p ±", "lead ±", "unpaired ±", "undecided"):
        made.add_column(header, justify="right", no_wrap=True)
    for one in results:
        known = [""] * 4
        if one.known is not None and algorithm.nll_is_bound:
            known = [number(value) for value in asdict(one.known).values()]
        for place, metric in enumerate(one.metrics):
            bound = algorithm.nll_is_bound and metric.is_perplexity
            value = with_error(metric.value, metric.stderr, 4, "<= " if bound else "")
            made.add_row(
                "" if place else one.name, metric.name, value, *(known if not place else [])
            )
    return made

"""mode=downstream: a trained run on tasks of EleutherAI's lm-eval, one record a task."""

import json
import logging
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import lightning as L

from algos.base import Algorithm
from evaluation import record_schema
from evaluation.downstream.generation import Generator, sampling_keys
from evaluation.downstream.loglikelihood import LogLikelihoods
from evaluation.downstream.metrics import Metric, digest, metrics_of, write_answers
from evaluation.downstream.paired import Precision, precision
from evaluation.downstream.tasks import VERSION, check_tasks, load_tasks
from evaluation.records import write_record
from evaluation.rounding import figures, with_error
from leaderboard.export.terminal import print_table
from modes import build, trained_run
from modes.checks.folders import check_writable
from modes.provenance import provenance
from modes.sample_eval.requests import beginning
from modes.settings import Compose, Settings
from modes.trained_run import TrainedRun
from samplers.check import check_sampling
from samplers.config import SamplerConfig, sampler_config

if TYPE_CHECKING:
    from evaluation.downstream.lm_eval_adapter import Adapter

HEADERS = ("task", "metric", "value", "log p ±", "lead ±", "unpaired ±", "undecided")
LEGEND = (
    "± one standard error: of a value over questions; of log-likelihoods and of the lead of the "
    "likeliest answer over passes, in nats. Undecided: leads within two of their errors."
)


class Result(NamedTuple):
    """The metrics of one task, the main one first, its answers, and the precision of its
    log-likelihoods, None where there are none."""

    task: Any
    metrics: list[Metric]
    samples: list[dict[str, Any]]
    precision: Precision | None

    @property
    def name(self) -> str:
        return self.task.config.task

    @property
    def writes(self) -> bool:
        return self.task.OUTPUT_TYPE == "generate_until"


def run(settings: Settings, overrides: list[str], compose: Compose) -> None:
    started = time.monotonic()
    check_writable(settings.results, "results_dir")
    evaluation, trusted = settings.eval, settings.eval.trust_tasks
    names = check_tasks(evaluation.tasks)
    logging.getLogger("lm_eval").setLevel(logging.ERROR)  # it warns of what its own tasks say
    tasks = load_tasks(names, evaluation.tasks_path, evaluation.num_fewshot, trusted)
    check_score(evaluation.downstream_score, tasks)
    run = trained_run.open_run(settings, overrides, compose=compose)
    check_writable(trained_run.output_directory(run), "eval.output_dir")
    trainer = build.trainer(run.settings, [], fitting=False)
    adapter = open_model(run, trainer)
    results = evaluate(adapter, tasks, evaluation.limit, trainer)
    algorithm = adapter.log_likelihoods.algorithm
    show(results, algorithm.nll_is_bound)
    folder = trained_run.output_directory(run)
    for result in results:
        measured = adapter.measured.get(result.name, {})
        with trained_run.writing(folder, "answers"):
            answers = write_answers(folder / "downstream", result.name, result.samples, measured)
        fields = provenance(run, algorithm, started, algorithm.device)
        fields |= fields_of(result, algorithm) | {
            "seed": settings.seed,
            "protocol": protocol(run, result, adapter, trainer),
            "sampler": drawn_how(adapter, result),
        }
        fields["metrics"] |= {"answers": str(answers), "truncated": adapter.truncated()}
        print(f"answers: {answers}\nrecord: {write_record(settings.results, fields)}")


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

    settings = run.settings
    evaluation, size = settings.eval, settings.loader.eval_batch_size
    tokenizer = trained_run.open_tokenizer(run)
    begin, length = beginning(settings, tokenizer), settings.model.length

    def draws(keys: dict[str, Any]) -> SamplerConfig:
        sampling = replace(settings.sampling, **keys)
        check_sampling(settings.algo, sampling)
        return sampler_config(sampling, settings.algo, length, len(begin), tokenizer.eos)

    algorithm = trained_run.restore(run).to(trainer.strategy.root_device)
    log_likelihoods = LogLikelihoods(
        algorithm, length, tokenizer.eos, evaluation.passes, size, evaluation.downstream_score
    )
    generator = Generator(algorithm, tokenizer, begin, draws, size, settings.seed)
    return Adapter(log_likelihoods, generator, tokenizer, begin)


def evaluate(
    adapter: "Adapter", tasks: dict[str, Any], limit: int | None, trainer: L.Trainer
) -> list[Result]:
    """The model on every task, by lm-eval but for its bootstrap: `metrics_of` has the errors."""
    from lm_eval.evaluator import evaluate as harness

    from evaluation.downstream.trust import rendering

    with trainer.precision_plugin.forward_context(), rendering("eval.tasks"):
        output: Any = harness(
            lm=adapter, task_dict={"tasks": tasks}, limit=limit, bootstrap_iters=0
        )
    results = []
    for name, task in tasks.items():
        samples, measured = output["samples"][name], adapter.measured.get(name)
        errors = precision(measured.values()) if measured else None
        metrics = metrics_of(task, output["results"][name], samples)
        results.append(Result(task, metrics, samples, errors))
    return results


def fields_of(result: Result, algorithm: Algorithm) -> dict[str, Any]:
    """The fields of a record with the numbers."""
    main, errors = result.metrics[0], result.precision
    return {
        "metric": main.name,
        "value": main.value,
        "stderr": main.stderr,
        "count": len({sample["doc_id"] for sample in result.samples}),
        "kind": kind_of(result, algorithm),
        "data": {"name": result.name, "digest": digest(result.samples)},
        "metrics": {
            "task_metrics": {
                metric.name: [metric.value, metric.stderr] for metric in result.metrics
            },
            "log_likelihoods": None if errors is None else asdict(errors),
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
    settings, task = run.settings, result.task
    common = {
        "harness": f"lm-eval {VERSION}",
        "task": result.name,
        "version": task.VERSION,
        "task_digest": record_schema.digest(content_of(task)),
        "num_fewshot": task.get_config("num_fewshot"),
        "limit": settings.eval.limit,
        "length": settings.model.length,
        "tokenizer": adapter.tokenizer.digest,
        "framing": settings.data.framing,
        "weights": "averaged" if trained_run.averaged(run) else "raw",
        "precision": str(trainer.precision),
    }
    if result.writes:
        return common | {"sampler": drawn_how(adapter, result)}
    return common | adapter.log_likelihoods.protocol()


def drawn_how(adapter: "Adapter", result: Result) -> dict[str, Any] | None:
    """The sampler of a task's texts, with the keys that the task sets; None where it has none."""
    if not result.writes:
        return None
    wanted = result.task.get_config("generation_kwargs")
    return adapter.generator.draws(sampling_keys(wanted)).protocol()


def show(results: list[Result], bound: bool) -> None:
    """Prints the metrics of each task, with the errors that the passes of a bound leave."""
    rows = []
    for result in results:
        values = asdict(result.precision).values() if bound and result.precision is not None else ()
        errors = ["" if value is None else figures(value) for value in values] or [""] * 4
        for i, metric in enumerate(result.metrics):
            sign = "<= " if bound and metric.is_perplexity else ""
            value = with_error(metric.value, metric.stderr, 4, sign)
            rows.append(
                ["" if i else result.name, metric.name, value, *([""] * 4 if i else errors)]
            )
    print_table(HEADERS, rows, caption=LEGEND if bound else "", words=2)

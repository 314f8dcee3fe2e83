"""mode=export: a run or a published model as a folder for the Hugging Face Hub."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from algos.facts import facts_of
from evaluation.records import Record, read_records
from evaluation.rounding import with_error
from hub.card import Result, card
from hub.export import Exported, export_model, upload
from modes import trained_run
from modes.checks.folders import check_writable
from modes.provenance import training_of
from modes.settings import Compose, Settings
from modes.trained_run import TrainedRun, averaged
from training.checkpoint import weights_of

TITLES = {"ppl": "perplexity", "ordered_ppl": "perplexity in an order", "samples": "entropy, nats"}


def run(settings: Settings, overrides: list[str], compose: Compose) -> None:
    folder = Path(str(settings.export.path))
    check_writable(str(folder.parent), "export.path")
    run = trained_run.open_run(settings, overrides, compose=compose)
    tokenizer = trained_run.open_tokenizer(run)
    trained_run.restore(run)  # refuses weights that are not the network's
    algo, about = run.settings.algo.name, training_of(run)
    facts: dict[str, Any] = {"algorithm": algo, "corpus": about["corpus"]}
    facts |= {key: about[key] for key in ("averaged_weights", "steps", "tokens")}
    facts["source"] = None if run.model is None else run.model.source
    model = Exported(
        config=run.stored | {"model": asdict(run.settings.model)},
        weights=weights_of(run.checkpoint, averaged(run)),
        vocab_size=run.vocab_size,
        tokenizer=tokenizer,
        trained=facts,
        card=card(algo, facts_of(algo).causal, facts, results(run)),
    )
    export_model(folder, model, settings.export.layout)
    print(f"model: {folder}")
    if settings.export.push_to is not None:
        print(f"uploaded: {upload(folder, settings.export.push_to)}")


def results(run: TrainedRun) -> list[Result]:
    """The records of this checkpoint in results_dir, one line each."""
    folder = run.settings.results
    records = read_records(folder)[0] if folder.is_dir() else []
    return [_result(record) for record in records if record.checkpoint == run.digest]


def _result(record: Record) -> Result:
    sign = "<= " if record.kind == "upper bound" else ""
    value = with_error(record.value, record.stderr, 3, sign)
    text, title = record.data["name"], TITLES.get(record.metric, record.metric)
    return Result(title, value, text, str(record.protocol.get("name", "default")))

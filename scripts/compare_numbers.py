"""The numbers of every mode at fixed seeds, so that a change of the code can be shown to change
none of them.

python scripts/compare_numbers.py before.json      (in one checkout; about ten minutes)
python scripts/compare_numbers.py after.json       (in the other)
python scripts/compare_numbers.py before.json after.json

Every algorithm trains 20 steps on a text that this file makes, and is evaluated, sampled by each of
its samplers, examined by the oracle and asked a downstream task; the third command names what
differs, floats compared to the last bit.
"""

import csv
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SAMPLERS = {
    "ar": ["ar"],
    "mdlm": ["ancestral", "ancestral_cache", "psi", "first_hitting", "semi_ar"],
    "d3pm": ["ancestral", "semi_ar"],
    "sedd": ["analytic", "euler", "semi_ar"],
    "sedd_uniform": ["analytic", "euler", "semi_ar"],
    "udlm": ["ancestral", "psi", "semi_ar"],
    "duo": ["ancestral", "psi", "semi_ar"],
    "gidd": ["ancestral", "psi", "semi_ar"],
    "duo_distill": ["ancestral", "psi"],
}
NETWORK = ["model.hidden_size=16", "model.n_blocks=1", "model.n_heads=2", "model.length=16"]
TRAINING = [
    "trainer.max_steps=20",
    "trainer.log_every_n_steps=1",
    "trainer.val_check_interval=10",
    "trainer.limit_val_batches=2",
    "loader.global_batch_size=8",
    "loader.batch_size=4",
    "lr_scheduler.num_warmup_steps=2",
    "optim.lr=0.01",
    "model.dropout=0.1",
]
MARKOV = ["data=markov", "data.states=4", "data.train_tokens=4000", "data.valid_tokens=1000"]
MARKOV += ["model.length=9"]
TASK = """
task: counting
dataset_path: json
dataset_kwargs: {data_files: {test: FOLDER/rows.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{text}}"
doc_to_choice: [" down", " up"]
doc_to_target: 0
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
metadata: {version: 1.0}
"""
# Differs from run to run, or with the code itself.
VOLATILE = (
    *("second", "wall_time", "memory", "created", "commit", "digest", "file", "hardware"),
    *("config", "checkpoint", "samples", "curve", "answers", "path", "cache", "schema"),
)


def main() -> None:
    if len(sys.argv) == 3:
        sys.exit(compare(*(json.loads(Path(file).read_text()) for file in sys.argv[1:])))
    with tempfile.TemporaryDirectory() as folder:
        numbers = measure(Path(folder))
    Path(sys.argv[1]).write_text(json.dumps(numbers, indent=1, sort_keys=True))


def measure(folder: Path) -> dict[str, Any]:
    """Every number by the command that made it."""
    lines = "\n".join(f"{i} bottles of beer on the wall, take {i % 7} down" for i in range(300))
    (folder / "poem.txt").write_text(lines)
    (folder / "tasks").mkdir()
    rows = "".join(json.dumps({"text": f"{i} bottles, take one"}) + "\n" for i in range(6))
    (folder / "tasks" / "rows.jsonl").write_text(rows)
    task = TASK.replace("FOLDER", str(folder / "tasks"))
    (folder / "tasks" / "counting.yaml").write_text(task)
    numbers: dict[str, Any] = {}

    def train(name: str) -> None:
        start = [f"training.finetune_path={folder}/duo"] if name == "duo_distill" else []
        command(folder, f"train {name}", [*NETWORK, *TRAINING, f"algo={name}", *start], name)
        (log,) = (folder / name).glob("logs/version_0/metrics.csv")
        numbers[f"train {name}"] = logged(log)

    def evaluate(job: tuple[str, list[str]]) -> None:
        name, line = job
        command(folder, name, line)
        numbers[name] = [flat(record) for record in records(folder / "results" / name)]

    # DUO first: its distillation starts from it.
    train("duo")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(train, [name for name in SAMPLERS if name != "duo"]))
        list(pool.map(evaluate, evaluations(folder)))
    return numbers


def evaluations(folder: Path) -> list[tuple[str, list[str]]]:
    """Name and arguments of every evaluation."""
    jobs = []
    scorer = f"eval.gen_ppl_eval_model_name_or_path={folder}/ar"
    for name, samplers in SAMPLERS.items():
        run = f"eval.checkpoint_path={folder}/{name}"
        jobs.append((f"ppl_eval {name}", ["mode=ppl_eval", run, "eval.passes=2"]))
        for sampler in samplers:
            line = ["mode=sample_eval", run, "sampling.steps=8", f"sampling.predictor={sampler}"]
            line += [f"sampling.length={24 if sampler == 'semi_ar' else 16}"]
            jobs.append((f"sample_eval {name} {sampler}", [*line, scorer]))
        if name in ("ar", "mdlm", "gidd"):
            asked = ["eval.tasks=[counting]", f"eval.tasks_path={folder}/tasks"]
            jobs.append((f"downstream {name}", ["mode=downstream", run, *asked]))
        if name != "duo_distill":
            examined = [f"algo={name}", "oracle.steps=[4]", "oracle.samples=64", *MARKOV, *NETWORK]
            examined = [line for line in examined if line != "model.length=16"]
            jobs.append((f"oracle {name}", ["mode=oracle", *examined]))
    mdlm = f"eval.checkpoint_path={folder}/mdlm"
    gidd = f"eval.checkpoint_path={folder}/gidd"
    sample = ["mode=sample_eval", mdlm, "sampling.steps=8"]
    jobs += [
        ("ppl_eval mdlm published", ["mode=ppl_eval", mdlm, "eval.times=[0.001,1]"]),
        ("ppl_eval mdlm strided", ["mode=ppl_eval", mdlm, "eval.stride=4", "eval.passes=1"]),
        ("sample_eval mdlm infill", [*sample, "sampling.infill='4 [...] of [...8]'"]),
        ("sample_eval mdlm guided", [*sample, "sampling.prompt=4 b", "sampling.guidance=1.5"]),
        ("sample_eval mdlm cut", [*sample, "sampling.top_k=5", "sampling.temperature=0.8"]),
        ("sample_eval mdlm top-p", [*sample, "sampling.p_nucleus=0.8", "sampling.min_p=0.01"]),
        ("sample_eval mdlm greedy", [*sample, "sampling.noise_removal=greedy"]),
        ("sample_eval mdlm gumbel32", [*sample, "sampling.draws=gumbel32"]),
        ("sample_eval mdlm cosine", [*sample, "sampling.grid=cosine"]),
        ("sample_eval mdlm sweep", [*sample, "sampling.sweep={steps:[4,8]}"]),
        (
            "sample_eval gidd corrected",
            ["mode=sample_eval", gidd, "sampling.steps=8", "sampling.self_correction=4"],
        ),
        ("audit", ["mode=audit", mdlm, "data.max_eval_blocks=null", "loader.eval_batch_size=40"]),
    ]
    return jobs


def command(folder: Path, name: str, line: list[str], run: str = "none") -> None:
    """Runs main.py with tiny settings; an error ends the program with what was said."""
    common = ["trainer.accelerator=cpu", f"data.cache_dir={folder}/cache"]
    common += ["loader.eval_batch_size=8", f"checkpointing.save_dir={folder}/{run}"]
    common += [f"results_dir={folder}/results/{name}", f"eval.output_dir={folder}/output/{name}"]
    if not any(text.startswith("data=") for text in line):
        common += ["data=text", f"data.path={folder}/poem.txt", "data.valid_split=tail"]
        common += ["data.max_eval_blocks=24"]
    typed = {text.partition("=")[0] for text in line}
    common = [text for text in common if text.partition("=")[0] not in typed]
    done = subprocess.run(
        [sys.executable, str(ROOT / "main.py"), *common, *line],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{name}: {done.stderr[-2000:]}")
    print(name, flush=True)


def logged(file: Path) -> list[dict[str, str]]:
    """The rows of a log, without times."""
    with file.open() as stream:
        rows = list(csv.DictReader(stream))
    return [{k: v for k, v in row.items() if v and not volatile(k)} for row in rows]


def records(folder: Path) -> list[dict[str, Any]]:
    """In an order that does not depend on the time."""
    found = [json.loads(file.read_text()) for file in folder.glob("*.json")]
    return sorted(found, key=lambda record: json.dumps(flat(record), sort_keys=True))


def flat(record: dict[str, Any]) -> dict[str, str]:
    """Every number and text of a record by its dotted key, and what the sampled texts are."""
    found = dict(leaves(record))
    shown = {key: str(value) for key, value in found.items() if not volatile(key)}
    shown = {key: value for key, value in shown.items() if not value.startswith(os.sep)}
    for key, value in found.items():
        if key.endswith(".samples") and isinstance(value, str):
            texts = json.loads(Path(value).read_text())["samples"]
            shown["texts"] = hashlib.sha256(json.dumps(texts).encode()).hexdigest()
    return shown


def leaves(node: Any, key: str = "") -> list[tuple[str, Any]]:
    if isinstance(node, dict):
        return [leaf for name in node for leaf in leaves(node[name], f"{key}.{name}".strip("."))]
    if isinstance(node, list):
        return [leaf for i, value in enumerate(node) for leaf in leaves(value, f"{key}.{i}")]
    return [(key, node.hex() if isinstance(node, float) else node)]


def volatile(key: str) -> bool:
    return any(word in part for part in key.split(".") for word in VOLATILE)


def compare(before: dict[str, Any], after: dict[str, Any]) -> int:
    """Prints what differs; the number of commands with a difference."""
    wrong = 0
    for name in sorted(before.keys() | after.keys()):
        old, new = (pairs(numbers.get(name, [])) for numbers in (before, after))
        different = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        wrong += bool(different)
        for key in different[:5]:
            print(f"{name}: {key}: {old.get(key)} -> {new.get(key)}")
        if len(different) > 5:
            print(f"{name}: and {len(different) - 5} more")
    print(f"{len(before)} commands, {wrong} differ")
    return wrong


def pairs(rows: list[dict[str, str]]) -> dict[str, str]:
    return {f"{i}.{key}": value for i, row in enumerate(rows) for key, value in row.items()}


if __name__ == "__main__":
    main()

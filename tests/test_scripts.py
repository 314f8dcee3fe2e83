"""The scripts of scripts/ that a cluster runs, with srun, sbatch, scancel and scontrol in their
place."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import initialize_config_dir

import main
from modes.checks.combinations import check
from modes.settings import Settings
from modes.trained_run import open_run
from tests.changed import changed
from tests.composed import composed
from tests.modes import in_process
from tests.processes import started, wait_until

SCRIPTS = main.ROOT / "scripts"
OWN = {"benchmark.sh", "env.sh", "quickstart.sh", "slurm.sh", "test.sh"}  # no jobs
NAMES = sorted(path.name for path in SCRIPTS.glob("*.sh") if path.name not in OWN)
ALGOS = ("ar", "d3pm", "duo", "mdlm", "sedd", "udlm")
JOB = {"SLURM_JOB_ID": "12345678", "SLURM_NNODES": "2", "SLURM_GPUS_ON_NODE": "4"}
STUBS = {
    # The program after the options, once, as one of the processes would be started.
    "srun": 'echo "srun $*" >> "$CALLS"\nwhile [[ $1 == --* ]]; do shift; done\nexec "$@"',
    # As Slurm does: a copy of the script elsewhere, whose place is no help.
    "sbatch": 'mkdir -p "$SPOOL"\ncp "$1" "$SPOOL/slurm_script"\nexport COMMAND="$1"\nshift\n'
    'exec bash "$SPOOL/slurm_script" "$@"',
    # As of a task that an array's own number stands for: its tasks, all of them.
    "scontrol": 'echo "scontrol $*" >> "$CALLS"\nfor _ in 1 2; do\n'
    'printf "JobId=%s JobName=x\\n   Command=%s a b\\n   WorkDir=/x\\n\\n" "$3" "$COMMAND"\ndone',
    "scancel": 'echo "scancel $*" >> "$CALLS"\nkill -TERM "$(cat "$STEP")"',
    "record": 'printf "%s\\0" "$PWD" "$@" > "$GIVEN"',
}
PUBLISHED = re.compile(r"(eval|zero_shot|gen_ppl)_(?:owt_|lm1b_)?(duo_distill|[a-z0-9]+?)(_|\.)")
FAMILIES = {"ar": "ckpt/ar.ckpt", "d3pm": "ckpt/d3pm.ckpt", "duo": "hf/duo", "gidd": "hf/gidd"}
FAMILIES |= {"mdlm": "hf/mdlm", "sedd": "hf/sedd", "udlm": "ckpt/duo_base.ckpt"}
FAMILIES |= {"bd3lm": "hf/bd3lm", "duo_distill": "ckpt/duo_distilled.ckpt"}
TINY = ["data=text", "data.valid_split=tail", "data.tokenizer_name_or_path=bytes", "model=nano"]
TINY += ["model.hidden_size=16", "model.n_blocks=1", "model.n_heads=2", "model.length=16"]
TINY += ["model.dropout=0.0", "loader.global_batch_size=4", "loader.batch_size=null"]
TINY += ["loader.eval_batch_size=4", "trainer.accelerator=cpu", "trainer.precision=32-true"]
TINY += ["trainer.log_every_n_steps=1", "trainer.limit_val_batches=1"]
TINY += ["lr_scheduler.num_warmup_steps=1", "trainer.val_check_interval=1000000"]


@pytest.fixture
def site(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine whose Slurm is a few stubs and whose python says its
    arguments."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, body in STUBS.items():
        (folder / name).write_text(f"#!/usr/bin/env bash\n{body}\n")
        (folder / name).chmod(0o755)
    places = {"CALLS": "calls", "SPOOL": "spool", "GIVEN": "given", "STEP": "step"}
    own = {name: str(tmp_path / place) for name, place in places.items()}
    own |= {"PATH": f"{folder}:{os.environ['PATH']}", "SUITE_PYTHON": str(folder / "record")}
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SLURM_")}
    return kept | own | {"SUITE_WORK": str(tmp_path / "work"), "SUITE_DATA": "/scratch/tokens"}


def given(site: dict[str, str], command: list[str], cwd: Path) -> list[str]:
    """Where main.py was started and what it was given."""
    done = subprocess.run(command, env=site, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    where, program, *overrides = Path(site["GIVEN"]).read_text().split("\0")[:-1]
    assert where == site["SUITE_WORK"]
    assert program == str(main.ROOT / "main.py")
    return overrides


def accepted(overrides: list[str]) -> Settings:
    """The settings, checked as main.py checks them; of a run whose teacher is not there, all but
    that."""
    settings = composed(*overrides)
    check(changed(settings, mode="benchmark"), main.keys_of(overrides))
    if not settings.training.finetune_path:
        check(settings, main.keys_of(overrides))
    return settings


def test_the_names_that_users_know_are_there() -> None:
    known = {f"train_owt_{a}" for a in (*ALGOS, "gidd", "gidd_plus", "duo_finetune")} | {
        "distil_owt"
    }
    known |= {f"train_lm1b_{a}{kind}" for a in ALGOS for kind in ("", "_sentencepacking")}
    known |= {f"eval_lm1b_{a}{kind}" for a in ALGOS for kind in ("", "_sentencepacking")}
    known |= {f"train_text8_{a}" for a in ALGOS} | {"leaderboard"}
    for task in ("eval_owt", "zero_shot", "gen_ppl_owt"):
        known |= {f"{task}_{a}" for a in (*ALGOS, "gidd")}
    assert known <= {name.removesuffix(".sh") for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_submitted_script_is_a_command_that_main_accepts(
    name: str, site: dict[str, str], tmp_path: Path
) -> None:
    command = ["sbatch", str(SCRIPTS / name), "trainer.max_steps=10", "seed=3"]
    overrides = given(site | JOB, command, tmp_path)
    settings = accepted(overrides)
    assert settings.data.cache_dir == "/scratch/tokens"
    assert (settings.trainer.num_nodes, settings.trainer.devices) == (2, 4)
    assert settings.strategy.name == "ddp"
    assert settings.trainer.max_steps == 10
    run = settings.eval.checkpoint_path or settings.checkpointing.save_dir
    assert run.endswith("/seed3"), "of the run that is trained under the same seed"
    started = Path(site["CALLS"]).read_text()
    assert "srun --nodes=2 --ntasks=8 --ntasks-per-node=4 " in started


@pytest.mark.parametrize("name", [name for name in NAMES if PUBLISHED.match(name)])
def test_an_evaluation_takes_a_published_model(
    name: str, site: dict[str, str], tmp_path: Path, checkpoints: Path
) -> None:
    family = PUBLISHED.match(name).group(2)
    line = [f"eval.checkpoint_path={checkpoints / FAMILIES[family]}"]
    line += [f"data.tokenizer_name_or_path={checkpoints / 'hf' / 'gidd'}"]
    overrides = given(site, ["bash", str(SCRIPTS / name), *line], tmp_path)
    settings = accepted(overrides)
    with initialize_config_dir(str(main.ROOT / "configs"), version_base="1.3"):
        run = open_run(settings, overrides, compose=main.compose)
    assert run.model is not None and run.tokenizer is not None
    assert run.settings.algo.name in run.model.algorithms
    assert run.settings.model.length == 16, "its own sizes"


@pytest.mark.parametrize("name", NAMES)
def test_a_script_is_strict_short_and_says_what_it_needs(name: str) -> None:
    text = (SCRIPTS / name).read_text()
    lines = text.splitlines()
    assert len(lines) <= 16
    assert all(len(line) <= 140 for line in lines), "too long"
    assert lines[0] == "#!/usr/bin/env bash"
    assert os.access(SCRIPTS / name, os.X_OK)
    assert "set -euo pipefail" in lines
    assert text.rstrip().endswith('"$@"'), "arguments come last"
    options = shlex.split(" ".join(re.findall(r"^#SBATCH (.*)$", text, re.MULTILINE)))
    keys = dict(option.lstrip("-").partition("=")[::2] for option in options)
    assert {"requeue", "nodes", "ntasks-per-node"} <= keys.keys()
    assert keys["signal"] == "B:USR1@300"
    assert keys.get("gpus-per-node", "1") == keys["ntasks-per-node"]
    assert not {"partition", "account"} & keys.keys(), "a site's own business"


def test_every_evaluation_is_of_a_run_that_a_script_trains() -> None:
    texts = [(SCRIPTS / name).read_text() for name in NAMES]
    recipes = {name for text in texts for name in re.findall(r"experiment=(\S+) \"", text)}
    read = {path for text in texts for path in re.findall(r"eval.checkpoint_path=(\S+)'", text)}
    made = set()
    for recipe in recipes:
        settings = composed(f"experiment={recipe}")
        made.add(settings.checkpointing.save_dir)
        read.add(settings.training.finetune_path or settings.checkpointing.save_dir)
    assert len(read) > 20
    assert {path.replace("${seed}", "1") for path in read} <= made


def test_without_slurm_it_is_one_process(site: dict[str, str], tmp_path: Path) -> None:
    command = ["bash", str(SCRIPTS / "train_owt_duo.sh"), "trainer.devices=2", "model=tiny"]
    settings = accepted(given(site, command[:2], tmp_path))
    assert settings.trainer.devices == 1
    assert settings.strategy.name == "auto"
    settings = accepted(given(site, command, tmp_path))
    assert settings.trainer.devices == 2, "the last one wins"
    assert settings.model.name == "tiny"


def test_one_gpu_needs_no_strategy(site: dict[str, str], tmp_path: Path) -> None:
    job = JOB | {"SLURM_NNODES": "1", "SLURM_GPUS_ON_NODE": "1"}
    command = ["sbatch", str(SCRIPTS / "train_owt_gidd.sh"), "experiment=gidd_base_pu0.2"]
    settings = accepted(given(site | job, command, tmp_path))
    assert settings.strategy.name == "auto"
    assert (settings.model.name, settings.algo.p_uniform) == ("base", 0.2)


def test_what_is_missing_is_named(site: dict[str, str], tmp_path: Path) -> None:
    command = ["bash", str(SCRIPTS / "leaderboard.sh")]
    lost = site | {"SUITE_PYTHON": "/nowhere/python"}
    done = subprocess.run(command, env=lost, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: SUITE_PYTHON=/nowhere/python: there is no such program")


def test_a_site_can_load_what_it_needs(site: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "setup.sh").write_text(f"export SUITE_WORK={tmp_path}/other\n")
    done = subprocess.run(
        ["bash", str(SCRIPTS / "leaderboard.sh")],
        env=site | {"SUITE_SETUP": str(tmp_path / "setup.sh")},
        cwd=tmp_path,
    )
    assert done.returncode == 0
    assert Path(site["GIVEN"]).read_text().startswith(f"{tmp_path}/other\0")


def test_a_job_that_ends_badly_ends_with_its_status(site: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "bin" / "record").write_text("#!/usr/bin/env bash\nexit 7\n")
    command = ["sbatch", str(SCRIPTS / "train_owt_ar.sh")]
    done = subprocess.run(command, env=site | JOB, cwd=tmp_path)
    assert done.returncode == 7
    assert "requeue" not in Path(site["CALLS"]).read_text()


@pytest.mark.parametrize("array", [None, "5"])
def test_a_task_of_an_array_stops_and_queues_itself_alone(
    array: str | None, site: dict[str, str], tmp_path: Path
) -> None:
    """The last task of an array has the array's own number, which names them all."""
    step = 'trap "exit 143" TERM\necho $$ > "$STEP"\nwhile true; do sleep 0.05; done\n'
    (tmp_path / "bin" / "record").write_text(f"#!/usr/bin/env bash\n{step}")
    own = {} if array is None else {"SLURM_ARRAY_JOB_ID": "12345678", "SLURM_ARRAY_TASK_ID": array}
    command = ["sbatch", str(SCRIPTS / "benchmark.sh" if array else SCRIPTS / "train_owt_ar.sh")]
    with started(command, env=site | JOB | own, cwd=tmp_path) as job:
        wait_until(Path(site["STEP"]).exists, job)
        job.send_signal(signal.SIGUSR1)
        assert job.wait() == 143
    name = "12345678_5" if array else "12345678"
    calls = Path(site["CALLS"]).read_text().splitlines()
    assert calls[-2:] == [f"scancel --signal=TERM {name}", f"scontrol requeue {name}"]


STOPPED = {
    "eval_owt_mdlm.sh": ["protocol=default", "eval.passes=100000", "loader.eval_batch_size=1"],
    "gen_ppl_owt_mdlm.sh": [
        "eval.gen_ppl_eval_model_name_or_path=null",
        "eval.quality_protocol=default",
        "eval.reference=false",
        "sampling.steps=100000",
    ],
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    text = folder / "poem.txt"
    text.write_text("\n".join(f"{i} bottles of beer, take {i % 7} down" for i in range(300)))
    return in_process.train(folder, text, "algo=mdlm", "trainer.max_steps=2")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * ("gen" in name)) for name in STOPPED]
)
def test_an_evaluation_that_runs_out_of_time_is_queued_again(
    name: str, trained: Path, site: dict[str, str], tmp_path: Path
) -> None:
    """Real work: SIGUSR1 to the batch script when the bar is there."""
    step = f'#!/usr/bin/env bash\necho $$ > "$STEP"\nexec {sys.executable} "$@"\n'
    (tmp_path / "bin" / "record").write_text(step)
    site = site | JOB | {"SLURM_NNODES": "1", "SLURM_GPUS_ON_NODE": "1", "OMP_NUM_THREADS": "1"}
    site |= dict.fromkeys(("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID"), "0")
    site |= {"SLURM_NTASKS": "1", "TQDM_MININTERVAL": "0"}
    command = ["sbatch", str(SCRIPTS / name), f"eval.checkpoint_path={trained}", *STOPPED[name]]
    command += ["trainer.accelerator=cpu", "trainer.precision=32-true", "trainer.devices=1"]
    command += [f"data.cache_dir={tmp_path}/cache"]
    log = tmp_path / "log"
    with log.open("w") as stream, started(command, env=site, cwd=tmp_path, stderr=stream) as job:
        wait_until(lambda: re.search(r" [1-9]\d*/\d", log.read_text()), job)
        job.send_signal(signal.SIGUSR1)
        job.wait()
    said = log.read_text()
    assert job.returncode == 128 + signal.SIGTERM, said
    assert re.search(r"\nstopped by SIGTERM: .* kept; the same command goes on\n", said), said
    calls = Path(site["CALLS"]).read_text().splitlines()
    assert calls[-2:] == ["scancel --signal=TERM 12345678", "scontrol requeue 12345678"]


def test_a_job_is_saved_queued_again_and_goes_on(site: dict[str, str], tmp_path: Path) -> None:
    """Real training: SIGUSR1 to the batch script a while after the first step, then the same job
    again for two steps more."""
    text = tmp_path / "poem.txt"
    text.write_text("\n".join(f"{i} bottles of beer, take {i % 7} down" for i in range(300)))
    # The process of a job step, which says so to Lightning; its number is that to signal.
    names = ("PROCID", "LOCALID", "NODEID")
    step = "export SLURM_NTASKS=1 SLURM_NTASKS_PER_NODE=1 " + " ".join(
        f"SLURM_{n}=0" for n in names
    )
    step = f'#!/usr/bin/env bash\n{step}\necho $$ > "$STEP"\nexec {sys.executable} "$@"\n'
    (tmp_path / "bin" / "record").write_text(step)
    site = site | JOB | {"SLURM_NNODES": "1", "SLURM_GPUS_ON_NODE": "1", "OMP_NUM_THREADS": "1"}
    command = ["sbatch", str(SCRIPTS / "train_owt_mdlm.sh"), *TINY, f"data.path={text}"]
    command += ["trainer.devices=1", f"data.cache_dir={tmp_path}/cache"]
    endless = [*command, "trainer.max_steps=1000000"]
    logs = tmp_path / "work/outputs/text/mdlm-nano/seed1/logs/version_0/metrics.csv"
    pipe = {"stderr": subprocess.PIPE, "text": True}
    with started(endless, env=site, cwd=tmp_path, **pipe) as job:
        wait_until(lambda: logs.exists() and logs.stat().st_size, job)
        job.send_signal(signal.SIGUSR1)
        _, said = job.communicate()
    assert job.returncode == 128 + signal.SIGTERM, said
    stopped = re.search(r"saved after step (\d+)", said)
    assert stopped, said
    calls = Path(site["CALLS"]).read_text().splitlines()
    assert calls[-2:] == ["scancel --signal=TERM 12345678", "scontrol requeue 12345678"]
    last = int(stopped[1]) + 2
    again = [*command, f"trainer.max_steps={last}"]
    done = subprocess.run(again, env=site, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    steps = logs.parents[1] / "version_1" / "metrics.csv"
    header, *rows = steps.read_text().splitlines()
    column = header.split(",").index("step")
    assert {int(row.split(",")[column]) for row in rows} <= {last - 2, last - 1}
    assert f"{last} steps" in done.stdout

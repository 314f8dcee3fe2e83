"""mode=export: folders that transformers loads without this suite, and come back bit for bit."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import initialize_config_dir
from safetensors.torch import load_file

import main
from algos.build import ALGORITHMS
from data.tokenizers import make_tokenizer
from hub import TextPipeline
from hub.imported_model import ImportedModel
from hub.open import open_model
from hub.trained import algorithm_of, open_trained
from modes.scorer import open_scorer
from tests.modes.conftest import ROOT, Command

TINY = ["data=text", "data.tokenizer_name_or_path=bytes", "model=tiny", "model.length=16"]
TINY += ["model.hidden_size=16", "model.n_blocks=1", "model.n_heads=2", "model.cond_dim=8"]
TINY += ["trainer.max_steps=2", "loader.global_batch_size=4", "optim.lr=0.1", "training.ema=0.5"]
COMMIT = "c" * 40
FILES = ["hf/mdlm", "hf/duo", "hf/gidd", "hf/sedd", "ckpt/mdlm.ckpt", "ckpt/ar.ckpt"]
FILES += ["ckpt/sedd.ckpt", "ckpt/d3pm.ckpt", "ckpt/duo_distilled.ckpt", "local/gidd_v1.0.1"]

# Run by a process that cannot see this suite; for each line it prints logits and texts.
PROGRAM = """
import json, sys, torch
from transformers import AutoConfig, AutoModel, AutoTokenizer
for line in sys.stdin:
    folder, ids, t = json.loads(line)
    model = AutoModel.from_pretrained(folder, trust_remote_code=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    ids = torch.tensor(ids)
    with torch.no_grad():
        outputs = model(ids) if t is None else model(ids, t)
    drawn = [model.generate(num_samples=2, seed=seed).tolist() for seed in (1, 1, 2)]
    suite = [name for name in sys.modules if name.split(".")[0] in ("algos", "backbones", "hub")]
    answer = {"logits": outputs.logits.tolist(), "drawn": drawn, "suite": suite}
    print(json.dumps(answer | {"ids": tokenizer("to be")["input_ids"]}), flush=True)
"""
Outside = Callable[[Path, list[list[int]], float | None], dict[str, Any]]


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """What a process that cannot see this suite makes of exports; it imports torch once."""
    place = tmp_path_factory.mktemp("outside")
    environment = os.environ | {"HF_MODULES_CACHE": str(place / "modules")}
    with (place / "stderr").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", PROGRAM],
            cwd=place,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )

        def ask(folder: Path, ids: list[list[int]], t: float | None) -> dict[str, Any]:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(json.dumps([str(folder), ids, t]) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
            assert line, f"{process.wait()}: {(place / 'stderr').read_text()}"
            answer: dict[str, Any] = json.loads(line)
            return answer

        with process:  # closes its input, which ends it
            yield ask


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the text, and for the run of each list of overrides."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "text.txt").write_text("to be, or not to be. " * 60)
    return folder


@pytest.fixture
def trained(command: Command, tmp_path: Path, runs: Path) -> Callable[..., Path]:
    """A run with these overrides, trained once, a copy of its own for each test."""

    def make(*overrides: str) -> Path:
        run, kept = tmp_path / "run", runs / hashlib.sha256(repr(overrides).encode()).hexdigest()
        shutil.rmtree(run, ignore_errors=True)  # of other overrides
        if not kept.exists():
            done = command("mode=train", *TINY, f"data.path={runs}/text.txt", *overrides)
            assert done.returncode == 0, done.stderr
            run.rename(kept)
        return Path(shutil.copytree(kept, run))

    return make


def exported(command: Command, source: Path, folder: Path, *more: str) -> Path:
    done = command("mode=export", f"eval.checkpoint_path={source}", f"export.path={folder}", *more)
    assert done.returncode == 0, done.stderr
    assert not (set(done.stderr.split("\n")) - {""}), done.stderr
    return folder


def logits_of(name: str, ids: torch.Tensor, t: float | None) -> tuple[torch.Tensor, Any]:
    model = open_trained(name)
    with torch.no_grad():
        if t is None:
            hidden = model.algorithm.backbone(ids)
        else:
            hidden = model.algorithm.hidden(ids, torch.full((len(ids),), t, dtype=torch.float64))
        return model.algorithm.backbone.head(hidden), model


ALGOS = {name: () for name in ALGORITHMS if name not in ("duo_distill", "bd3lm")}
ALGOS["gidd"] = ("algo.version=1.0",)
ALGOS["sedd"] = ("noise=geometric",)


@pytest.mark.parametrize("algo", ALGOS)
def test_export_is_the_same_network_outside_of_the_suite(
    algo: str, trained: Callable[..., Path], command: Command, outside: Outside, tmp_path: Path
) -> None:
    run = trained(f"algo={algo}", *ALGOS[algo])
    folder = exported(command, run, tmp_path / "model")
    ids = torch.randint(97, 123, (2, 16), generator=torch.Generator().manual_seed(1))
    t = None if algo == "ar" else 0.4
    ours, model = logits_of(str(run), ids, t)
    theirs = outside(folder, ids.tolist(), t)
    assert theirs["suite"] == []
    np.testing.assert_allclose(np.array(theirs["logits"]), ours.numpy(), atol=1e-6, rtol=1e-6)
    one, again, other = theirs["drawn"]
    assert one == again != other
    assert all(0 <= token <= model.tokenizer.vocab_size for row in one for token in row)
    assert theirs["ids"] == [int(i) for i in model.tokenizer.encode_batch(["to be"])[0]]
    back = open_model(str(folder))
    weights = model.algorithm.state_dict()
    assert back.checkpoint["state_dict"].keys() == weights.keys()
    for name, tensor in weights.items():
        assert torch.equal(back.checkpoint["state_dict"][name], tensor), name
    pipes = [TextPipeline.from_pretrained(path, device="cpu") for path in (run, folder)]
    texts = [pipe.generate(2, 4, progress=False).tokens for pipe in pipes]
    assert texts[0] == texts[1]


def test_exports_of_ar_and_of_diffusion_are_read_in_one_process(
    trained: Callable[..., Path], command: Command, outside: Outside, tmp_path: Path
) -> None:
    """transformers would take the class of the first for the second."""
    for algo, t in (("ar", None), ("mdlm", 0.4), ("ar", None)):
        folder = exported(command, trained(f"algo={algo}"), tmp_path / algo)
        assert len(outside(folder, [[97] * 16], t)["logits"]) == 1


@pytest.mark.parametrize("file", FILES)
def test_import_export_import_is_bit_for_bit(
    file: str, checkpoints: Path, tokenizer: Path, command: Command, tmp_path: Path
) -> None:
    source, more = checkpoints / file, [f"data.tokenizer_name_or_path={tokenizer}"]
    first = open_model(str(source))
    done = command(
        "mode=export",
        f"eval.checkpoint_path={source}",
        f"export.path={tmp_path}/model",
        *more,
        base=False,
    )
    assert done.returncode == 0, done.stderr
    second = open_model(str(tmp_path / "model"))
    assert_equal(first, second)


def assert_equal(first: ImportedModel, second: ImportedModel) -> None:
    weights = first.checkpoint["state_dict"]
    if "ema" in first.checkpoint:
        weights = weights | first.checkpoint["ema"]["weights"]
    assert weights.keys() == second.checkpoint["state_dict"].keys()
    for name, tensor in weights.items():
        assert torch.equal(tensor, second.checkpoint["state_dict"][name]), name
    assert first.vocab_size == second.vocab_size
    algos = [model.checkpoint["config"]["algo"] for model in (first, second)]
    assert algos[0] == algos[1]
    nets = [dict(model.checkpoint["config"]["model"]) for model in (first, second)]
    assert all(net.pop("name") for net in nets) and nets[0] == nets[1]
    algorithm_of(second.checkpoint["config"], second.vocab_size)


@pytest.mark.parametrize("file", ["hf/mdlm", "hf/duo", "hf/gidd"])
def test_published_layout_has_the_published_names_and_shapes(
    file: str, checkpoints: Path, tokenizer: Path, command: Command, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    source, folder = checkpoints / file, tmp_path / "model"
    done = command(
        "mode=export",
        f"eval.checkpoint_path={source}",
        f"export.path={folder}",
        "export.layout=published",
        f"data.tokenizer_name_or_path={tokenizer}",
        base=False,
    )
    assert done.returncode == 0, done.stderr
    theirs, ours = (load_file(path / "model.safetensors") for path in (source, folder))
    assert {name: tensor.shape for name, tensor in theirs.items()} == {
        name: tensor.shape for name, tensor in ours.items()
    }
    for name, tensor in theirs.items():
        rows = slice(60 if "linear" in name and file != "hf/duo" else None)  # no mask is predicted
        torch.testing.assert_close(ours[name][rows], tensor[rows], rtol=1e-6, atol=1e-7)
    there, here = (json.loads((path / "config.json").read_text()) for path in (source, folder))
    for key, value in here.items():
        assert key in ("dropout", "time_conditioning") or there[key] == value, key
    assert not list(folder.glob("*.py"))
    assert_equal(open_model(str(source)), open_model(str(folder)))


def test_export_writes_over_nothing_but_an_export(
    trained: Callable[..., Path], command: Command, tmp_path: Path
) -> None:
    run, folder = trained("algo=mdlm"), tmp_path / "model"
    folder.mkdir()
    (folder / "thesis.tex").write_text("all of it")
    line = ["mode=export", f"eval.checkpoint_path={run}", f"export.path={folder}"]
    done = command(*line)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: export.path={folder}: it holds something else")
    assert done.stderr.count("\n") == 1
    (folder / "thesis.tex").unlink()
    exported(command, run, folder)
    exported(command, run, folder)  # in place of itself
    (folder / "README.md").write_text("my own words")
    done = command(*line)
    assert done.returncode == 2 and "README.md was changed after the export" in done.stderr
    assert (folder / "README.md").read_text() == "my own words"


REFUSED = {
    "export.path: mode=export needs the folder to write": ["mode=export"],
    "export.push_to='name': must be null": ["mode=export", "export.path=x", "export.push_to=name"],
    "export.layout=published: algo=d3pm has no published layout": [
        "mode=export",
        "export.path=x",
        "export.layout=published",
    ],
}


@pytest.mark.parametrize("said", REFUSED)
def test_export_refuses_in_a_line(
    said: str, trained: Callable[..., Path], command: Command, tmp_path: Path
) -> None:
    run = trained("algo=d3pm")
    done = command(*REFUSED[said], f"eval.checkpoint_path={run}")
    assert done.returncode == 2
    assert said in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "x").exists()


def test_export_uploads_where_it_is_asked_to_alone(
    trained: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    typed: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    calls: list[Any] = []

    def create(api: Any, name: str, exist_ok: bool) -> str:
        calls.append(name)
        return f"https://example.invalid/{name}"

    def send(api: Any, repo_id: str, folder_path: Path) -> None:
        calls.append((repo_id, sorted(path.name for path in folder_path.iterdir())))

    monkeypatch.setattr("huggingface_hub.HfApi.create_repo", create)
    monkeypatch.setattr("huggingface_hub.HfApi.upload_folder", send)
    line = f"mode=export eval.checkpoint_path={trained('algo=ar')} export.path={tmp_path}/model"
    typed(line)
    assert calls == []
    typed(f"{line} export.push_to=me/model")
    name, (again, files) = calls
    assert name == again == "me/model"
    assert {"README.md", "config.json", "model.safetensors", "tokenizer.json"} <= {*files}
    assert "uploaded: https://example.invalid/me/model" in capsys.readouterr().out


def test_card_has_the_records_of_the_run(
    trained: Callable[..., Path], command: Command, tmp_path: Path
) -> None:
    run = trained("algo=ar")
    assert command("mode=ppl_eval", f"eval.checkpoint_path={run}").returncode == 0
    (record,) = (tmp_path / "results").glob("*.json")
    folder = exported(command, run, tmp_path / "model")
    words = (folder / "README.md").read_text()
    value = json.loads(record.read_text())["value"]
    assert f"| perplexity | {value:.3f} | text | default |" in words
    assert "# license: say it" in words and "| steps | 2 |" in words


def test_pipeline_saves_what_export_writes(trained: Callable[..., Path], tmp_path: Path) -> None:
    pipe = TextPipeline.from_pretrained(trained("algo=mdlm"), device="cpu")
    pipe.save_pretrained(tmp_path / "saved")
    again = TextPipeline.from_pretrained(tmp_path / "saved", device="cpu")
    assert again.generate(2, 4, progress=False) == pipe.generate(2, 4, progress=False)
    with pytest.raises(ValueError, match=r"^folder=.*: it holds something else"):
        pipe.save_pretrained(tmp_path / "run")


def test_exported_ar_model_scores_samples_as_its_run_does(
    trained: Callable[..., Path],
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = trained("algo=ar")
    folder = exported(command, run, tmp_path / "model")
    snapshot = tmp_path / "hub" / "models--me--model" / "snapshots" / COMMIT
    shutil.copytree(folder, snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    nats = []
    for name in (run, folder, "me/model"):
        line = [f"eval.gen_ppl_eval_model_name_or_path={name}"]
        with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
            scorer = open_scorer(main.compose(line), make_tokenizer("bytes"))
        assert scorer is not None
        ids = torch.tensor(
            [[scorer.bos, *scorer.encode("to be, or not to", True)][: scorer.window]]
        )
        nats.append(scorer.nats(ids))
    for other in nats[1:]:
        torch.testing.assert_close(nats[0], other, rtol=0, atol=0)


def test_mask_in_the_middle_of_a_vocabulary_comes_back(
    trained: Callable[..., Path], command: Command, checkpoints: Path, tmp_path: Path
) -> None:
    """BERT's [MASK] is 103 of 30,522, in this suite the last: rows change places on the way."""
    bert = checkpoints.parent / "tokenizers" / "bert-base-uncased"
    run = trained("algo=mdlm", f"data.tokenizer_name_or_path={bert}")
    folder = exported(command, run, tmp_path / "model", "export.layout=published")
    values = []
    for name in (run, folder):
        done = command(
            "mode=ppl_eval", f"eval.checkpoint_path={name}", f"results_dir={name}-results"
        )
        assert done.returncode == 0, done.stderr
        (record,) = Path(f"{name}-results").glob("*.json")
        values.append(json.loads(record.read_text())["value"])
    assert values[0] == values[1]
    ours = open_trained(str(run)).algorithm.backbone.embedding.weight
    theirs = load_file(folder / "model.safetensors")["backbone.vocab_embed.embedding"]
    torch.testing.assert_close(theirs[103], ours[-1].detach(), rtol=0, atol=0)
    torch.testing.assert_close(theirs[-1], ours[103].detach(), rtol=0, atol=0)


def test_export_of_raw_weights_says_so(
    trained: Callable[..., Path], command: Command, tmp_path: Path
) -> None:
    run = trained("algo=mdlm", "data.framing=bos-eos")
    for disabled in (False, True):
        more = f"eval.disable_ema={str(disabled).lower()}"
        model = open_model(str(exported(command, run, tmp_path / f"{disabled}", more)))
        assert model.averaged is not disabled
        assert model.checkpoint["config"]["data"]["framing"] == "bos-eos"
        assert model.steps == 2

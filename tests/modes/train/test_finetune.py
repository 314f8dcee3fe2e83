"""One algorithm begun with another run's weights, through the real entry point where it matters."""

import json
import shutil
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

import main
from algos.base import Algorithm
from data.tokenizers import make_tokenizer
from modes import build, trained_run
from modes.checks.combinations import check
from modes.provenance import provenance
from modes.run_settings import data_settings, tokenizer_name
from modes.settings import Settings, stored
from modes.train import resume
from modes.train import run as train
from storage import file_digest
from tests.changed import changed
from tests.composed import composed
from tests.modes.conftest import ROOT, Command
from tests.training.contents import resumed_parts
from training.ema import EMA
from training.finetune import read_source

GPT2 = ROOT.parent / "shared" / "tokenizers" / "gpt2"


def state(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


def write_run(folder: Path, *overrides: str, vocab_size: int = 257, **more: Any) -> Settings:
    """A run directory as training leaves it, with a new network's weights: its settings."""
    settings = composed(*overrides)
    algorithm = build.algorithm(settings, vocab_size)
    (folder / "checkpoints").mkdir(parents=True)
    content = {"state_dict": algorithm.state_dict(), "config": stored(settings), "global_step": 3}
    tokenizer = make_tokenizer(tokenizer_name(settings.data))
    digests = {"data_digests": {"corpus": {}, "tokenizer": tokenizer.digest}}
    content |= resumed_parts() | digests | {"finetuned_from": None} | more
    torch.save(content, folder / "checkpoints" / "last.ckpt")
    return settings


def test_finetune_mdlm_from_ar_and_gidd_from_mdlm(command: Command, tmp_path: Path) -> None:
    def run(algo: str, *more: str) -> tuple[dict[str, Any], list[str]]:
        place = f"checkpointing.save_dir={tmp_path}/{algo}"
        done = command(f"algo={algo}", place, *more)
        assert done.returncode == 0, done.stderr
        return state(tmp_path / algo), done.stdout.splitlines()

    standstill = ["trainer.max_steps=1", "optim.lr=1e-12"]
    ar, _ = run("ar", "trainer.max_steps=4", "optim.lr=0.01")
    mdlm, said = run("mdlm", *standstill, f"training.finetune_path={tmp_path}/ar")
    start = f"training.finetune_path={tmp_path}/ar (ar, step 4, averaged weights): took 12 of 20 "
    assert said[0].startswith(start)
    assert said[1] == "not there: backbone.blocks.0.modulation, backbone.level, backbone.modulation"
    for name, tensor in ar["ema"]["weights"].items():
        assert not torch.allclose(tensor, ar["state_dict"][name]), name
        for taken in (mdlm["state_dict"], mdlm["ema"]["weights"]):
            torch.testing.assert_close(taken[name], tensor, rtol=0, atol=1e-9)
    assert mdlm["global_step"] == mdlm["ema"]["updates"] == 1
    assert ar["finetuned_from"] is None

    source = f"training.finetune_path={tmp_path}/mdlm/checkpoints/last.ckpt"
    gidd, said = run("gidd", *standstill, source, "training.finetune_ema=false", "training.ema=0")
    assert "(mdlm, step 1, raw weights): took 20 of 20 weights" in said[0]
    assert "not" not in said[1]
    for name, tensor in mdlm["state_dict"].items():
        torch.testing.assert_close(gidd["state_dict"][name], tensor, rtol=0, atol=1e-9)

    results = f"results_dir={tmp_path}/results"
    done = command("mode=ppl_eval", f"eval.checkpoint_path={tmp_path}/gidd", results, base=False)
    assert done.returncode == 0, done.stderr
    (file,) = (tmp_path / "results").glob("*.json")
    record = json.loads(file.read_text())
    assert record["protocol"]["weights"] == "raw"  # it has no others
    assert record["training"]["checkpoint_digest"] == file_digest(
        tmp_path / "gidd/checkpoints/last.ckpt"
    )
    origin = record["training"]["finetuned_from"]
    assert (origin["algo"], origin["steps"], origin["weights"]) == ("mdlm", 1, "raw")
    assert origin["checkpoint_digest"] == file_digest(tmp_path / "mdlm/checkpoints/last.ckpt")
    nested = origin["finetuned_from"]
    assert (nested["algo"], nested["steps"], nested["tokens"]) == ("ar", 4, 4 * 4 * 16)
    assert nested["finetuned_from"] is None


def test_finetune_goes_on_bit_for_bit_without_its_source(
    command: Command, arguments: list[str], tmp_path: Path
) -> None:
    write_run(tmp_path / "source", *arguments, "algo=mdlm", "seed=5")
    more = ["algo=gidd", "model.dropout=0.1", "loader.batch_size=2"]
    more += [f"training.finetune_path={tmp_path}/source"]
    whole = command(*more, "trainer.max_steps=8", f"checkpointing.save_dir={tmp_path}/whole")
    assert whole.returncode == 0, whole.stderr
    assert command(*more, "trainer.max_steps=4").returncode == 0
    shutil.rmtree(tmp_path / "source")
    again = command(*more, "trainer.max_steps=8")
    assert again.returncode == 0, again.stderr
    assert "took" in whole.stdout
    assert "took" not in again.stdout
    one, other = state(tmp_path / "whole"), state(tmp_path / "run")
    assert one["finetuned_from"] == other["finetuned_from"]
    assert one["finetuned_from"]["algo"] == "mdlm"
    for name, tensor in one["state_dict"].items():
        assert torch.equal(tensor, other["state_dict"][name]), name
        assert torch.equal(one["ema"]["weights"][name], other["ema"]["weights"][name]), name


REFUSED = {
    "model.hidden_size=32": "no weight of any block fits: backbone.blocks.0.attention.out.weight is"
    " (16, 16) there, (32, 32) here",
    "data.tokenizer_name_or_path=text8": "the run there has data.tokenizer_name_or_path=bytes, not"
    " text8: its tokens mean something else",
    "model.n_heads=4": "the run there has model.n_heads=2, not 4",
}


@pytest.mark.parametrize("overrides", REFUSED)
def test_finetune_refuses_a_source_of_another_meaning(
    overrides: str, arguments: list[str], tmp_path: Path
) -> None:
    write_run(tmp_path / "source", *arguments)
    settings = composed(*arguments, overrides, f"training.finetune_path={tmp_path}/source")
    with pytest.raises(ValueError, match=r"^training.finetune_path=") as caught:
        train.run(settings, [], main.compose)
    assert REFUSED[overrides] in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(not GPT2.is_dir(), reason="shared/tokenizers/gpt2 is not there")
def test_finetune_compares_tokenizers_by_content(tmp_path: Path) -> None:
    for name in ("here", "there"):
        (tmp_path / name).symlink_to(GPT2)
    small = ["model.hidden_size=8", "model.n_blocks=1", "model.n_heads=2"]
    there = f"data.tokenizer_name_or_path={tmp_path}/there"
    write_run(tmp_path / "source", *small, there, vocab_size=50257)
    finetuned = f"training.finetune_path={tmp_path}/source"
    settings = composed(*small, f"data.tokenizer_name_or_path={tmp_path}/here", finetuned)
    source = read_source(tmp_path / "source" / "checkpoints" / "last.ckpt", averaged=True)
    tokenizer = make_tokenizer(str(tmp_path / "here"))
    algorithm = build.algorithm(settings, tokenizer.vocab_size)
    assert "took 20 of 20" in train.begin(algorithm, source, settings, tokenizer)[0]
    (tmp_path / "there").unlink()
    assert "took 20 of 20" in train.begin(algorithm, source, settings, tokenizer)[0]
    edited = source._replace(tokenizer_digest="d", config=stored(settings))
    with pytest.raises(ValueError, match=rf"^{finetuned}: .*/here, of another content: its tokens"):
        train.begin(algorithm, edited, settings, tokenizer)
    unsaid = source._replace(tokenizer_digest=None)
    with pytest.raises(ValueError, match=rf"^{finetuned}: the tokenizer of the run there: data"):
        train.begin(algorithm, unsaid, settings, tokenizer)


def test_average_is_within_reach_of_the_algorithm(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = []

    def fit(trainer: L.Trainer, algorithm: Algorithm, *_: Any, **__: Any) -> None:
        ema = next((one for one in trainer.callbacks if isinstance(one, EMA)), None)
        if ema is not None:
            ema.on_fit_start(trainer, algorithm)
        reached.append((algorithm.average, ema))

    monkeypatch.setattr(L.Trainer, "fit", fit)
    for decay in (0.99, 0):
        train.run(composed(*arguments, f"training.ema={decay}"), [], main.compose)
    (average, ema), without = reached
    assert average is not None
    assert average() is ema.average
    assert "backbone.head.weight" in average()
    assert without == (None, None)


EARLY = {
    "training.finetune_path=nowhere": "training.finetune_path=nowhere: there is no checkpoint at",
    "training.finetune_path={0}": "training.finetune_path={0}: there is no checkpoint at "
    "{0}/checkpoints/last.ckpt",
    "training.finetune_path={0} checkpointing.save_dir={0}/": "training.finetune_path={0}: that is",
    "training.finetune_path={0}/checkpoints/best.ckpt checkpointing.save_dir={0}": "training."
    "finetune_path={0}/checkpoints/best.ckpt: that is this run itself",
}


@pytest.mark.parametrize("overrides", EARLY)
def test_finetune_refuses_before_anything_heavy_is_imported(
    overrides: str, without_torch: Command, tmp_path: Path
) -> None:
    done = without_torch(*overrides.format(tmp_path).split())
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(f"error: {EARLY[overrides].format(tmp_path)}")


def test_distillation_needs_a_teacher() -> None:
    settings = composed("algo=duo_distill")
    with pytest.raises(ValueError, match=r"^training.finetune_path: algo=duo_distill needs"):
        check(settings, [])
    check(changed(settings, mode="leaderboard"), [])
    algos = {"algos": ["ar", "distillation"]}
    students = changed(settings, mode="benchmark", benchmark=algos)
    with pytest.raises(ValueError, match=r"^training.finetune_path: algo=distillation needs"):
        check(students, [])


def test_finetune_keeps_its_source_in_the_checkpoint(arguments: list[str], tmp_path: Path) -> None:
    settings = write_run(tmp_path / "run", *arguments, "training.finetune_path=a")
    assert resume.resumed(settings)[1] == 3
    for key, value in {"finetune_path": "b", "finetune_ema": False}.items():
        other = changed(settings, training={key: value})
        with pytest.raises(ValueError, match=rf"the run there has training.{key}="):
            resume.resumed(other)


def test_record_has_facts_of_the_training_from_the_algorithm(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remember(self: Algorithm, checkpoint: dict[str, Any]) -> None:
        self.rounds = checkpoint["distillation"]

    monkeypatch.setattr(Algorithm, "on_load_checkpoint", remember)
    monkeypatch.setattr(Algorithm, "training_facts", lambda self: {"rounds": self.rounds})
    origin = {"algo": "duo", "steps": 9}
    write_run(tmp_path / "run", *arguments, distillation=4, finetuned_from=origin)
    overrides = ["mode=ppl_eval", f"eval.checkpoint_path={tmp_path}/run"]
    run = trained_run.open_run(composed(*overrides), overrides)
    (tmp_path / "next").write_bytes(b"what training saves meanwhile")
    (tmp_path / "next").replace(run.file)
    training = provenance(run, trained_run.restore(run), 0.0, torch.device("cpu"))["training"]
    assert training["rounds"] == 4
    assert training["finetuned_from"] == origin
    assert training["averaged_weights"] is False
    assert training["checkpoint_digest"] == run.digest


def test_tokenizer_of_symbols_needs_no_files() -> None:
    run, asked = stored(composed("data=markov", "data.states=8")), stored(composed())["data"]
    data = data_settings(asked, run, {"data"})
    assert data == asked | {"tokenizer_name_or_path": "symbols:8"}

"""The data module through real loaders and a real trainer."""

import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor

from data.module import TokenDataModule
from tests.data.kinds import entropy_rate

Make = Callable[..., TokenDataModule]
Rows = dict[int, list[int]]


def as_rank(data: TokenDataModule, rank: int, world: int, step: int = 0) -> TokenDataModule:
    state = SimpleNamespace(fn="fit")
    data.trainer = SimpleNamespace(
        global_step=step, world_size=world, global_rank=rank, state=state
    )
    return data


def rows(loader: Any, batches: int | None = None) -> Rows:
    return {
        index: tokens
        for batch in itertools.islice(loader, batches)
        for index, tokens in zip(batch["index"].tolist(), batch["tokens"].tolist(), strict=True)
    }


@pytest.mark.parametrize("packing", ["wrap", "pad"])
def test_training_is_the_same_for_any_split_and_any_workers(
    make: Make, text_file: Path, packing: str
) -> None:
    keys: dict[str, Any] = {"path": str(text_file), "packing": packing, "insert_eos": False}
    if packing == "pad":
        other = text_file.with_name("other.txt")
        other.write_text(" ".join(f"text{i:04d}" for i in range(40)))
        keys |= {"valid_path": str(other)}
    steps = 40 if packing == "wrap" else 3
    whole = rows(make("text", **keys).train_dataloader(), steps)
    assert sorted(whole) == list(range(8 * steps))
    splits = [(4, 1, 0), (2, 2, 0), (1, 4, 0)]
    if packing == "wrap":
        splits.append((4, 2, 2))
    for batch, world, workers in splits:
        split: Rows = {}
        for rank in range(world):
            data = make("text", **keys, batch_size=batch, num_workers=workers)
            loader = as_rank(data, rank, world).train_dataloader()
            split |= rows(loader, steps * 8 // (batch * world))
        assert split == whole


def test_resuming_at_a_step_continues_the_stream(make: Make, text_file: Path) -> None:
    keys = {"path": str(text_file)}
    whole = rows(make("text", **keys).train_dataloader(), 12)
    late = as_rank(make("text", **keys), rank=0, world=1, step=7)
    resumed = rows(late.train_dataloader(), 5)
    assert resumed == {j: whole[j] for j in range(56, 96)}
    assert whole != rows(make("text", **keys, seed=4).train_dataloader(), 12)


def test_evaluation_covers_every_block_once_on_any_number_of_ranks(
    make: Make, text_file: Path
) -> None:
    whole = rows(make("text", path=str(text_file)).val_dataloader())
    blocks = make("text", path=str(text_file)).blocks("valid")
    assert sorted(whole) == list(range(len(blocks))) and len(blocks) % 3
    parts = []
    for rank, workers in enumerate((0, 2, 0)):
        data = make("text", path=str(text_file), num_workers=workers, seed=rank)
        parts.append(rows(as_rank(data, rank, 3).val_dataloader()))
    assert sum(map(len, parts)) == len(whole)
    assert parts[0] | parts[1] | parts[2] == whole


def test_a_few_evaluation_blocks_are_spread_over_the_text(make: Make, text_file: Path) -> None:
    data = make("text", path=str(text_file), max_eval_blocks=4)
    count = len(data.blocks("valid"))
    assert sorted(rows(data.val_dataloader())) == [i * count // 4 for i in range(4)]
    assert data.protocol()["blocks"] == 4
    plenty = make("text", path=str(text_file), max_eval_blocks=10**6)
    assert len(rows(plenty.val_dataloader())) == count


class Recorder(L.LightningModule):
    """Keeps the example numbers of every step."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[list[int]] = []
        self.validated = 0

    def training_step(self, batch: dict[str, Tensor]) -> Tensor:
        self.seen.append(batch["index"].tolist())
        return self.weight * batch["tokens"].double().mean()

    def validation_step(self, batch: dict[str, Tensor]) -> None:
        self.validated += len(batch["index"])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_every_process_needs_a_block_to_evaluate(make: Make, text_file: Path) -> None:
    data = make("text", path=str(text_file), max_eval_blocks=3)
    as_rank(data, rank=2, world=3).setup("fit")
    with pytest.raises(ValueError, match=r"devices: 4 processes .* data=text, 3$"):
        as_rank(data, rank=0, world=4).setup("fit")


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
@pytest.mark.filterwarnings("ignore:.*does not have enough.*:UserWarning")
@pytest.mark.filterwarnings("ignore:.*Checkpoint directory.*")
def test_a_trainer_resumes_where_it_stopped(make: Make, text_file: Path, tmp_path: Path) -> None:
    def fit(steps: int, checkpoint: str | None) -> tuple[Recorder, L.Trainer]:
        module = Recorder()
        trainer = L.Trainer(
            max_steps=steps,
            accumulate_grad_batches=2,
            val_check_interval=4,
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=tmp_path,
        )
        data = make("text", path=str(text_file), batch_size=4)
        trainer.fit(module, data, ckpt_path=checkpoint)
        return module, trainer

    whole, _ = fit(5, None)
    assert list(itertools.chain.from_iterable(whole.seen)) == list(range(40))
    assert whole.validated > 0
    first, trainer = fit(3, None)
    trainer.save_checkpoint(tmp_path / "three.ckpt")
    second, _ = fit(5, str(tmp_path / "three.ckpt"))
    assert first.seen + second.seen == whole.seen


def test_evaluation_never_reads_the_training_text(make: Make, tmp_path: Path) -> None:
    (tmp_path / "valid.txt").write_text("validation text " * 10)
    data = make("text", path=str(tmp_path / "absent"), valid_path=str(tmp_path / "valid.txt"))
    as_rank(data, rank=0, world=1).trainer.state.fn = "validate"
    data.prepare_data()
    data.setup("validate")
    assert list(data.corpus_digests) == ["valid"]
    data.trainer.state.fn = "fit"
    with pytest.raises(FileNotFoundError, match=r"data\.path="):
        data.prepare_data()


def test_facts_for_reports(make: Make, shared: Path) -> None:
    folder = str(shared / "tokenizers" / "gpt2")
    path = str(shared / "data" / "tinyshakespeare" / "input.txt")
    data = make("text", path=path, tokenizer_name_or_path=folder)
    # The published counts of this corpus, and one EOS.
    assert data.train_tokens == 301_966 + 1
    assert data.valid_bytes_per_token == 111_540 / (36_059 + 1)
    assert data.language is None and data.name == "text"
    assert set(data.corpus_digests) == {"train", "valid"}
    protocol = data.protocol()
    assert protocol["corpus_digest"] == data.corpus_digests["valid"]
    assert protocol["tokenizer_digest"] == data.tokenizer.digest
    changed = make("text", path=path, tokenizer_name_or_path=folder, framing="bos-eos", length=32)
    assert {k for k, v in changed.protocol().items() if v != protocol[k]} == {
        "framing",
        "length",
        "blocks",
    }
    assert changed.store("train").folder == data.store("train").folder


def test_markov_blocks_have_exact_likelihoods(make: Make) -> None:
    data = make("markov", train_tokens=2000, valid_tokens=20_000, length=65)
    assert data.tokenizer.name == "symbols:16" and data.valid_bytes_per_token is None
    assert data.language is not None
    nats = count = 0.0
    for batch in data.val_dataloader():
        exact = data.language.nll(batch["tokens"])
        assert (exact[~batch["scored"]] == 0).all()
        nats, count = nats + exact.sum().item(), count + batch["scored"].sum().item()
    assert count == 20_000
    assert nats / count == pytest.approx(entropy_rate(data.language), abs=0.05)
    assert entropy_rate(data.language) < 0.8 * torch.tensor(16.0).log().item()


def test_the_room_imports_lightly() -> None:
    heavy = {"torch", "lightning", "transformers", "datasets"}
    code = f"import sys, data; print({heavy} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"

"""The LightningDataModule: token stores, blocks, and the loaders of each rank."""

import sys
from dataclasses import fields
from functools import cached_property
from typing import Any

import lightning as L
import numpy as np
from lightning.pytorch.utilities import rank_zero_only

from data import settings
from data.build import build_or_open
from data.corpus import Corpus
from data.loaders import Loader
from data.markov import MarkovLanguage
from data.order import EvalSampler, StepSampler, TrainOrder, accumulation
from data.overlap import refuse_same_documents, refuse_same_files
from data.packing import (
    Blocks,
    Framer,
    PadBlocks,
    View,
    WrapBlocks,
    overlapping_stride,
)
from data.places import cache_folder
from data.report import unsaid
from data.settings import Data
from data.store import TokenStore
from data.tokenizers import Tokenizer
from schema.check import check_values

# Evaluation never depends on the seed of a run.
_EVAL_SEED = 0


class TokenDataModule(L.LightningDataModule):
    """Blocks of one corpus under one tokenizer, with the facts that reports need."""

    def __init__(
        self,
        keys: Data,
        corpus: Corpus,
        tokenizer: Tokenizer,
        *,
        length: int,
        global_batch_size: int,
        batch_size: int,
        eval_batch_size: int,
        num_workers: int,
        seed: int,
        stride: int | None = None,
        limit_val_batches: int | float | None = None,
    ) -> None:
        """`stride` is that of evaluation; as many tokens as fit into a block are no overlap.

        Validation within training reads the first `limit_val_batches` times `eval_batch_size`
        blocks, or that share of them, whatever the number of devices; None for all of them. 0
        is the trainer's: no validation."""
        super().__init__()
        check_values(Data, "data", **{key.name: getattr(keys, key.name) for key in fields(Data)})
        check_values(
            settings.Loader, "loader", eval_batch_size=eval_batch_size, num_workers=num_workers
        )
        accumulation(global_batch_size, batch_size, world_size=1)
        self.keys, self.name = keys, keys.name
        self.corpus, self.tokenizer, self.length = corpus, tokenizer, length
        self.cache_dir = cache_folder(keys.cache_dir, _tell)
        self.global_batch_size, self.batch_size = global_batch_size, batch_size
        self.eval_batch_size, self.num_workers = eval_batch_size, num_workers
        self.seed, self.limit_val_batches = seed, limit_val_batches
        self._framer = Framer(length, keys.framing, tokenizer)
        self.stride = overlapping_stride(stride, self._framer, keys.packing)
        self._stores: dict[str, TokenStore] = {}

    def store(self, split: str) -> TokenStore:
        """The split's token store, built the first time."""
        if split not in self.corpus.splits:
            raise ValueError(f"data={self.name} has no {split} split, only {self.corpus.splits}")
        if split not in self._stores:
            self._stores[split] = build_or_open(
                self.cache_dir,
                self.corpus,
                split,
                self.tokenizer,
                self.keys.insert_eos,
                self.keys.num_proc,
                self.keys.verify,
                _tell,
            )
        return self._stores[split]

    def blocks(self, split: str) -> Blocks:
        """The split's blocks; ValueError where there is not even one."""
        store = self.store(split)
        tokens = store.meta["tokens"]
        if self.keys.packing == "pad":
            seed = self.seed if split == "train" else _EVAL_SEED
            insert_eos, crop = self.keys.insert_eos, self.keys.crop
            return PadBlocks(store, self._framer, insert_eos, crop, seed)
        stride = None if split == "train" else self.stride
        blocks = WrapBlocks(store, self._framer, self.keys.drop_last, stride)
        if len(blocks) == 0 or (split == "valid" and blocks.full == 0):
            raise ValueError(
                f"data={self.name}: the {split} split has {tokens} tokens, fewer than one block "
                f"of model.length={self.length}; use more text or a smaller model.length"
            )
        return blocks

    def prepare_data(self) -> None:
        """Builds the stores that the run needs; Lightning calls it once per node."""
        apart = "train" in self._needed() and self.corpus.is_held_out_apart
        if apart:
            train, valid = (self.corpus.found(split) for split in ("train", "valid"))
            refuse_same_files(train, valid)
        for split in self._needed():
            self.store(split)
        if apart:
            key = "data.valid_split" if valid is None else "data.valid_path"
            refuse_same_documents(self.store("train"), self.store("valid"), _tell, key)

    def setup(self, stage: str) -> None:
        """Opens the stores and refuses what has no block, or none for some process."""
        for split in self._needed():
            self.blocks(split)
        evaluated = len(self._eval_index(len(self.blocks("valid"))))
        _, world, _ = self._position()
        if evaluated < world:
            raise ValueError(
                f"trainer.num_nodes, trainer.devices: {world} processes are more than the blocks "
                f"to evaluate in the valid split of data={self.name}, {evaluated}"
            )

    def _needed(self) -> tuple[str, ...]:
        # An evaluation must not tokenize a training split that it never reads.
        fits = self.trainer is None or self.trainer.state.fn == "fit"
        return self.corpus.splits if fits else ("valid",)

    def train_dataloader(self) -> Loader:
        """Endless micro batches of this rank, from the trainer's current step on."""
        step, world, rank = self._position()
        sampler = StepSampler(step, self.global_batch_size, self.batch_size, world, rank)
        blocks = self.blocks("train")
        order = TrainOrder(len(blocks), self.seed)
        return Loader(View(blocks, order), sampler, self.num_workers)

    def val_dataloader(self) -> Loader:
        """This rank's share of the validation blocks, each once."""
        _, world, rank = self._position()
        blocks = self.blocks("valid")
        sampler = EvalSampler(self._eval_index(len(blocks)), self.eval_batch_size, world, rank)
        return Loader(View(blocks), sampler, self.num_workers)

    def _eval_index(self, count: int) -> np.ndarray:
        """All blocks, or `max_eval_blocks` of them at equal distances; in training the first of
        them."""
        most = self.keys.max_eval_blocks
        limit = count if most is None else min(most, count)
        index = np.arange(limit, dtype=np.int64) * count // limit
        return index[: self._validated(limit)]

    def _validated(self, blocks: int) -> int:
        """How many of so many blocks this stage reads."""
        part = self.limit_val_batches
        if not part or self.trainer is None or self.trainer.state.fn != "fit":
            return blocks
        if isinstance(part, float):
            return max(1, round(part * blocks))
        return min(blocks, part * self.eval_batch_size)

    def _position(self) -> tuple[int, int, int]:
        trainer = self.trainer
        if trainer is None:
            return 0, 1, 0
        return trainer.global_step, trainer.world_size, trainer.global_rank

    @property
    def language(self) -> MarkovLanguage | None:
        """The exact distribution of the text, where it is known."""
        return self.corpus.language

    @property
    def train_tokens(self) -> int:
        """Tokens of the training split, inserted EOS included."""
        return self.store("train").meta["tokens"]

    @cached_property
    def corpus_digests(self) -> dict[str, str]:
        """Content digest of each split that the run reads."""
        return {split: self.corpus.digest(split) for split in self._needed()}

    @property
    def valid_bytes_per_token(self) -> float | None:
        """UTF-8 bytes of the validation text per token of its stream, inserted EOS included; None
        for the Markov language, and where the tokens do not say all of the text."""
        if self.language is not None or self.valid_unsaid:
            return None
        meta = self.store("valid").meta
        return meta["text_bytes"] / meta["tokens"]

    @property
    def valid_unsaid(self) -> list[str]:
        """Phrases for what of the validation text no token says; none for the Markov language."""
        return [] if self.language is not None else unsaid(self.store("valid").meta)

    def protocol(self) -> dict[str, Any]:
        """Every field of the data that changes a validation number; a stride where blocks
        overlap."""
        return ({} if self.stride is None else {"stride": self.stride}) | {
            "split": "valid",
            "corpus_digest": self.store("valid").meta["fields"]["corpus"],
            "tokenizer": self.tokenizer.name,
            "tokenizer_digest": self.tokenizer.digest,
            "packing": self.keys.packing,
            "framing": self.keys.framing,
            "length": self.length,
            "insert_eos": self.keys.insert_eos,
            "drop_last": self.keys.drop_last if self.keys.packing == "wrap" else None,
            "crop": self.keys.crop if self.keys.packing == "pad" else None,
            "blocks": len(self._eval_index(len(self.blocks("valid")))),
        }


@rank_zero_only
def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)

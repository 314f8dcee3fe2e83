"""A model with its tokenizer for scripts and notebooks: texts drawn, corrected and scored by the
code of the commands."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from tqdm import tqdm

from algos.calls import network_calls
from algos.denoising import DiffusionAlgorithm
from algos.facts import facts_of
from algos.settings import read_algo
from data.infill import InfillTask, read_tasks
from data.order import by_length
from data.prompts import given_keys
from diffusion.times import seed_of
from hub.card import card
from hub.export import Exported, export_model
from hub.texts import Nats, Texts, check_count, likelihood, rows_of
from hub.trained import Trained, open_trained
from samplers.blocks import cut
from samplers.build import draw
from samplers.check import check_sampling
from samplers.config import sampler_config
from samplers.self_correction import correct
from samplers.settings import Sampling
from schema.check import check_values, unknown

# Keys of `sampling` that are of commands alone.
OF_COMMANDS = frozenset({"animate", "num_sample_batches", "show", "sweep", "tasks", "texts"})


class TextPipeline:
    """An algorithm in eval mode, its tokenizer, and the configuration that it was trained under."""

    def __init__(self, model: Trained, name: str = "") -> None:
        self.algorithm, self.tokenizer, self.checkpoint, self.averaged = model
        self.config: dict[str, Any] = self.checkpoint["config"]
        self.algo = read_algo(self.config["algo"])
        self.facts = facts_of(self.algo.name)
        self.length: int = self.config["model"]["length"]
        self._start = [] if self.config["data"]["framing"] == "none" else [self.tokenizer.bos]
        if self.facts.causal and not self._start:
            raise ValueError(f"{name}: trained without BOS, it has nothing to begin a text with")

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        tokenizer: str | None = None,
        averaged: bool = True,
        device: str | torch.device | None = None,
    ) -> Self:
        """A run directory or checkpoint of this suite, a published file or folder, or a name of the
        Hub, `OWNER/NAME@REVISION`; by default on a GPU where there is one. ValueError or OSError in
        one line for what cannot be opened."""
        model = open_trained(str(name), tokenizer, averaged)
        if device is None:
            device = "cuda" if torch.cuda.is_available() else "cpu"
        return cls(model, str(name)).to(device)

    def to(self, device: str | torch.device) -> Self:
        self.algorithm.to(device)
        return self

    def generate(
        self,
        num_samples: int = 1,
        num_inference_steps: int = 128,
        *,
        seed: int = 1,
        batch_size: int = 64,
        progress: bool = True,
        **options: Any,
    ) -> Texts:
        """Texts by any sampler: `options` are the keys of the command line's `sampling`, such as
        prompt, infill, length, temperature, p_nucleus, predictor. mode=sample_eval draws the same
        texts with this seed and loader.eval_batch_size. ValueError as there."""
        check_count("num_samples", num_samples)
        check_count("batch_size", batch_size)
        sampling = self._sampling(steps=num_inference_steps, **options)
        opening, end = len(self._start), self.tokenizer.eos
        sampler = sampler_config(sampling, self.algo, self.length, opening, end)
        longest = sampling.length or self.length
        if longest > self.length and not sampler.any_length:
            raise ValueError(f"sampling.length={longest}: between 2 and model.length={self.length}")
        task = self._task(sampling, longest)
        batches = range(0, num_samples, batch_size)
        sizes = [min(batch_size, num_samples - start) for start in batches]
        rows: list[list[int]] = []
        with self._bar(len(sizes) * sampler.calls([len(task.tokens)]), progress):
            for number, size in enumerate(sizes):
                torch.manual_seed(seed_of(seed, number))
                tokens = self._tensor([task.tokens] * size)
                fixed = self._tensor([task.fixed] * size)
                drawn = draw(sampler, self.algorithm, tokens, fixed).tokens.tolist()
                rows += [cut(row, task.fixed, sampler.end) for row in drawn]
        return self._texts(rows)

    def self_correction(
        self,
        texts: Sequence[str],
        num_inference_steps: int = 128,
        *,
        early_stopping: bool = True,
        temperature: float = 0.1,
        seed: int = 1,
        batch_size: int = 64,
        progress: bool = True,
        **options: Any,
    ) -> Texts:
        """The texts after GIDD's self-correction, at most so many steps; without `early_stopping`
        a text is not left alone before. `options` are tokens, patience and time, as of
        sampling.self_correction_*. ValueError where the algorithm corrects nothing."""
        check_count("batch_size", batch_size)
        if not early_stopping:
            options = {"patience": max(1, num_inference_steps)} | options
        given = options | {"temperature": temperature}
        self._sampling(
            self_correction=num_inference_steps,
            **{f"self_correction_{key}": value for key, value in given.items()},
        )
        rows = self._rows(texts)
        corrected = [list[int]() for _ in rows]
        groups = by_length(rows, batch_size)
        with self._bar(len(groups) * (num_inference_steps + 1), progress):
            for number, group in enumerate(groups):
                torch.manual_seed(seed_of(seed, number))
                z = self._tensor([rows[i] for i in group])
                fixed = torch.zeros_like(z, dtype=torch.bool)
                fixed[:, : len(self._start)] = True
                assert isinstance(self.algorithm, DiffusionAlgorithm)
                result, _ = correct(self.algorithm, z, fixed, steps=num_inference_steps, **given)
                for i, row in zip(group, result.tokens.tolist(), strict=True):
                    corrected[i] = row
        return self._texts(corrected)

    @torch.no_grad()
    def likelihood(
        self,
        texts: Sequence[str],
        passes: int = 16,
        *,
        batch_size: int = 64,
        progress: bool = True,
    ) -> list[Nats]:
        """-log p of each text, or a bound on it in the mean over `passes` draws of noise, with its
        standard error; exact, in one pass, for algo=ar (see `pipe.algorithm.nll_is_bound`)."""
        check_count("passes", passes)
        check_count("batch_size", batch_size)
        rows = self._rows(texts)
        count = passes if self.algorithm.nll_is_bound else 1
        groups = by_length(rows, batch_size)
        with self._bar(count * len(groups), progress):
            return likelihood(self.algorithm, rows, groups, len(self._start), count)

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes the model for the Hugging Face Hub, as mode=export does without its records.
        ValueError where the folder holds something else."""
        trained = {
            "algorithm": self.algo.name,
            "corpus": self.config["data"]["name"],
            "averaged_weights": self.averaged,
            "steps": self.checkpoint["global_step"] or None,
        }
        weights = self.algorithm.state_dict()
        model = Exported(
            config=self.config,
            weights={key: tensor.cpu() for key, tensor in weights.items()},
            vocab_size=self.algorithm.vocab_size,
            tokenizer=self.tokenizer,
            trained=trained,
            card=card(self.algo.name, self.facts.causal, trained, []),
        )
        export_model(Path(folder), model, "suite", "folder")

    def _sampling(self, **options: Any) -> Sampling:
        """The keys of `sampling`, checked as those of a command."""
        if of_commands := sorted(OF_COMMANDS & options.keys()):
            raise ValueError(f"sampling.{of_commands[0]}: of commands alone")
        for _, line in unknown(Sampling, options, "sampling"):
            raise ValueError(line)
        check_values(Sampling, "sampling", **options)
        sampling = Sampling(**options)
        check_sampling(self.algo, sampling)
        return sampling

    def _task(self, sampling: Sampling, longest: int) -> InfillTask:
        """The tokens of a text, and which of them are given."""
        if given_keys(sampling):
            (task,) = read_tasks(sampling, self.tokenizer, self._start, longest, self.facts.causal)
            return task
        blank = [self.tokenizer.vocab_size] * (longest - len(self._start))
        return InfillTask.after(self._start, blank)

    def _rows(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text, with BOS."""
        return rows_of(texts, self.tokenizer, self._start, self.length)

    def _texts(self, rows: list[list[int]]) -> Texts:
        return Texts([self.tokenizer.decode(row) for row in rows], rows)

    def _tensor(self, rows: Sequence[Sequence[Any]]) -> Tensor:
        return torch.tensor(rows, device=self.algorithm.device)

    @contextmanager
    def _bar(self, calls: int, shown: bool) -> Iterator[None]:
        """A progress bar of network calls."""
        with (
            tqdm(desc="network calls", total=calls, unit="call", disable=not shown) as bar,
            network_calls(self.algorithm, bar.update),
        ):
            yield


class GiddPipeline(TextPipeline):
    """The same under the name that users of GIDD's code type."""

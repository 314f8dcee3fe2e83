"""A causal network of ours as a Hugging Face model in lm-eval's stock adapter, and the tokenizer
that both read."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor
from transformers import (
    GenerationConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.modeling_outputs import CausalLMOutput

from algos.base import Algorithm
from data.tokenizers import Tokenizer, make_tokenizer
from evaluation.downstream.generation import Generator
from evaluation.downstream.lm_eval_adapter import Adapter
from evaluation.downstream.loglikelihood import LogLikelihoods
from samplers.config import SamplerConfig, sampler_config
from tests.algos.configured import SETTINGS

pytest.importorskip("lm_eval", reason="lm-eval is not installed")

SENTENCE = "the cat sat on a mat while two small dogs ran after him and barked at the old moon"
WORDS = SENTENCE.split()
TEXTS = [" ".join(WORDS[i % len(WORDS)] for i in range(k, 7 * k + 9, k)) for k in range(1, 17)]


def tokenizer_of(folder: Path) -> tuple[PreTrainedTokenizerFast, Tokenizer]:
    """Byte pairs of a few words, with BOS in front of a text on the stock side."""
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=["<s>"], initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(TEXTS, trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", backend.token_to_id("<s>"))]
    )
    stock = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="<s>")
    stock.save_pretrained(folder)
    return stock, make_tokenizer(str(folder))


class Settings(PretrainedConfig):
    model_type = "causal_dit"


class Causal(PreTrainedModel):
    """The network of an AR run, as Hugging Face has its models."""

    config_class = Settings

    def __init__(self, config: Settings, algorithm: Algorithm):
        super().__init__(config)
        self.network = algorithm.backbone
        self.generation_config = GenerationConfig()
        self.post_init()

    def _init_weights(self, module: torch.nn.Module) -> None:
        """They are there already."""

    def forward(self, input_ids: Tensor, **_: Any) -> CausalLMOutput:
        return CausalLMOutput(logits=self.network.head(self.network(input_ids)))


def stock_adapter(algorithm: Algorithm, tokenizer: Any, **options: Any) -> HFLM:
    config = Settings(vocab_size=algorithm.vocab_size)
    model = Causal(config, algorithm).eval()
    return HFLM(
        pretrained=model,
        tokenizer=tokenizer,
        backend="causal",
        max_length=algorithm.backbone.length,
        device="cpu",
        **options,
    )


def our_adapter(
    algorithm: Algorithm,
    tokenizer: Tokenizer,
    passes: int = 8,
    batch_size: int = 5,
    score: str = "continuation",
    algo: str = "ar",
) -> Adapter:
    begin, length = [tokenizer.bos], algorithm.backbone.length
    log_likelihoods = LogLikelihoods(algorithm, length, tokenizer.eos, passes, batch_size, score)
    settings = SETTINGS[algo]

    def draws(keys: dict[str, Any]) -> SamplerConfig:
        sampling = replace(settings.sampling, steps=8, **keys)
        return sampler_config(sampling, settings.algo, length, 1)

    generator = Generator(algorithm, tokenizer, begin, draws, batch_size, seed=3)
    return Adapter(log_likelihoods, generator, tokenizer, begin)


def asked(kind: str, *arguments: tuple, questions: list[int] | None = None) -> list[Instance]:
    """Requests as lm-eval makes them; by default each is a question of its own."""
    numbers = questions or list(range(len(arguments)))
    return [
        Instance(kind, {}, one, place, metadata=("task", number, 1))
        for place, (one, number) in enumerate(zip(arguments, numbers, strict=True))
    ]

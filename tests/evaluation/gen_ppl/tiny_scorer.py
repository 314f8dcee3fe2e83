"""A small random causal model with a byte tokenizer, saved as a Hugging Face folder."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import BertConfig, BertLMHeadModel, GPT2Config, GPT2LMHeadModel
from transformers import PreTrainedTokenizerFast as Fast

END = "<|endoftext|>"


def save_tokenizer(folder: Path) -> Fast:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: i for i, letter in enumerate(letters)}
    pairs = [("h", "e"), ("t", "he"), ("a", "n"), ("Ġ", "the")]
    vocabulary |= {"".join(pair): 256 + i for i, pair in enumerate(pairs)}
    backend = Tokenizer(models.BPE(vocabulary | {END: 260}, pairs))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    fast = Fast(tokenizer_object=backend, bos_token=END, eos_token=END, unk_token=END)
    fast.save_pretrained(folder)
    return fast


def save_scorer(folder: Path, window: int = 1024) -> GPT2LMHeadModel:
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=261, n_positions=window, n_embd=16, n_layer=1, n_head=2, initializer_range=0.3
    )
    network = GPT2LMHeadModel(config).eval()
    network.save_pretrained(folder)
    save_tokenizer(folder)
    return network


def save_bidirectional(folder: Path) -> None:
    config = BertConfig(
        vocab_size=261,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        initializer_range=0.3,
    )
    BertLMHeadModel(config).save_pretrained(folder)
    save_tokenizer(folder)

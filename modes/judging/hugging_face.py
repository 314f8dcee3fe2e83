"""A causal Hugging Face model as the judge of samples: from a folder or by its Hub name."""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from data.pretrained import load_pretrained
from data.tokenizer_files import from_library
from data.tokenizers import Tokenizer
from evaluation.gen_ppl import Judge

KEY = "eval.gen_ppl_eval_model_name_or_path"
LOGITS_BYTES = 2**28  # float32 logits of the texts that it reads together
TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.json",
    "vocab.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
)
WINDOWS = ("n_positions", "max_position_embeddings", "n_ctx", "max_seq_len")


def pretrained(name: str, tokenizer: Tokenizer) -> Judge:
    """The judge in a folder, in the local Hub cache or on the Hub, in float32. ValueError in one
    line without a tokenizer, without its weights, or where a token sees those after it."""
    own = _tokenizer(name)
    network = _network(name)
    config = network.config
    limit = next((getattr(config, key) for key in WINDOWS if getattr(config, key, None)), None)
    if limit is None:
        raise ValueError(f"{KEY}={name}: its config.json does not say how long a text it reads")
    _check_causal(network, name, min(limit, 4))
    width = config.get_text_config().vocab_size
    end = _first(own.eos_token_id, own.bos_token_id, own.pad_token_id)
    if end is None:
        raise ValueError(f"{KEY}={name}: its tokenizer has no token that ends a text")

    def encode(text: str, whole: bool) -> list[int]:
        return own(text, add_special_tokens=whole, verbose=False)["input_ids"]

    def nats(ids: Tensor) -> Tensor:
        ids = ids.to(network.device)
        logits = _read(network, ids[:, :-1]).logits.float()
        return F.cross_entropy(logits.mT, ids[:, 1:], reduction="none")

    def hidden(ids: Tensor) -> Tensor:
        return _read(network, ids.to(network.device), output_hidden_states=True).hidden_states[-1]

    return Judge(
        network=network,
        nats=nats,
        hidden=hidden,
        encode=encode,
        window=limit,
        texts_at_once=lambda length: max(1, LOGITS_BYTES // (4 * width * length)),
        bos=own.bos_token_id,
        eos=end,
        pads_left=own.padding_side == "left",
        digest=tokenizer.digest if _same(name, own, tokenizer) else None,
        evidence={
            "judge": name,
            "judge_digest": getattr(config, "_commit_hash", None),
            "algo": type(network).__name__,
            "window": limit,
            "tokenizer": name,
        },
    )


def _read(network: Any, ids: Tensor, **more: bool) -> Any:
    return network(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False, **more)


def _tokenizer(name: str) -> Any:
    folder = Path(name)
    if folder.is_dir() and not any((folder / file).is_file() for file in TOKENIZER_FILES):
        raise ValueError(
            f"{KEY}={name}: the folder has no tokenizer ({', '.join(TOKENIZER_FILES[:3])}, ...)"
        )
    try:
        if not folder.is_dir():
            load_pretrained(name)  # says within seconds where the Hub cannot be reached
        return from_library(name)
    except (OSError, ValueError) as error:
        raise ValueError(f"{KEY}={name}: no tokenizer of that name: {_line(error)}") from error


def _network(name: str) -> Any:
    from transformers import AutoModelForCausalLM

    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            name, dtype=torch.float32, output_loading_info=True, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise ValueError(f"{KEY}={name}: it cannot be loaded: {_line(error)}") from error
    network, found = loaded
    missing = sorted(found["missing_keys"])
    if missing:
        raise ValueError(f"{KEY}={name}: {len(missing)} of its weights are missing, {missing[0]}")
    return network.eval()


@torch.no_grad()
def _check_causal(network: Any, name: str, length: int) -> None:
    """What it says of the first tokens is the same whatever the last one is."""
    ids = torch.zeros(2, length, dtype=torch.long, device=network.device)
    ids[1, -1] = 1
    logits = _read(network, ids).logits[:, :-1]
    if not torch.allclose(logits[0], logits[1], atol=1e-3):
        raise ValueError(f"{KEY}={name}: not autoregressive, its tokens see those that come later")


def _same(name: str, own: Any, tokenizer: Tokenizer) -> bool:
    """Whether ids of the samples are ids of the judge."""
    if own.mask_token_id is not None or getattr(own, "backend_tokenizer", None) is None:
        return False  # ours has another place for the mask
    try:
        return load_pretrained(name).digest == tokenizer.digest
    except ValueError:
        return False  # no tokenizer that samples could have


def _first(*ids: int | None) -> int | None:
    return next((i for i in ids if i is not None), None)


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

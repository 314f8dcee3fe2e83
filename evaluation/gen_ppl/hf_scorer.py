"""A causal Hugging Face model as the scorer of samples: from a folder or by its Hub name."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
import torch.nn.functional as F
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import Tensor

from data.pretrained import load_pretrained
from data.tokenizer_files import (
    SENTENCEPIECE,
    TOKENIZER_FILES,
    first_line,
    from_hub,
    from_library,
)
from data.tokenizers import Tokenizer
from evaluation.gen_ppl.scorer import KEY, Scorer

LOGITS_BYTES = 2**28  # float32 logits of the texts that it reads together
# Raised by transformers and the libraries below it for damaged files and nonsense in them.
FAULTS = (
    *(OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError),
    *(EOFError, ImportError, UnpicklingError, SafetensorError, StrictDataclassError),
)
LINE = 200  # letters of a library's message that are shown
WINDOWS = ("n_positions", "max_position_embeddings", "n_ctx", "max_seq_len")


def pretrained(name: str, tokenizer: Tokenizer) -> Scorer:
    """The scorer in a folder, in the local Hub cache or on the Hub, in float32. ValueError in one
    line without a tokenizer, without its weights, or where a token sees those after it. No code
    that it names is run, and no pickle."""
    try:
        return _scorer(name, tokenizer)
    except ValueError as error:
        raise ValueError(f"{KEY}={name}: {error}") from error


def _scorer(name: str, tokenizer: Tokenizer) -> Scorer:
    vocabulary = _tokenizer(name)
    network = _network(name)
    config = network.config
    limit = next((getattr(config, key) for key in WINDOWS if getattr(config, key, None)), None)
    if limit is None:
        raise ValueError("its config.json does not say how long a text it reads")
    width, tokens = config.get_text_config().vocab_size, vocabulary.vocab_size
    if tokens > width:
        raise ValueError(f"its tokenizer has {tokens} tokens, its network knows {width}")
    _check_causal(network, min(limit, 4))
    ends = (vocabulary.eos_token_id, vocabulary.bos_token_id, vocabulary.pad_token_id)
    eos = next((token for token in ends if token is not None), None)
    if eos is None:
        raise ValueError("its tokenizer has no token that ends a text")

    def encode(text: str, whole: bool) -> list[int]:
        return vocabulary(text, add_special_tokens=whole, verbose=False)["input_ids"]

    def nats(ids: Tensor) -> Tensor:
        ids = ids.to(network.device)
        logits = _read(network, ids[:, :-1]).logits.float()
        return F.cross_entropy(logits.mT, ids[:, 1:], reduction="none")

    def hidden(ids: Tensor) -> Tensor:
        return _read(network, ids.to(network.device), output_hidden_states=True).hidden_states[-1]

    return Scorer(
        network=network,
        nats=nats,
        hidden=hidden,
        encode=encode,
        window=limit,
        texts_at_once=lambda length: max(1, LOGITS_BYTES // (4 * width * length)),
        bos=vocabulary.bos_token_id,
        eos=eos,
        pads_left=vocabulary.padding_side == "left",
        digest=tokenizer.digest if _same(name, vocabulary, tokenizer) else None,
        provenance={
            "scorer": name,
            "scorer_digest": getattr(config, "_commit_hash", None),
            "algo": type(network).__name__,
            "window": limit,
            "tokenizer": name,
        },
    )


def _read(network: Any, ids: Tensor, **more: bool) -> Any:
    return network(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False, **more)


def _tokenizer(name: str) -> Any:
    folder = Path(name)
    files = (*TOKENIZER_FILES, *SENTENCEPIECE)
    if folder.is_dir() and not any((folder / file).is_file() for file in files):
        raise ValueError(f"the folder has no tokenizer ({', '.join(TOKENIZER_FILES)}, ...)")
    with _reading("its tokenizer cannot be read"):
        return from_library(name) if folder.is_dir() else from_hub(name)


def _network(name: str) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    if (Path(name) / "adapter_config.json").is_file():
        raise ValueError("an adapter; save the model that it is merged into")
    with _reading("it cannot be loaded"):
        config = AutoConfig.from_pretrained(name, trust_remote_code=False)
        if getattr(config, "quantization_config", None) is not None:
            raise ValueError("its weights are quantized, a scorer reads in float32")
        # None: transformers' own choice, in the place of a kernel of the Hub that a file may name.
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            name,
            config=config,
            dtype=torch.float32,
            attn_implementation=None,
            trust_remote_code=False,
            weights_only=True,
            ignore_mismatched_sizes=True,  # they are refused below, by name
            output_loading_info=True,
        )
    network, report = loaded
    _check_weights(network, report)
    return network.eval()


def _check_weights(network: Any, report: dict[str, Any]) -> None:
    """ValueError where a weight was not in the files, was there in another size, or is one of
    further layers than the network has: transformers makes new ones, and says so in passing."""
    if missing := sorted(report["missing_keys"]):
        raise ValueError(f"{len(missing)} of its weights are missing, {missing[0]}")
    if other := sorted(report["mismatched_keys"]):
        weight, there, wanted = other[0]
        sizes = f"{weight} {tuple(there)} for {tuple(wanted)}"
        raise ValueError(
            f"{len(other)} of its weights have other sizes than its config.json says, {sizes}"
        )
    parameters = [re.sub(r"\d+", "#", weight) for weight, _ in network.named_parameters()]
    for weight in sorted(report["unexpected_keys"]):
        if any(parameter.endswith(re.sub(r"\d+", "#", weight)) for parameter in parameters):
            raise ValueError(f"its files have more layers than its config.json says, {weight}")


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Turns a library's exceptions for bad files into a ValueError in one line that begins with
    `what`."""
    try:
        yield
    except FAULTS as error:
        raise ValueError(f"{what}: {_line(error)}") from error


@torch.no_grad()
def _check_causal(network: Any, length: int) -> None:
    """ValueError unless the logits of the first tokens are the same whatever the last one is."""
    ids = torch.zeros(2, length, dtype=torch.long, device=network.device)
    ids[1, -1] = 1
    logits = _read(network, ids).logits[:, :-1]
    if not logits.isfinite().all():
        raise ValueError("what it says of a text is not finite, its weights are bad")
    if not torch.allclose(logits[0], logits[1], atol=1e-3):
        raise ValueError("not autoregressive, its tokens see those that come later")


def _same(name: str, vocabulary: Any, tokenizer: Tokenizer) -> bool:
    """Whether ids of the samples are ids of the scorer."""
    is_fast = getattr(vocabulary, "backend_tokenizer", None) is not None
    if vocabulary.mask_token_id is not None or not is_fast:
        return False  # ours has another place for the mask
    try:
        return load_pretrained(name).digest == tokenizer.digest
    except ValueError:
        return False  # no tokenizer that samples could have


def _line(error: Exception) -> str:
    """The first line of its message, behind its name where that alone tells what it is about."""
    if isinstance(error, UnpicklingError):
        return "its files hold more than weights, and nothing else is unpickled"
    message = first_line(error)[:LINE]
    if isinstance(error, OSError | ValueError) or not str(error).strip():
        return message
    return f"{type(error).__name__}: {message}"

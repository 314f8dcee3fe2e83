"""An autoregressive run of this suite as the scorer of samples."""

from typing import Any

from torch import Tensor

from algos.base import Algorithm, batch_of
from data.tokenizers import Tokenizer
from evaluation.gen_ppl.scorer import Scorer

BATCH = 64  # texts that are scored together; their logits are made some rows at a time


def ar_scorer(
    algorithm: Algorithm, tokenizer: Tokenizer, length: int, bos: int | None, source: dict[str, Any]
) -> Scorer:
    """The restored `algorithm` with its `tokenizer` and a window of `length` tokens; `bos` as it
    was trained with, `source` what a record says of where it came from."""
    mark = tokenizer.decode([tokenizer.eos], special=True)

    def encode(text: str, whole: bool) -> list[int]:
        first, *rest = tokenizer.encode_batch(text.split(mark))
        return first.tolist() + [i for part in rest for i in (tokenizer.eos, *part.tolist())]

    def nats(ids: Tensor) -> Tensor:
        ids = ids.to(algorithm.device)
        return algorithm.nll(batch_of(ids, given=0))[:, 1:]

    return Scorer(
        network=algorithm,
        nats=nats,
        hidden=lambda ids: algorithm.backbone(ids.to(algorithm.device)),
        encode=encode,
        window=length,
        texts_at_once=lambda _: BATCH,
        bos=bos,
        eos=tokenizer.eos,
        pads_left=False,
        digest=tokenizer.digest,
        provenance=source | {"algo": "ar", "window": length, "tokenizer": tokenizer.name},
    )

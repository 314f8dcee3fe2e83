"""The judge of samples: an autoregressive run of this suite, or a Hugging Face model."""

from pathlib import Path

import torch
from torch import Tensor

from algos.base import Algorithm
from data.tokenizers import Tokenizer
from evaluation.gen_ppl.inputs import as_ids
from evaluation.gen_ppl.protocols import protocol
from evaluation.gen_ppl.scorer import Judge
from modes import build, trained_run
from training.checkpoint import checkpoint_file

KEY = "eval.gen_ppl_eval_model_name_or_path"
AT_ONCE = 64  # texts that a run reads together; its logits are made some rows at a time


def open_judge(settings: build.Settings, tokenizer: Tokenizer) -> Judge | None:
    """The judge that eval.gen_ppl_eval_model_name_or_path names, loaded: a run of algo=ar (its
    directory or a checkpoint), a folder or a Hub name of a causal Hugging Face model; None for
    none. ValueError or OSError in one line for what cannot judge.

    Only a judge with the `tokenizer` of the samples is ever handed their ids."""
    name = settings["eval"]["gen_ppl_eval_model_name_or_path"]
    if name is None:
        return None
    path = Path(str(name)).expanduser()
    if path.is_file() or checkpoint_file(path).is_file():
        return _able(_run(settings, path), settings, tokenizer)
    if path.exists() and not (path / "config.json").is_file():
        raise ValueError(
            f"{KEY}={name}: neither a run (no checkpoints/last.ckpt in it) nor a Hugging Face "
            f"model (no config.json)"
        )
    from evaluation.gen_ppl.hf_scorer import pretrained

    judge = pretrained(str(path) if path.exists() else str(name), tokenizer)
    return _able(judge, settings, tokenizer)


def _able(judge: Judge, settings: build.Settings, tokenizer: Tokenizer) -> Judge:
    """The judge; ValueError where the protocol hands over tokens that are not its own."""
    as_ids(judge, tokenizer, protocol(settings["eval"]["quality_protocol"]))
    return judge


def _run(settings: build.Settings, path: Path) -> Judge:
    chosen = settings["eval"] | {"checkpoint_path": str(path), "disable_ema": False}
    run = trained_run.open_run(settings | {"eval": chosen}, [], key=KEY)
    if run.settings["algo"]["name"] != "ar":
        raise ValueError(
            f"{KEY}={path}: a run of algo=ar is needed, this one has algo="
            f"{run.settings['algo']['name']}"
        )
    own = trained_run.open_tokenizer(run)
    algorithm, length = trained_run.restore(run, own.vocab_size), run.settings["model"]["length"]
    mark = own.decode([own.eos], special=True)

    def encode(text: str, whole: bool) -> list[int]:
        first, *rest = own.encode_batch(text.split(mark))
        return first.tolist() + [i for part in rest for i in (own.eos, *part.tolist())]

    def nats(ids: Tensor) -> Tensor:
        return _nats(algorithm, ids.to(algorithm.device))

    return Judge(
        network=algorithm,
        nats=nats,
        hidden=lambda ids: algorithm.backbone(ids.to(algorithm.device)),
        encode=encode,
        window=length,
        texts_at_once=lambda _: AT_ONCE,
        bos=own.bos if run.settings["data"]["framing"] != "none" else None,
        eos=own.eos,
        pads_left=False,
        digest=own.digest,
        evidence={
            "scorer": str(path),
            "scorer_digest": run.digest,
            "algo": "ar",
            "window": length,
            "tokenizer": own.name,
        },
    )


def _nats(algorithm: Algorithm, ids: Tensor) -> Tensor:
    everything = torch.ones_like(ids, dtype=torch.bool)
    batch = {"tokens": ids, "scored": everything, "noised": everything}
    return algorithm.nll(batch | {"index": torch.arange(len(ids))})[:, 1:]

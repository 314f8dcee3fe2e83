"""Published models in the place of runs: eval.checkpoint_path, training.finetune_path, scorers."""

from pathlib import Path

from algos.facts import facts_of
from data.tokenizers import Tokenizer
from hub.imported_model import ImportedModel
from hub.open import is_published, open_model
from hub.tokenizer import with_tokenizer
from modes.settings import Compose, Plain, Settings, stored, typed
from training import finetune
from training.checkpoint import checkpoint_file, weights_of
from training.finetune import KEY, Source, in_memory

DATA = Path(__file__).resolve().parents[1] / "configs" / "data"
CORPORA = {  # names of the published programs
    "Skylion007/openwebtext": "openwebtext-split",
    "openwebtext": "openwebtext-split",
    "openwebtext-train": "openwebtext-split",
    "text8-crop": "text8",
}
SIZES = ("hidden_size", "cond_dim", "n_blocks", "n_heads")


def with_config(
    opened: ImportedModel,
    name: str,
    key: str,
    tokenizer: str | None,
    overrides: list[str],
    compose: Compose | None,
) -> tuple[ImportedModel, Plain, Tokenizer]:
    """The model, opened by `name`, the configuration of a run that it stands for, and the tokenizer
    that is given or else its own. The text of its training, where `compose` knows it, is that of
    the configuration."""
    model, made = with_tokenizer(opened, name, key, tokenizer)
    config = model.checkpoint["config"]
    corpus = config["data"]["name"]
    corpus = CORPORA.get(corpus, corpus) or "unknown"
    data = config["data"] | {"name": corpus, "tokenizer_name_or_path": made.name}
    if compose is not None and (DATA / f"{corpus}.yaml").is_file():
        data = stored(compose([*overrides, f"data={corpus}"]))["data"] | data
    return model, config | {"data": data}, made


def check_given(model: ImportedModel, settings: Settings, given: set[str], key: str) -> None:
    """ValueError for a network on the command line that is not the model's."""
    of_model = typed(model.checkpoint["config"])
    causal = facts_of(of_model.algo.name).causal
    for name in SIZES if {"model", "model.name"} & given else ():
        asked, has = getattr(settings.model, name), getattr(of_model.model, name)
        if asked != has and not (causal and name == "cond_dim"):  # which is told no noise level
            raise ValueError(
                f"model={settings.model.name}: its {name}={asked}, that of {key}={model.source} "
                f"is {has}"
            )
    if settings.eval.disable_ema and model.averaged and "ema" not in model.checkpoint:
        raise ValueError(f"eval.disable_ema=true: {key}={model.source} has averaged weights alone")


def read_source(name: str, settings: Settings) -> Source:
    """A run, checkpoint or published model; ValueError where the tokenizer of this run is not that
    of the published model."""
    averaged = settings.training.finetune_ema
    if not is_published(name, KEY):
        file = checkpoint_file(Path(name).expanduser())
        # Processes that share out the weights share out the checks too, as soon as they meet.
        sharded = settings.strategy.name == "fsdp"
        return finetune.read_source(file, averaged, slice(0) if sharded else slice(None))
    tokenizer = settings.data.tokenizer_name_or_path
    opened = open_model(name, KEY)
    model, config, made = with_config(opened, name, KEY, tokenizer, [], None)
    apart = "ema" in model.checkpoint
    provenance = {
        "algo": config["algo"]["name"],
        "steps": model.steps,
        "tokens": model.tokens,
        "checkpoint": str(model.file),
        "checkpoint_digest": model.digest,
        "weights": "averaged" if (averaged if apart else model.averaged) else "raw",
        "source": model.source,
        "finetuned_from": None,
    }
    weights = {
        name: in_memory(weight) for name, weight in weights_of(model.checkpoint, averaged).items()
    }
    if model.tokenizer in (None, tokenizer):
        return Source(weights, config, provenance, model.vocab_size, made.digest)
    named = config["data"] | {"tokenizer_name_or_path": model.tokenizer}
    return Source(weights, config | {"data": named}, provenance, model.vocab_size)

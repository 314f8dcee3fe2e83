"""The weights that a run begins with: of another run, or of a published model."""

from pathlib import Path

from hub.open import is_published, open_model
from modes import build, imported
from modes.settings import typed
from training import finetune
from training.checkpoint import checkpoint_file, weights_of
from training.finetune import KEY, Source, in_memory


def read_source(name: str, settings: build.Settings) -> Source:
    """A run, checkpoint or published model; ValueError where the tokenizer of this run is not that
    of the published model."""
    options = typed(settings)
    averaged = options.training.finetune_ema
    if not is_published(name, KEY):
        file = checkpoint_file(Path(name).expanduser())
        # Processes that share out the weights share out the checks too, as soon as they meet.
        sharded = options.strategy.name == "fsdp"
        return finetune.read_source(file, averaged, slice(0) if sharded else slice(None))
    tokenizer = options.data.tokenizer_name_or_path
    opened = open_model(name, KEY)
    model, config, made = imported.with_config(opened, name, KEY, tokenizer, [], None)
    apart = "ema" in model.checkpoint
    provenance = {
        "algo": typed(config).algo.name,
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

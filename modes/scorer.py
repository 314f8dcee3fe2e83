"""The scorer that eval.gen_ppl_eval_model_name_or_path names, opened."""

from dataclasses import replace
from pathlib import Path

from algos.facts import facts_of
from data.tokenizers import Tokenizer
from evaluation.gen_ppl.ar_scorer import ar_scorer
from evaluation.gen_ppl.inputs import as_ids
from evaluation.gen_ppl.protocols import PROTOCOLS
from evaluation.gen_ppl.scorer import KEY, Scorer
from hub.cache import config_folder
from hub.exported import is_exported
from hub.sources import is_hub_name
from modes import trained_run
from modes.settings import Settings
from training.checkpoint import checkpoint_file


def open_scorer(settings: Settings, tokenizer: Tokenizer) -> Scorer | None:
    """A run of algo=ar (its directory, a checkpoint, or an export: a folder or a Hub name), or a
    folder or a Hub name of a causal Hugging Face model, loaded; None for none. ValueError or
    OSError in one line for what cannot score texts, and where the protocol hands over ids of
    another tokenizer than that of the samples."""
    options = settings.eval
    name = options.gen_ppl_eval_model_name_or_path
    if name is None:
        return None
    path = Path(name)
    folder = config_folder(name) if is_hub_name(name) else path
    if path.is_file() or checkpoint_file(path).is_file() or _is_export(folder):
        scorer = _of_run(settings, name)
    elif path.exists() and not (path / "config.json").is_file():
        raise ValueError(
            f"{KEY}={name}: neither a run (no checkpoints/last.ckpt in it) nor a Hugging Face "
            f"model (no config.json)"
        )
    else:
        from evaluation.gen_ppl.hf_scorer import pretrained  # it imports transformers

        scorer = pretrained(name, tokenizer)
    as_ids(scorer, tokenizer, PROTOCOLS[options.quality_protocol])
    return scorer


def _is_export(folder: Path | None) -> bool:
    """Faults in the files of another model are its own loader's to name."""
    try:
        return folder is not None and is_exported(folder)
    except ValueError:
        return False


def _of_run(settings: Settings, name: str) -> Scorer:
    evaluation = replace(settings.eval, checkpoint_path=name, disable_ema=False)
    network = replace(settings.model, attention="sdpa")
    run = trained_run.open_run(replace(settings, eval=evaluation, model=network), [], key=KEY)
    options = run.settings
    if not facts_of(options.algo.name).causal:
        raise ValueError(
            f"{KEY}={name}: a run of algo=ar is needed, this one has algo={options.algo.name}"
        )
    tokenizer = trained_run.open_tokenizer(run)
    return ar_scorer(
        trained_run.restore(run),
        tokenizer,
        options.model.length,
        bos=None if options.data.framing == "none" else tokenizer.bos,
        source={"scorer": name, "scorer_digest": run.digest},
    )

"""What can be refused by looking at the configuration alone, within the first second of a command.

The rooms check their own arguments; what they check is said again here where it can be, because
importing them takes seconds. A test holds the choices against the rooms' dicts."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

Settings = dict[str, Any]

CHOICES = {
    "algo.loss_type": ("bound", "low_var"),
    "algo.curriculum": ("efficient", "full"),
    "algo.divergence": ("forward", "reverse"),
    "algo.teacher": ("averaged", "raw"),
    "algo.weighting": ("clip", "dynamic", "dynamic_published", "none"),
    "model.attention": ("flash", "flex", "sdpa"),
    "data.packing": ("pad", "wrap"),
    "data.framing": ("bos", "bos-eos", "none"),
    "strategy.name": ("auto", "ddp"),
    "sampling.noise_removal": ("ancestral", "greedy"),
}
AT_LEAST = {
    "seed": 0,
    "algo.T": 2,
    "algo.reconstruct_one_in": 1,
    "algo.k": 2,
    "algo.rounds": 1,
    "algo.grid": 1,
    "model.hidden_size": 1,
    "model.length": 2,
    "model.n_blocks": 1,
    "model.n_heads": 1,
    "trainer.max_steps": 1,
    "checkpointing.every_n_steps": 1,
    "eval.passes": 1,
    "sampling.steps": 1,
    "sampling.num_sample_batches": 1,
    "sampling.self_correction": 0,
    "sampling.self_correction_tokens": 1,
    "sampling.self_correction_patience": 1,
    "loader.global_batch_size": 1,
    "loader.eval_batch_size": 1,
    "loader.num_workers": 0,
}
ABOVE_ZERO = (
    "sampling.temperature",
    "sampling.self_correction_temperature",
    "algo.max_weight",
    "algo.tau",
    "optim.lr",
)
BELOW_ONE = (
    "sampling.min_p",
    "sampling.self_correction_time",
    "algo.p_uniform",
    "model.dropout",
    "training.ema",
    "training.sampling_eps",
)
TAUGHT = ("duo_distill", "distillation")  # what begins with the run of a teacher
TEXTS = (".json", ".jsonl", ".txt")
OF_DRAWING = (  # what plays no part where texts come from a file
    "sampling.predictor",
    "sampling.steps",
    "sampling.length",
    "sampling.temperature",
    "sampling.min_p",
    "sampling.noise_removal",
    "sampling.num_sample_batches",
)


def check(settings: Settings, given: Collection[str]) -> None:
    """ValueError naming the key, the value and what is allowed; `given` are the overridden keys."""
    for key, allowed in CHOICES.items():
        value = lookup(settings, key)
        if value is not None and value not in allowed:
            raise ValueError(f"{key}={value!r}: choose from {', '.join(allowed)}")
    for key, least in AT_LEAST.items():
        value = lookup(settings, key)
        if value is not None and value < least:
            raise ValueError(f"{key}={value}: must be at least {least}")
    for key in ABOVE_ZERO:
        value = lookup(settings, key)
        if value is not None and value <= 0:
            raise ValueError(f"{key}={value}: must be positive")
    for key in BELOW_ONE:
        value = lookup(settings, key)
        if value is not None and not 0 <= value < 1:
            raise ValueError(f"{key}={value}: must be at least 0 and below 1")
    share = lookup(settings, "algo.curriculum_share")
    if share is not None and not 0 <= share <= 1:
        raise ValueError(f"algo.curriculum_share={share}: must be from 0 to 1")
    check_pairs(settings, given)
    check_training(settings)
    check_judge(settings)
    if settings["mode"] == "train":
        starts_from(settings)


def check_pairs(settings: Settings, given: Collection[str]) -> None:
    """Combinations that make no sense."""
    algo = settings["algo"]
    # An evaluation takes the algorithm from its run, unless the command line says which it must be.
    if settings["mode"] == "train" or "algo" in given:
        check_sampling(algo, settings["sampling"])
    check_texts(settings["sampling"], given)
    noise = settings["noise"]["name"]
    if any(key.split(".")[0] == "noise" for key in given) and noise not in algo["noises"]:
        allowed = algo["noises"] or "no noise key: its own parameters set it"
        raise ValueError(f"noise={noise}: algo={algo['name']} takes {allowed}")
    if settings["mode"] in ("ppl_eval", "sample_eval") and not settings["eval"]["checkpoint_path"]:
        raise ValueError(
            f"eval.checkpoint_path: mode={settings['mode']} needs a run directory or a checkpoint"
        )
    width, heads = settings["model"]["hidden_size"], settings["model"]["n_heads"]
    if width % (2 * heads):
        raise ValueError(
            f"model.n_heads={heads}: model.hidden_size={width} must be an even multiple of it"
        )


def check_training(settings: Settings) -> None:
    """What an algorithm needs or cannot use in training."""
    algo, training = settings["algo"], settings["training"]
    low, high = algo.get("gamma_min"), algo.get("gamma_max")
    for key, gamma in (("algo.gamma_min", low), ("algo.gamma_max", high)):
        if gamma is not None and abs(gamma) > 8:
            raise ValueError(f"{key}={gamma}: must be from -8 to 8")
    if low is not None and high is not None and low >= high:
        raise ValueError(f"algo.gamma_min={low}: must be below algo.gamma_max={high}")
    if "T" in algo and training["sampling_eps"] is not None:
        raise ValueError(
            f"training.sampling_eps={training['sampling_eps']}: "
            f"algo={algo['name']} draws its times from the grid that algo.T sets"
        )
    if algo.get("teacher") == "averaged" and not training["ema"]:
        raise ValueError("algo.teacher=averaged: needs training.ema above 0")
    trained = {"train": [algo["name"]], "benchmark": settings["benchmark"]["algos"]}
    for name in trained.get(settings["mode"], []):
        if name in TAUGHT and not training["finetune_path"]:
            raise ValueError(
                f"training.finetune_path: algo={name} needs the run of its teacher, "
                f"such as one of algo=duo"
            )


def check_sampling(algo: Settings, sampling: Settings) -> None:
    """What a run of `algo` cannot do."""
    predictor, steps = sampling["predictor"], sampling["self_correction"]
    if predictor is not None and predictor not in algo["predictors"]:
        raise ValueError(
            f"sampling.predictor={predictor}: algo={algo['name']} can use {algo['predictors']}"
        )
    used = predictor or algo["predictors"][0]
    if sampling["noise_removal"] == "greedy" and used != "ancestral":
        raise ValueError(
            f"sampling.noise_removal=greedy: sampling.predictor={used} of algo={algo['name']} has "
            f"its own last step"
        )
    if algo["name"] == "sedd_uniform" and (sampling["temperature"], sampling["min_p"]) != (1, 0):
        raise ValueError(
            "sampling.temperature, sampling.min_p: algo=sedd_uniform predicts ratios, which have "
            "no temperature; leave them 1 and 0"
        )
    uniform = algo.get("p_uniform")
    if steps and not (algo["corrects"] and uniform != 0):
        named = algo["name"] if uniform is None else f"{algo['name']} with p_uniform={uniform}"
        raise ValueError(
            f"sampling.self_correction={steps}: algo={named} cannot, its network predicts nothing "
            f"for a token that stands already; algorithms with uniform noise can"
        )


def check_judge(settings: Settings) -> None:
    """The judge of samples is a run that is there."""
    judge = settings["eval"]["gen_ppl_eval_model_name_or_path"]
    if judge is not None and not Path(str(judge)).exists():
        raise FileNotFoundError(
            f"eval.gen_ppl_eval_model_name_or_path={judge}: there is no such run directory or "
            f"checkpoint"
        )


def check_texts(sampling: Settings, given: Collection[str]) -> None:
    """A file of texts to correct is there, and nothing is said of it that is for drawing."""
    if sampling["texts"] is None:
        return
    named, file = f"sampling.texts={sampling['texts']}", Path(str(sampling["texts"]))
    if not sampling["self_correction"]:
        raise ValueError(f"{named}: needs sampling.self_correction, the steps of correction")
    for key in OF_DRAWING:
        if key in given:
            raise ValueError(f"{key}: plays no part with {named}, nothing is drawn")
    if file.suffix not in TEXTS:
        raise ValueError(f"{named}: a file that ends in {', '.join(TEXTS)} is needed")
    if not file.is_file():
        raise FileNotFoundError(f"{named}: there is no such file")


def starts_from(settings: Settings) -> Path | None:
    """The checkpoint file of another run that this one begins with; None for a run from nothing,
    and for one that goes on from its own last checkpoint.

    ValueError for the run itself, FileNotFoundError where there is none."""
    given, own = settings["training"]["finetune_path"], settings["checkpointing"]["save_dir"]
    if not given:
        return None
    path, folder = Path(str(given)), Path(own) / "checkpoints"
    file = path / "checkpoints" / "last.ckpt" if path.is_dir() else path
    if path.resolve() == Path(own).resolve() or file.resolve().parent == folder.resolve():
        raise ValueError(
            f"training.finetune_path={given}: that is this run itself; choose another one, or "
            f"another checkpointing.save_dir"
        )
    if (folder / "last.ckpt").exists():
        return None
    if not file.is_file():
        raise FileNotFoundError(f"training.finetune_path={given}: there is no checkpoint at {file}")
    return file


def lookup(settings: Settings, key: str) -> Any:
    """The value at a key with dots, None where there is none."""
    node: Any = settings
    for part in key.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return node

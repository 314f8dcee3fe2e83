"""Which published recipe a training without one resembles."""

from pathlib import Path

from algos.settings import GIDD
from modes.settings import Settings

FOLDER = Path(__file__).resolve().parents[2] / "configs" / "experiment"
CORPORA = {"lm1b": "lm1b", "lm1b-wrap": "lm1b-wrap", "openwebtext-split": "owt", "text8": "text8"}


def recipe_of(settings: Settings) -> str | None:
    """The recipe of the same network, text and algorithm, where there is one."""
    algo, model, data = settings.algo, settings.model.name, settings.data.name
    if data not in CORPORA:
        return None
    name = f"{CORPORA[data]}_{algo.name}" if model == "small" else ""
    if isinstance(algo, GIDD) and CORPORA[data] == "owt":
        name = f"gidd_{model}_pu{algo.p_uniform:.1f}"
    if algo.name == "duo_distill":
        name = f"{CORPORA[data]}_distill"
    return name if (FOLDER / f"{name}.yaml").is_file() else None


def hint(settings: Settings) -> str | None:
    """One line for a training with the small defaults where a recipe was probably meant."""
    name = recipe_of(settings)
    if settings.mode != "train" or name is None:
        return None
    return (
        f"experiment={name} is the published recipe; without it this is a batch of "
        f"{settings.loader.global_batch_size}, optim.lr={settings.optim.lr:g}, "
        f"{settings.trainer.max_steps:,} steps"
    )

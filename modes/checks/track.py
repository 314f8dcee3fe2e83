"""The rules of a track for a command, before its work; only the standard library, but where the
parameters of another network have to be counted."""

from collections.abc import Callable, Collection
from typing import Any

from algos.facts import canonical
from leaderboard.tracks.rules import broken, budget_of

Settings = dict[str, Any]
MODES = ("benchmark", "leaderboard")


def check_track(
    settings: Settings, overridden: Collection[str], compose: Callable[[list[str]], Settings]
) -> None:
    """ValueError with the first rule that the command breaks; `overridden` are the keys of the
    command line, `compose` gives the settings of the track alone."""
    for key in overridden:
        if key.startswith("track."):
            raise ValueError(f"{key}: a rule of its file in configs/track; choose track=NAME")
    name = settings["track"]["name"]
    if name is None:
        return
    if settings["mode"] not in MODES:
        raise ValueError(f"track={name}: for mode={' and mode='.join(MODES)}")
    if "experiment" in overridden:
        raise ValueError(f"experiment: track={name} is a recipe itself; single keys change it")
    reference = compose([f"track={name}"])
    budget = reference["benchmark"]["budget"]
    parsed = budget_of(budget)
    if parsed is None:
        raise ValueError(
            f'track={name}: benchmark.budget={budget} in its file; it needs one such as "1M tokens"'
        )
    if "trainer.max_steps" in overridden and parsed[1] != "seconds":
        raise ValueError(
            f"trainer.max_steps={settings['trainer']['max_steps']}: track={name} gives {budget}, "
            f"which the steps follow from"
        )
    for line in broken(settings, reference):
        raise ValueError(line)
    if any(key.split(".")[0] == "model" for key in overridden):
        _check_parameters(settings, reference["track"])


def _check_parameters(settings: Settings, track: Settings) -> None:
    """ValueError for a network that is too large, whichever algorithm it is for."""
    from backbones.cost import parameters  # it takes seconds, for the few who change the network
    from modes.estimate import sizes_of, vocabulary

    size, most = vocabulary(settings["data"]), track["parameters"]
    for algo in settings["benchmark"]["algos"] if most is not None else []:
        of_algo = settings | {"algo": settings["algo"] | {"name": canonical(algo)}}
        count = sum(parameters(sizes_of(of_algo, size)).values())
        if count > most:
            raise ValueError(
                f"model.hidden_size={settings['model']['hidden_size']}, "
                f"model.n_blocks={settings['model']['n_blocks']}: {count:,} parameters for "
                f"algo={algo}, track={track['name']} has at most {most:,}"
            )

"""The rules of a track for a command, before its work; only the standard library, but where the
parameters of another network have to be counted."""

from collections.abc import Collection
from dataclasses import replace

from algos.facts import canonical
from leaderboard.settings import Track
from leaderboard.tracks.rules import broken, budget_of
from modes.settings import Compose, Settings, stored

MODES = ("benchmark", "leaderboard")


def check_track(settings: Settings, overridden: Collection[str], compose: Compose) -> None:
    """ValueError with the first rule that the command breaks; `overridden` are the keys of the
    command line, `compose` gives the settings of the track alone."""
    for key in overridden:
        if key.startswith("track."):
            raise ValueError(f"{key}: a rule of its file in configs/track; choose track=NAME")
    name = settings.track.name
    if name is None:
        return
    if settings.mode not in MODES:
        raise ValueError(f"track={name}: for mode={' and mode='.join(MODES)}")
    if "experiment" in overridden:
        raise ValueError(f"experiment: track={name} is a recipe itself; single keys change it")
    reference = compose([f"track={name}"])
    budget = reference.benchmark.budget
    parsed = budget_of(budget)
    if parsed is None:
        raise ValueError(
            f'track={name}: benchmark.budget={budget} in its file; it needs one such as "1M tokens"'
        )
    if "trainer.max_steps" in overridden and parsed.unit != "seconds":
        raise ValueError(
            f"trainer.max_steps={settings.trainer.max_steps}: track={name} gives {budget}, which "
            f"the steps follow from"
        )
    for line in broken(stored(settings), stored(reference)):
        raise ValueError(line)
    if any(key.split(".")[0] == "model" for key in overridden):
        _check_parameters(settings, reference.track)


def _check_parameters(settings: Settings, track: Track) -> None:
    """ValueError for a network that is too large, whichever algorithm it is for."""
    from backbones.cost import parameters  # it takes seconds, for the few who change the network
    from modes.estimate import sizes_of, vocabulary

    if track.parameters is None:
        return
    size = vocabulary(settings.data)
    for algo in settings.benchmark.algos:
        of_algo = replace(settings, algo=replace(settings.algo, name=canonical(algo)))
        count = sum(parameters(sizes_of(of_algo, size)).values())
        if count > track.parameters:
            raise ValueError(
                f"model.hidden_size={settings.model.hidden_size}, "
                f"model.n_blocks={settings.model.n_blocks}: {count:,} parameters for "
                f"algo={algo}, track={track.name} has at most {track.parameters:,}"
            )

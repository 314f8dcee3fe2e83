"""mode=benchmark: every algorithm with the same data, network and budget, then the table."""

from collections.abc import Callable
from typing import Any

from modes import leaderboard, ppl_eval, sample_eval, train
from modes.checks import check


def run(settings: dict[str, Any], overrides: list[str], compose: Callable[..., Any]) -> None:
    """Trains what is not yet trained, then evaluates and samples each; a second call goes on where
    it was."""
    kept = [text for text in overrides if text.partition("=")[0] not in ("mode", "algo")]
    rows = [[*kept, f"algo={algo}"] for algo in settings["benchmark"]["algos"]]
    composed = [compose(own) for own in rows]
    for own, its in zip(rows, composed, strict=True):  # all before the first, which may take hours
        check(its, {text.lstrip("+~").partition("=")[0] for text in own})
    for own, its in zip(rows, composed, strict=True):
        directory = its["checkpointing"]["save_dir"]
        train.run(its, own, compose)
        for mode in (ppl_eval, sample_eval):
            mine = [*own, f"eval.checkpoint_path={directory}"]
            mode.run(compose(mine), mine, compose)
    leaderboard.run(settings, overrides, compose)

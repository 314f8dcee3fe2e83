"""The processes and the device that a mode needs, and the keys of strategy=fsdp."""

import os

from modes.settings import Settings

LAUNCHED = {"WORLD_SIZE": "torchrun", "SLURM_STEP_NUM_TASKS": "srun"}
SHARED = ("train", "ppl_eval", "sample_eval")  # modes that share their work out
IN_FLOAT32 = ("audit", "oracle")
PRECISIONS = (None, 32, "32", "32-true", "bf16-mixed")  # of strategy=fsdp


def launched() -> list[tuple[str, str, int]]:
    """Launchers, each with its variable and the number of processes that it says it started."""
    return [
        (launcher, name, int(os.environ[name]))
        for name, launcher in LAUNCHED.items()
        if os.environ.get(name, "").isdigit()
    ]


def check_machine(settings: Settings) -> None:
    """ValueError for several processes of a mode that is one: each would do all of the work and
    write its own records; and for an attention that does not compute in a mode's float32."""
    mode, attention = settings.mode, settings.model.attention
    for launcher, name, started in launched():
        if started > 1 and mode not in SHARED:
            raise ValueError(
                f"mode={mode}: is one process, but {launcher} started {started} ({name}); start "
                f"one; {', '.join(SHARED)} share their work out"
            )
    if mode in IN_FLOAT32 and attention == "flash":
        raise ValueError(
            f"model.attention={attention}: mode={mode} computes in float32, which it does not "
            f"know; choose sdpa or flex"
        )


def check_sharding(settings: Settings) -> None:
    """ValueError for a mode that does not train, for a precision without a counterpart, and for
    copies between nodes where there is one node."""
    strategy, trainer = settings.strategy, settings.trainer
    sharded, within = strategy.name == "fsdp", strategy.shard_within_node
    if within and not sharded:
        raise ValueError(
            f"strategy.shard_within_node=true: for strategy=fsdp, not strategy={strategy.name}"
        )
    if not sharded:
        return
    if settings.mode != "train":
        raise ValueError(
            f"strategy=fsdp: mode=train alone shares out weights; mode={settings.mode} reads "
            f"such a run as any other, with strategy=auto or ddp"
        )
    if trainer.precision not in PRECISIONS:
        raise ValueError(
            f"trainer.precision={trainer.precision}: strategy=fsdp computes in 32-true or "
            f"bf16-mixed"
        )
    if within and trainer.num_nodes == 1:
        raise ValueError(
            "strategy.shard_within_node=true: needs trainer.num_nodes above 1; within one node "
            "strategy=fsdp does so anyway"
        )

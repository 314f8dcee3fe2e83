"""Keys that strategy=fsdp needs or cannot have beside it."""

from modes.settings import Settings

PRECISIONS = (None, 32, "32", "32-true", "bf16-mixed")


def check_sharding(options: Settings) -> None:
    """ValueError for a mode that does not train, for a precision without a counterpart, and for
    copies between nodes where there is one node."""
    strategy, trainer = options.strategy, options.trainer
    sharded, within = strategy.name == "fsdp", strategy.shard_within_node
    if within and not sharded:
        raise ValueError(
            f"strategy.shard_within_node=true: for strategy=fsdp, not strategy={strategy.name}"
        )
    if not sharded:
        return
    if options.mode != "train":
        raise ValueError(
            f"strategy=fsdp: mode=train alone shares out weights; mode={options.mode} reads "
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

"""The processes and the device that a mode needs."""

import os

from modes.settings import Settings

# How many processes a launcher says it started.
LAUNCHED = {"WORLD_SIZE": "torchrun", "SLURM_STEP_NUM_TASKS": "srun"}
SHARED = ("train", "ppl_eval", "sample_eval")  # modes that share their work out
IN_FLOAT32 = ("audit", "oracle")


def check_machine(options: Settings) -> None:
    """ValueError for several processes of a mode that is one: each would do all of the work and
    write its own records; and for an attention that does not compute in a mode's float32."""
    mode, attention = options.mode, options.model.attention
    for name, launcher in LAUNCHED.items():
        started = os.environ.get(name, "")
        if started.isdigit() and int(started) > 1 and mode not in SHARED:
            raise ValueError(
                f"mode={mode}: is one process, but {launcher} started {started} ({name}); start "
                f"one; {', '.join(SHARED)} share their work out"
            )
    if mode in IN_FLOAT32 and attention == "flash":
        raise ValueError(
            f"model.attention={attention}: mode={mode} computes in float32, which it does not "
            f"know; choose sdpa or flex"
        )

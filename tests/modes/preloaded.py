"""What the server of `forked` imports before it forks: what takes long in a command, and nothing
that computes at its import, so that a fork is whole."""

import gc
from importlib import import_module

for name in (
    "lightning.pytorch",
    "torchmetrics",
    "transformers",
    "main",
    "modes.ppl_eval.run",
    "modes.sample_eval.run",
    "modes.train.run",
    "tests.modes.forked",
):
    import_module(name)

gc.freeze()  # a collection in a fork would write to, and so copy, every page of the imports

"""The keys of `model`; only the standard library."""

from dataclasses import dataclass
from typing import Literal

from schema.fields import field


@dataclass(frozen=True)
class Model:
    name: str = field("nano", "the network's name in tables and folders", written="name")
    hidden_size: int = field(128, "width, an even multiple of n_heads", at_least=1, at_most=65536)
    cond_dim: int = field(128, "width of the embedded noise level", at_least=1, at_most=65536)
    length: int = field(128, "tokens of a block", at_least=2, at_most=2**20)
    n_blocks: int = field(4, "transformer blocks", at_least=1, at_most=1024)
    n_heads: int = field(4, "attention heads", at_least=1, at_most=1024)
    dropout: float = field(0.0, "probability of dropout in training", within="[0, 1)")
    attention: Literal["flash", "flex", "sdpa"] = field("sdpa", "implementation of attention")
    activation_checkpointing: bool = field(False, "recompute activations, for less memory")
    compile: bool | None = field(
        None, "torch.compile blocks and losses; null: in training on a GPU that can"
    )
    loss_kernels: bool = field(
        False, "losses by Triton kernels in training on a GPU; no GPU has measured them yet"
    )

    def check(self) -> None:
        check_heads(self.hidden_size, self.n_heads)


def check_heads(width: int, heads: int) -> None:
    """ValueError where a head cannot have half of its width rotated."""
    if width % (2 * heads):
        raise ValueError(
            f"model.n_heads={heads}: model.hidden_size={width} must be an even multiple of it"
        )

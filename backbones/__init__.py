"""Networks from tokens, or soft tokens, to hidden states."""

from backbones.dit import DiT

__all__ = ["DiT"]

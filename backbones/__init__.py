"""Networks from tokens, or soft tokens, to hidden states."""

from backbones.cache import KVCache
from backbones.dit import DiT

__all__ = ["DiT", "KVCache"]

"""Counter-based random numbers (Philox4x32-10; Salmon et al., SC 2011): each is a function of a key
and of where it is used, computed for a whole batch at once on any device."""

import torch
from torch import Tensor

ROUNDS = 10
MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
KEY_STEPS = 0x9E3779B9, 0xBB67AE85
WORD = 0xFFFFFFFF

Words = tuple[Tensor, Tensor, Tensor, Tensor]


def philox(counter: Words, key: int) -> Words:
    """Four random words for every counter of four words and a key of 64 bits; all words are int64
    tensors of one shape, or shapes that broadcast, with values below 2^32."""
    a, b, c, d = counter
    low, high = key & WORD, key >> 32 & WORD
    for _ in range(ROUNDS):
        # The products wrap around at 2^64, which keeps their bits.
        first, second = a * MULTIPLIERS[0], c * MULTIPLIERS[1]
        a, b = (second >> 32 & WORD) ^ b ^ low, second & WORD
        c, d = (first >> 32 & WORD) ^ d ^ high, first & WORD
        low, high = (low + KEY_STEPS[0]) & WORD, (high + KEY_STEPS[1]) & WORD
    return a, b, c, d


def uniforms(index: Tensor, length: int, count: int, key: int) -> Tensor:
    """(count, B, L) float64 in [0, 1), multiples of 2^-53: number j at position l of the example
    `index` (B,) is a function of (key, index, l, j) alone."""
    device, pairs = index.device, (count + 1) // 2
    example = index.view(1, -1, 1)
    position = torch.arange(length, device=device).view(1, 1, -1)
    pair = torch.arange(pairs, device=device).view(-1, 1, 1)
    words = philox((example & WORD, example >> 32 & WORD, position, pair), key)
    two = [_fraction(*words[:2]), _fraction(*words[2:])]
    return torch.stack(two, 1).flatten(0, 1)[:count]


def _fraction(high: Tensor, low: Tensor) -> Tensor:
    """The 53 highest bits of two words, below one."""
    return ((high >> 5 << 26) + (low >> 6)).double() * 2.0**-53

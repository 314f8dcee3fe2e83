"""Facts of each sampler that its construction and the checks of a command share; the standard
library alone."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SamplerFacts:
    """`has_grid` says whether its steps follow a grid of times; otherwise each network call makes
    one token."""

    has_grid: bool = True
    own_end: bool = False  # whether its last step is its own, whatever sampling.noise_removal
    left_to_right: bool = False
    longer_than_network: bool = False  # by windows, drawn by the first sampler of the algorithm
    has_profile: bool = False  # whether it takes sampling.kappa and what belongs to it
    has_older_draws: bool = False  # whether sampling.draws can be those of older code
    constant_in_time: bool = False  # whether the network must not see the time
    flips_coins: bool = False  # whether a step flips a coin for each position
    has_order: bool = False  # whether it reveals masks by sampling.order
    masks_only: bool = False  # whether it knows no uniform noise


FACTS = {
    "ancestral": SamplerFacts(has_older_draws=True, flips_coins=True),
    "ancestral_cache": SamplerFacts(has_older_draws=True, constant_in_time=True, flips_coins=True),
    "psi": SamplerFacts(has_profile=True, flips_coins=True),
    "first_hitting": SamplerFacts(has_grid=False, own_end=True, masks_only=True),
    "ordered": SamplerFacts(has_grid=False, own_end=True, has_order=True, masks_only=True),
    "analytic": SamplerFacts(own_end=True, flips_coins=True),
    "euler": SamplerFacts(own_end=True, flips_coins=True),
    "ar": SamplerFacts(has_grid=False, own_end=True, left_to_right=True),
    "semi_ar": SamplerFacts(longer_than_network=True),
}

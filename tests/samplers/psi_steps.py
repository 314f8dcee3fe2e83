"""One step of a Psi-sampler by its published formulas."""

import torch

from diffusion.process import Process
from samplers.kappa import Parts
from tests.diffusion import brute_force
from tests.diffusion.cases import SCHEDULES

SIZE = 3
NAMES = ["absorbing log-linear", "uniform log-linear closed", "hybrid 0.6"]
ABSORBING = Process(SCHEDULES[NAMES[0]], SIZE)
SIGMAS = {  # of eta, alpha_t and alpha_s
    "constant-remdm-eta": lambda eta, now, then: eta,
    "max-capped-eta": lambda eta, now, then: min(eta, (1 - then) / now),
    "max-rescale-eta": lambda eta, now, then: eta * min(1, (1 - then) / now),
    "max-rescale-eta-published": lambda eta, now, then: eta * min(eta, (1 - then) / now),
}


def at(made, t, s, process=ABSORBING):
    """kappa of one step, a number."""
    return float(Parts(made, process)(process, torch.zeros(1, 1).long(), t, s))


def mixed(law, z, later, earlier, kappa):
    """(N+1,) kappa q_{s|t} + (1 - kappa) [keep_s q_{0|t} + what the noise of s puts anywhere]."""
    posterior = brute_force.posterior(law, z, later, earlier)
    clean = brute_force.posterior(law, z, later, (1.0, 0.0, 0.0))
    again = earlier[0] * clean + brute_force.leftover(earlier, len(law))
    return kappa * posterior + (1 - kappa) * again

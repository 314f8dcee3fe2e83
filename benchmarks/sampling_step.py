"""Time and peak memory of a sampling step of every sampler, beside one plain forward, in one run.

    .venv/bin/python benchmarks/sampling_step.py

Float32 at the GPT-2 vocabulary, batch 4, length 128, 8 layers of 256. "plain" is one forward of the
network and its head over all positions, (batch, length, vocabulary) logits; a step leads from t =
1/2 to 1/2 - 1/128. Cases alternate over the repeats and the median counts; glibc is told to keep
freed memory. The peak is what a step needs above the weights; (batch, length, vocabulary) alone
would be 103 MB. "hit" is a step in which nothing is drawn. Then: left-to-right sampling with and
without the cache of keys and values, and the network evaluations of whole texts, counted."""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from algos.denoising import DiffusionAlgorithm
from backbones.dit import DiT
from benchmarks.measure import composed, peak_megabytes, timed
from diffusion.categorical import draw
from diffusion.logits_warper import LogitsWarper
from diffusion.prediction import Prediction
from modes import build
from samplers.ancestral import ancestral
from samplers.autoregressive import autoregressive
from samplers.build import Counter
from samplers.first_hitting import first_hitting
from samplers.grids import uniform_grid
from samplers.kappa import profile, psi
from samplers.race import gumbel32
from samplers.score import analytic, euler
from training.memory import keep_freed_memory

VOCABULARY, BATCH, LENGTH, STEP = 50257, 4, 128, 1 / 128
SIZES = ("model.hidden_size=256", "model.n_blocks=8", "model.n_heads=8")
NUCLEUS = LogitsWarper(top_p=0.9)
remdm = partial(psi, profile=profile("psi-rescale"))


class Case(NamedTuple):
    """A step of an algorithm's sampler, and the most that it may take of the plain forward."""

    algo: str
    sampler: Callable[..., Tensor]
    step: float = STEP
    warper: LogitsWarper = LogitsWarper()
    limit: float | None = None


CASES = {
    "mdlm": Case("mdlm", ancestral, limit=0.6),
    "mdlm, hit": Case("mdlm", ancestral, step=1e-12, limit=0.05),
    "mdlm, top-p": Case("mdlm", ancestral, warper=NUCLEUS, limit=0.6),
    "mdlm, psi": Case("mdlm", remdm, limit=0.6),
    "mdlm, gumbel32": Case("mdlm", gumbel32),
    "udlm": Case("udlm", ancestral, limit=1.5),
    "udlm, top-p": Case("udlm", ancestral, warper=NUCLEUS),
    "udlm, psi": Case("udlm", remdm, limit=1.5),
    "udlm, gumbel32": Case("udlm", gumbel32),
    "gidd": Case("gidd", ancestral, limit=1.5),
    "sedd, analytic": Case("sedd", analytic, limit=1.5),
    "sedd, euler": Case("sedd", euler, limit=1.5),
    "sedd_uniform, analytic": Case("sedd_uniform", analytic, limit=1.5),
    "sedd_uniform, euler": Case("sedd_uniform", euler, limit=1.5),
}


@dataclass
class Clock:
    """The seconds of a network's forward passes since the last look."""

    forward: Callable[..., Tensor]
    seconds: float = 0.0

    def __call__(self, *arguments: Any, **options: Any) -> Tensor:
        began = time.perf_counter()
        result = self.forward(*arguments, **options)
        self.seconds += time.perf_counter() - began
        return result


def algorithm(name: str, length: int = LENGTH, states: int = VOCABULARY, *more: str) -> Any:
    """With random weights, a head of its own scale among them, as after training; `more` are
    settings of the network and of the algorithm."""
    settings = composed(f"algo={name}", f"model.length={length}", "seed=0", *SIZES, *more)
    made = build.new_algorithm(settings, states).eval()
    torch.nn.init.normal_(made.backbone.head.weight, std=0.05)
    return made


def step_function(case: Case, model: DiffusionAlgorithm, clock: Clock) -> Callable[[], None]:
    """One step from a text noised to t = 1/2."""
    x = torch.randint(VOCABULARY, (BATCH, LENGTH))
    half = torch.full((BATCH,), 0.5, dtype=torch.float64)
    z, grid = model.process.corrupt(x, half), torch.tensor([0.5, 0.5 - case.step]).double()

    def denoise(z: Tensor, t: Tensor, rows: Tensor) -> Prediction:
        return Prediction(model.backbone.head, clock(z, t), case.warper)

    return lambda: case.sampler(denoise, model.process, z, grid)


@torch.no_grad()
def plain(net: DiT, tokens: Tensor) -> Tensor:
    return net.head(net(tokens))


def report_steps(wanted: list[str], repeats: int) -> None:
    """The table of steps, in plain forwards."""
    models = {name: algorithm(name) for name in dict.fromkeys(CASES[w].algo for w in wanted)}
    net = next(iter(models.values())).backbone
    tokens, clocks = torch.randint(VOCABULARY, (BATCH, LENGTH)), {}
    steps: dict[str, Callable[[], Any]] = {"plain": partial(plain, net, tokens)}
    for name in wanted:
        clocks[name] = Clock(models[CASES[name].algo].hidden)
        steps[name] = step_function(CASES[name], models[CASES[name].algo], clocks[name])
    peaks = {name: peak_megabytes(step) for name, step in steps.items()}
    for clock in clocks.values():
        clock.seconds = 0.0
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(repeats):
        for name, step in steps.items():
            seconds[name].append(timed(step))
    unit = statistics.median(seconds["plain"])
    print(f"{'step':24} {'seconds':>8} {'/ plain':>8} {'target':>7} {'network':>8} {'peak MB':>8}")
    for name, times in seconds.items():
        middle, limit = statistics.median(times), CASES[name].limit if name in CASES else None
        share = clocks[name].seconds / sum(times) if name in CASES else 1.0
        mark = f"{limit:7.2f}" if limit else " " * 7
        late = "  above its target" if limit and middle > limit * unit else ""
        print(f"{name:24} {middle:8.4f} {middle / unit:8.3f} {mark} {share:8.0%} ", end="")
        print(f"{peaks[name]:8.0f}{late}")


def uncached(net: DiT, tokens: Tensor) -> None:
    """Left to right by one full forward, head over all positions, for every token."""
    for position in range(1, tokens.shape[1]):
        tokens[:, position] = draw(plain(net, tokens[:, :position])[:, -1])


def published(net: DiT, tokens: Tensor) -> None:
    """The same as the published code of AR does it: with the log-softmax of all positions, and a
    race of Gumbel noise, drawn for every token at every position beforehand."""
    noise = torch.distributions.Gumbel(0.0, 1.0).sample((*tokens.shape, VOCABULARY))
    for position in range(1, tokens.shape[1]):
        log_p = plain(net, tokens[:, :position]).log_softmax(-1)
        tokens[:, position] = (log_p[:, -1] + noise[:, position]).argmax(-1)


@torch.inference_mode()  # as mode=sample_eval draws
def report_left_to_right(lengths: list[int]) -> None:
    """Whole texts with and without the cache; the target is a tenth at 128 tokens."""
    model = algorithm("ar", max(lengths))
    print(f"\n{'ar, tokens':>10} {'cached':>8} {'without':>8} {'ratio':>7}", end="")
    print(f" {'published':>10} {'ratio':>7}")
    for length in lengths:
        tokens = torch.zeros(BATCH, length, dtype=torch.long)
        fixed = torch.zeros_like(tokens, dtype=torch.bool)
        fixed[:, 0] = True
        cached = statistics.median(
            timed(partial(model.sample, tokens, fixed, autoregressive)) for _ in range(3)
        )
        slow = timed(partial(uncached, model.backbone, tokens))
        slower = timed(partial(published, model.backbone, tokens))
        print(f"{length:10} {cached:8.2f} {slow:8.2f} {cached / slow:7.3f}", end="")
        print(f" {slower:10.2f} {cached / slower:7.3f}")


def report_evaluations() -> None:
    """Network evaluations per text, which are at most its length, and seconds."""
    model, blank = algorithm("mdlm"), torch.zeros(BATCH, LENGTH, dtype=torch.long)
    runs = {"first_hitting": first_hitting}
    runs |= {f"ancestral, {n}": partial(ancestral, grid=uniform_grid(n)) for n in (64, 256, 1024)}
    print(f"\n{'mdlm, whole texts':20} {'evaluations':>12} {'seconds':>8}")
    for name, sampler in runs.items():
        counter = Counter()
        loop = counter.of(sampler, 1)
        seconds = timed(partial(model.sample, blank, blank.bool(), loop))
        print(f"{name:20} {counter.texts / BATCH:12.1f} {seconds:8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--only", nargs="+", choices=CASES, help="these steps, and nothing else")
    parser.add_argument("--lengths", nargs="+", type=int, default=[32, 64, 128, 256])
    options = parser.parse_args()
    keep_freed_memory()
    report_steps(options.only or list(CASES), options.repeats)
    if not options.only:
        report_left_to_right(options.lengths)
        report_evaluations()


if __name__ == "__main__":
    main()

"""References by full matrices and enumeration, in float64 numpy, that share no code with the suite.

States are 0..N-1 and the mask N; a level is the tuple (keep, mask, noise), summing to one.
"""

import math
from collections.abc import Callable

import numpy as np
from scipy import linalg, stats

Level = tuple[float, float, float]


def log_linear(t: float) -> float:
    return 1 - (1 - 1e-3) * t


def cosine(t: float) -> float:
    return 1 - math.cos(math.pi / 2 * (1 - (1 - 1e-3) * t))


def geometric(t: float) -> float:
    return math.exp(-(1e-4 ** (1 - t)) * 20**t)


def hybrid(t: float, share: float, gamma: float = 1.0) -> Level:
    """GIDD: ((1-t) x + t m + c u) / (1 + c), c = 2^g p/(1-p) (t (1-t))^(g/2)."""
    c = 2**gamma * share / (1 - share) * (t * (1 - t)) ** (gamma / 2)
    return (1 - t) / (1 + c), t / (1 + c), c / (1 + c)


def closed(alpha: Callable[[float], float], t: float) -> float:
    """The same shape, stretched to run from exactly 1 to exactly 0."""
    return (alpha(t) - alpha(1.0)) / (alpha(0.0) - alpha(1.0))


LEVELS: dict[str, Callable[[float], Level]] = {
    "absorbing log-linear": lambda t: (log_linear(t), 1 - log_linear(t), 0.0),
    "absorbing cosine": lambda t: (cosine(t), 1 - cosine(t), 0.0),
    "absorbing geometric": lambda t: (geometric(t), 1 - geometric(t), 0.0),
    "uniform log-linear": lambda t: (log_linear(t), 0.0, 1 - log_linear(t)),
    "uniform cosine": lambda t: (cosine(t), 0.0, 1 - cosine(t)),
    "uniform geometric": lambda t: (geometric(t), 0.0, 1 - geometric(t)),
    "absorbing cosine closed": lambda t: (closed(cosine, t), 1 - closed(cosine, t), 0.0),
    "absorbing geometric closed": lambda t: (closed(geometric, t), 1 - closed(geometric, t), 0.0),
    "uniform log-linear closed": lambda t: (closed(log_linear, t), 0.0, 1 - closed(log_linear, t)),
    "hybrid 0.1": lambda t: hybrid(t, 0.1),
    "hybrid 0.6": lambda t: hybrid(t, 0.6),
}


def leftover(level: Level, size: int) -> np.ndarray:
    """(N+1,) mass that a level puts on each state whatever the clean token is."""
    _, mask, noise = level
    return np.append(np.full(size, noise / size), mask)


def marginal(level: Level, size: int, clean: int | None = None) -> np.ndarray:
    """(N, N+1) matrix of q_t(z | x); with `clean` = N + 1 the mask may be clean too."""
    return level[0] * np.eye(clean or size, size + 1) + leftover(level, size)


def transition(later: Level, earlier: Level, size: int) -> np.ndarray:
    """(N+1, N+1) matrix of q(z_t | z_s), rows z_s, the one that carries level s to level t."""
    ratio = later[0] / earlier[0]
    return ratio * np.eye(size + 1) + leftover(later, size) - ratio * leftover(earlier, size)


def posterior(
    prediction: np.ndarray, z: int, later: Level, earlier: Level, size: int | None = None
) -> np.ndarray:
    """(N+1,) Bayes: q(z_s | z_t = z), clean token ~ prediction (N,), or (N+1,) where `size` = N
    says that the last one is the mask; an impossible z stays z."""
    size = size or len(prediction)
    clean = prediction @ marginal(earlier, size, len(prediction))
    joint = transition(later, earlier, size)[:, z] * clean
    return joint / joint.sum() if joint.sum() > 0 else np.eye(size + 1)[z]


def divergence(p: np.ndarray, q: np.ndarray) -> float:
    """KL(p || q) in nats; states that p never visits do not count."""
    seen = p > 0
    return float(np.sum(p[seen] * np.log(p[seen] / q[seen])))


def entropy(law: np.ndarray) -> float:
    """Entropy in nats of a law of any shape."""
    seen = law[law > 0]
    return float(-np.sum(seen * np.log(seen)))


def agrees(counts: np.ndarray, law: np.ndarray, odds: float = 1e-6) -> bool:
    """Whether counts are a likely draw from law: each cell by binomial tails, all by chi-square."""
    total = counts.sum()
    tails = np.minimum(stats.binom.cdf(counts, total, law), stats.binom.sf(counts - 1, total, law))
    expected = law * total
    common = expected >= 10  # where the chi-square law holds
    distance = np.sum((counts - expected)[common] ** 2 / expected[common])
    return bool(tails.min() > odds and stats.chi2.sf(distance, common.sum()) > odds)


def random_language(size: int, length: int, seed: int) -> np.ndarray:
    """(N,) * L joint law of a text, rough enough that positions depend on each other."""
    weights = np.random.default_rng(seed).gamma(0.5, size=(size,) * length)
    return (weights + 1e-3) / (weights + 1e-3).sum()


def corrupted(language: np.ndarray, level: Level, skip: int | None = None) -> np.ndarray:
    """Joint law after corrupting every position but `skip`: axes z_1 .. x_skip .. z_L."""
    law = language
    for axis in range(language.ndim):
        if axis != skip:
            law = np.moveaxis(
                np.tensordot(law, marginal(level, language.shape[0]), axes=(axis, 0)), -1, axis
            )
    return law


def clean_and_rest(language: np.ndarray, level: Level) -> np.ndarray:
    """(S^L, L, N) of P(x_l = x, z without l) for every text z of S = N+1 states, in C order."""
    size, length = language.shape[0], language.ndim
    columns = []
    for position in range(length):
        law = np.moveaxis(corrupted(language, level, skip=position), position, -1)
        law = np.repeat(np.expand_dims(law, position), size + 1, axis=position)
        columns.append(law.reshape(-1, size))
    return np.stack(columns, axis=1)


def leave_one_out(language: np.ndarray, level: Level) -> np.ndarray:
    """(S^L, L, N) of p(x_l | z without l); uniform where the rest of z is impossible."""
    joint = clean_and_rest(language, level)
    total = joint.sum(-1, keepdims=True)
    return np.where(total > 0, joint / np.where(total > 0, total, 1), 1 / joint.shape[-1])


def states(size: int, length: int) -> np.ndarray:
    """(S^L, L) every text of S = N+1 states, in C order."""
    return np.stack(np.unravel_index(np.arange((size + 1) ** length), (size + 1,) * length), -1)


def information(language: np.ndarray, level: Level) -> float:
    """I(x; z_t) in nats: entropy of the noised text less the entropy of its noise."""
    size = language.shape[0]
    noise = entropy(marginal(level, size)[0])  # the same for every clean token
    return entropy(corrupted(language, level)) - language.ndim * noise


def product_kernel(
    laws: Callable[[int, int, int], np.ndarray], size: int, length: int
) -> np.ndarray:
    """(S^L, S^L) one step that redraws every position by itself: laws(row, position, z) (S,)."""
    texts = states(size, length)
    kernel = np.zeros((len(texts), len(texts)))
    for row, text in enumerate(texts):
        law = np.ones(1)
        for position, z in enumerate(text):
            law = np.kron(law, laws(row, position, int(z)))
        kernel[row] = law
    return kernel


def sampler_kernel(language: np.ndarray, later: Level, earlier: Level) -> np.ndarray:
    """(S^L, S^L) one step that redraws every position independently from its exact posterior."""
    prediction = leave_one_out(language, later)
    return product_kernel(
        lambda row, position, z: posterior(prediction[row, position], z, later, earlier),
        language.shape[0],
        language.ndim,
    )


def rate_matrix(kind: str, size: int) -> np.ndarray:
    """(N+1, N+1) rates from row to column per unit of sigma: to the mask, or to a uniform token."""
    if kind == "absorbing":
        return np.append(np.zeros((size + 1, size)), np.ones((size + 1, 1)), 1) - np.eye(size + 1)
    rates = np.zeros((size + 1, size + 1))
    rates[:size, :size] = 1 / size - np.eye(size)
    return rates


def positive(weights: np.ndarray) -> np.ndarray:
    """Weights as a law, those below zero left out."""
    return weights.clip(0) / weights.clip(0).sum()


def analytic_step(scores: np.ndarray, z: int, rates: np.ndarray, sigma: float) -> np.ndarray:
    """SEDD's p(z_s = y) ~ (exp(-sigma Q) s)_y exp(sigma Q)(y -> z), by matrix exponentials."""
    return positive(linalg.expm(-sigma * rates).T @ scores * linalg.expm(sigma * rates)[:, z])


def euler_step(scores: np.ndarray, z: int, rates: np.ndarray, sigma: float) -> np.ndarray:
    """SEDD's [y = z] + sigma R_y, R_y = Q(y -> z) s_y for y != z and R_z = -sum of the others."""
    reverse = rates[:, z] * scores
    reverse[z] = 0
    reverse[z] = -reverse.sum()
    return positive(np.eye(len(scores))[z] + sigma * reverse)

"""Algorithms with two names."""

ALIASES = {"duo_base": "udlm", "distillation": "duo_distill"}


def canonical(algorithm: str) -> str:
    """The name that settings, records and folders have."""
    return ALIASES.get(algorithm, algorithm)


def same_algorithm(name: str, other: str) -> bool:
    return canonical(name) == canonical(other)

"""python -m integral: the noise levels that a Gaussian path gives to a vocabulary, as a table and a
plot."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import torch
from torch import Tensor

from integral import cache
from integral.quadrature import HIGH, LOW
from integral.transformation import Transformation

PICTURES = (".pdf", ".png", ".svg")
WIDTH, HEIGHT = 64, 12  # characters of the terminal plot


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, or 2 with one line where the input makes no sense."""
    options = _parser().parse_args(arguments)
    try:
        print(_write_tables() if options.write_tables else _report(options))
    except (ValueError, OSError) as error:
        print(f"python -m integral: {error}", file=sys.stderr)
        return 2
    return 0


class _Parser(argparse.ArgumentParser):
    """One line for what it cannot read, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m integral", description=__doc__)
    parser.add_argument("--vocab-size", type=int, default=50257, help="N, the ordinary tokens")
    parser.add_argument("--gamma-min", type=float, default=-3.55, help="least noise")
    parser.add_argument("--gamma-max", type=float, default=-1.85, help="most noise")
    parser.add_argument("--points", type=int, default=9, help="rows of the table")
    parser.add_argument("--plot", type=Path, help=f"also a picture: {', '.join(PICTURES)}")
    parser.add_argument("--cache-dir", help=f"where tables are kept ({cache.CACHE_FOLDER})")
    parser.add_argument(
        "--write-tables", action="store_true", help="compute the shipped tables anew, and only that"
    )
    return parser


def _check(options: argparse.Namespace) -> None:
    low, high = options.gamma_min, options.gamma_max
    if not LOW <= low < high <= HIGH:
        raise ValueError(
            f"--gamma-min {low:g} --gamma-max {high:g}: must be {LOW:g} <= min < max <= {HIGH:g}"
        )
    if options.points < 2:
        raise ValueError(f"--points {options.points}: must be 2 or more")
    if options.plot is not None and options.plot.suffix.lower() not in PICTURES:
        raise ValueError(f"--plot {options.plot}: must end in {', '.join(PICTURES)}")


def _report(options: argparse.Namespace) -> str:
    _check(options)
    transformation = Transformation(options.vocab_size, options.cache_dir)
    gamma = _between(options, options.points)
    a = torch.sqrt(torch.sigmoid(-gamma))
    alpha, slope, *_ = torch.func.jvp(transformation, (gamma,), (torch.ones_like(gamma),))
    lines = [f"{'gamma':>9} {'a':>10} {'alpha':>13} {'d alpha/d gamma':>16}"]
    for row in torch.stack([gamma, a, alpha, slope], 1).tolist():
        lines.append("{:9.4f} {:10.6f} {:13.6e} {:16.6e}".format(*row))
    lines += ["", f"N = {options.vocab_size}; table {transformation.source}", ""]
    lines += _plotted(transformation(_between(options, WIDTH)), options)
    if options.plot is not None:
        _picture(transformation, options)
        lines.append(f"picture: {options.plot}")
    return "\n".join(lines)


def _between(options: argparse.Namespace, points: int) -> Tensor:
    return torch.linspace(options.gamma_min, options.gamma_max, points, dtype=torch.float64)


def _plotted(alpha: Tensor, options: argparse.Namespace) -> list[str]:
    """alpha over gamma in characters, from 1 at the top to 0 at the bottom."""
    heights = (alpha * (HEIGHT - 1)).round().int().tolist()
    lines = []
    for level in reversed(range(HEIGHT)):
        marks = "".join("*" if height == level else " " for height in heights).rstrip()
        lines.append(f"{level / (HEIGHT - 1):5.2f} |{marks}".rstrip())
    ends = f"{options.gamma_min:<8g}{'gamma':^{WIDTH - 16}}{options.gamma_max:>8g}"
    return [f"{'alpha':>5}", *lines, f"      +{'-' * WIDTH}", f"       {ends}"]


def _picture(transformation: Transformation, options: argparse.Namespace) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ValueError("--plot needs matplotlib: pip install matplotlib") from error
    gamma = _between(options, 400)
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(gamma.numpy(), transformation(gamma).numpy())
    axes.set(xlabel="gamma", ylabel="alpha", title=f"N = {options.vocab_size}", ylim=(0, 1))
    axes.grid(alpha=0.3)
    figure.savefig(options.plot)


def _write_tables() -> str:
    paths = [cache.SHIPPED_FOLDER / cache.file_name(vocab_size) for vocab_size in cache.SHIPPED]
    for path, vocab_size in zip(paths, cache.SHIPPED, strict=True):
        cache.write(path, cache.compute(vocab_size))
    return "\n".join(f"{path} ({path.stat().st_size} bytes)" for path in paths)


if __name__ == "__main__":
    sys.exit(main())

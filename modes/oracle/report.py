"""The table of mode=oracle."""

import json
import math
from collections.abc import Collection, Mapping, Sequence

from data.markov import MarkovLanguage
from evaluation.bootstrap import SURE, Estimate
from evaluation.oracle.decomposition import Parts
from evaluation.oracle.losses import NATS
from evaluation.rounding import fixed, places_of, with_error
from leaderboard.export.terminal import print_table
from modes.rows import Fields

PERFECT, RUN = "perfect", "run"


def show(rows: Sequence[Fields], language: MarkovLanguage) -> None:
    """Prints the losses of each record, and training's part where both networks were sampled."""
    shown = columns(language.order + 1, rows[0]["metrics"]["losses"])
    several = len({network_of(row) for row in rows}) > 1
    headers = ["sampler", *(["network"] if several else []), "steps", *shown.values()]
    cells: list[list[str]] = []
    for perfect, trained in paired(rows):
        for row in filter(None, (perfect, trained)):
            metrics, steps = row["metrics"], row["sampler"]["steps"]
            losses = [metrics["losses"][key] for key in shown]
            name = f"{row['algo']} {row['sampler']['predictor']}"
            network = [network_of(row)] if several else []
            values = [marked(loss["excess"], loss["stderr"]) for loss in losses]
            cost = [f"{metrics['network_evaluations']:.4g}", f"{metrics['seconds']:.1f}"]
            cells.append([name, *network, "-" if steps is None else str(steps), *values, *cost])
        if trained is not None:
            both = trained["metrics"]["losses"], perfect["metrics"]["losses"]
            parts = [difference(*(losses[key] for losses in both)) for key in shown]
            cells += [["", "training's part", "", *parts, "", ""], []]
    title = f"lost beyond true texts (*: more than {SURE} standard errors)"
    headers += ["evaluations", "seconds"]
    print_table(headers, cells, title, words=1 + several, labels=2 + several)
    foreign = max(row["metrics"]["foreign"] for row in rows)
    if foreign:
        print(f"up to {foreign:.2%} of the tokens of a row are no symbols of the language")


def network_of(row: Fields) -> str:
    return PERFECT if row["network"]["name"] == PERFECT else RUN


def columns(count: int, losses: Collection[str]) -> dict[str, str]:
    """Titles by name of the losses in the table; `count` is the order and one."""
    titles = {NATS: "nats/symbol", f"kl_{count}": f"KL of {count}-grams"}
    titles |= {f"tv_{n}": f"TV of {n}-grams" for n in sorted({1, count, 3})}
    return {name: title for name, title in titles.items() if name in losses}


def paired(rows: Sequence[Fields]) -> list[tuple[Fields, Fields | None]]:
    """Each record of the perfect network with that of the run for the same sampler, if any."""

    def key(row: Fields) -> str:
        return json.dumps(row["protocol"], sort_keys=True)

    trained = {key(row): row for row in rows if network_of(row) == RUN}
    return [(row, trained.get(key(row))) for row in rows if network_of(row) == PERFECT]


def difference(trained: Mapping[str, float], perfect: Mapping[str, float]) -> str:
    error = math.hypot(trained["stderr"], perfect["stderr"])
    return marked(trained["excess"] - perfect["excess"], error)


def marked(value: float, stderr: float) -> str:
    sign = "*" if abs(value) > SURE * stderr else " "
    return f"{with_error(value, stderr, 4)}{sign}"


def likelihood_lines(parts: Parts) -> list[str]:
    """The parts of the trained run's nats, one a line, and their sum."""

    def signed(part: Estimate) -> str:
        return with_error(part.value, part.stderr, 4, "+" if part.value >= 0 else "")

    total = sum(part.value for part in parts)
    places = min(places_of(part.stderr, 4) for part in parts)
    return [
        "nats per symbol of new texts:",
        f"  the language itself          {signed(parts.exact)}",
        f"  the bound, nothing to learn  {signed(parts.bound)}",
        f"  training                     {signed(parts.training)}",
        f"  the run                      {'+' if total >= 0 else ''}{fixed(total, places)}",
    ]

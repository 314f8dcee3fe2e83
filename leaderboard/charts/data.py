"""The data of the charts: records as rows of plain data, each with the group of rows that it may be
compared with and the address of its record."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from evaluation import record_schema
from evaluation.record_files import read_attached_curve
from evaluation.records import Record
from evaluation.rounding import with_error
from evaluation.words import one_line
from leaderboard import labels
from leaderboard.links import Links

Point = dict[str, Any]
ERRORS = 2  # standard errors that a bar shows, and that a point of a frontier must lead by
MOST_POINTS = 10_000  # of all curves together
LEAST_POINTS = 20  # of each
MARKS = 6  # on each


class Groups:
    """Names of groups of comparable rows: one for each key, numbered where two would be equal."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def name(self, words: str, key: Any) -> str:
        mark = record_schema.digest(key)
        if mark not in self._names:
            taken = sum(taken_name.split(" | ")[0] == words for taken_name in self._names.values())
            self._names[mark] = f"{words} | {taken + 1}" if taken else words
        return self._names[mark]


def sampled(links: Links) -> list[Point]:
    """Samples with both a generative perplexity and an entropy, in groups of comparable ones."""
    groups, points = Groups(), []
    for record in links.records:
        metrics = record.metrics
        if record.metric == "samples" and metrics.get("gen_ppl") is not None:
            point = _about(record, links) | _cost(record)
            point |= {"group": groups.name(*_scored(record)), "gen_ppl": metrics["gen_ppl"]}
            point |= _bar("gen_ppl", metrics["gen_ppl"], metrics.get("gen_ppl_stderr"))
            point |= {"entropy": record.value} | _bar("entropy", record.value, record.stderr)
            points.append(point)
    return points


def quality(links: Links) -> list[Point]:
    """One row for every measure of samples, beside their cost."""
    groups, points = Groups(), []
    for record in links.records:
        for measure, value, error, words, key in _measures(record):
            point = _about(record, links) | _cost(record) | {"measure": measure, "value": value}
            point["group"] = groups.name(f"{measure}: {words}", [measure, key])
            machine = labels.machine(record.hardware)
            timed = f"{measure}: {words}, on {machine}"
            point["timed"] = groups.name(timed, [measure, key, machine])
            points.append(point | _bar("value", value, error))
    return points


def curves(links: Links) -> tuple[list[Point], list[str]]:
    """One row for each learning curve, its points as lists; and why some cannot be shown."""
    drawn, problems, groups = [], [], Groups()
    for file, record in _curve_files(links.records).items():
        try:
            curve = read_attached_curve(file)
        except ValueError as error:
            problems.append(one_line(f"{record.path}: its learning curve is not drawn: {error}"))
            continue
        if curve.step:
            drawn.append((record, curve))
    most = max(LEAST_POINTS, MOST_POINTS // max(len(drawn), 1))
    points = []
    for record, curve in drawn:
        words, key = _trained_on(record)
        machine = labels.machine(record.hardware)
        thin = curve.thinned(most)._asdict()
        del thin["stderr"]
        point = _about(record, links) | thin | {"marked": _marked(len(thin["step"]))}
        point["group"] = groups.name(words, key)
        point["timed"] = groups.name(f"{words}, on {machine}", [key, machine])
        points.append(point)
    return points, problems


def _marked(count: int) -> list[bool]:
    """Whether each of `count` points has a mark: MARKS at equal distances, and the last."""
    return [(count - 1 - point) % -(-count // MARKS) == 0 for point in range(count)]


def _about(record: Record, links: Links) -> Point:
    return {
        "series": links.series(record),
        "algo": record.algo,
        "corpus": record.data["name"],
        "seed": record.seed,
        "network": record.network["name"],
        "href": links.href(record),
    }


def _cost(record: Record) -> Point:
    """The cost of a text, and the key of the line through points: all but the number of steps."""
    seconds = record.metrics.get("seconds")
    settings = record.sampler or {}
    line = {k: v for k, v in settings.items() if k not in ("steps", "network_evaluations")}
    run = [record.algo, record.seed, record.checkpoint, record.network["name"]]
    return {
        "sampler": labels.sampler(record),
        "evaluations": record.metrics.get("network_evaluations"),
        "seconds": seconds / record.count if seconds is not None else None,
        "steps": record.steps,
        "line": record_schema.digest([*run, line])[:12],
    }


def ends(name: str, value: float, stderr: float | None) -> Point:
    """The ends of an error bar, above zero for a value that is: a log axis needs it."""
    reach = ERRORS * (stderr or 0.0)
    low = max(value - reach, value / 10) if value > 0 else value - reach
    return {f"{name}_low": low, f"{name}_high": value + reach}


def _bar(name: str, value: float, stderr: float | None) -> Point:
    """The ends of an error bar, and the value with its error as text."""
    return ends(name, value, stderr) | {f"{name}_text": with_error(value, stderr)}


def _measures(record: Record) -> Iterator[tuple[str, float, float | None, str, Any]]:
    """Name, value, standard error and group, in words and as a key, of the measures of a record."""
    metrics = record.metrics
    if record.metric == "oracle":
        key = [record.data["digest"], record.count]
        yield "nats beyond the truth", record.value, record.stderr, record.data["name"], key
    if record.metric == "samples" and metrics.get("gen_ppl") is not None:
        error = metrics.get("gen_ppl_stderr")
        yield "generative perplexity", metrics["gen_ppl"], error, *_scored(record)
    if record.metric == "samples" and metrics.get("divergence") is not None:
        words, key = _drawn_for(record)
        group, error = f"{words}, {record.count:,} texts", metrics.get("divergence_stderr")
        yield (
            "divergence from held-out text",
            metrics["divergence"],
            error,
            group,
            [key, record.count],
        )


def _scored(record: Record) -> tuple[str, Any]:
    """The group of comparable generative perplexities, in words and as a key."""
    words, key = _drawn_for(record)
    scorer, protocol = labels.scoring(record)
    name, digest = scorer.get("scorer", "an unknown model"), str(scorer.get("scorer_digest", ""))
    words = f"{words}, scored by {one_line(name)} {digest[:6]}".rstrip()
    words += f", protocol {protocol['name']}" if protocol.get("name") else ""
    return words, [key, scorer, protocol]


def _drawn_for(record: Record) -> tuple[str, Any]:
    """The corpus, tokenizer and length of samples."""
    name, length = record.data["name"], record.length
    words = name + (f", length {length}" if length else "")
    return words, [name, record.data["digest"], length]


def _trained_on(record: Record) -> tuple[str, Any]:
    """The group of comparable validation losses: corpus, tokenizer, length."""
    name, protocol = record.data["name"], record.protocol
    corpus = record.training.get("corpus") or name
    tokenizer = protocol.get("tokenizer_digest") or protocol.get("tokenizer")
    length = record.config.get("model", {}).get("length", record.length)
    digest = record.data["digest"] if corpus == name else None
    words = f"{corpus}, length {length}, tokenizer {protocol.get('tokenizer')}"
    return words, [corpus, tokenizer, length, digest]


def _curve_files(records: Sequence[Record]) -> dict[Path, Record]:
    """Each curve once, with the record of the text that its run was trained on, if there is one."""
    files: dict[Path, Record] = {}
    for record in records:
        name = record.metrics.get("curve")
        if record.metric != "ppl" or name is None:
            continue
        file = record.path.parent / name
        if file not in files or record.data["name"] == record.training.get("corpus"):
            files[file] = record
    return files

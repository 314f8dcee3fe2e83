"""What the charts show: records as rows of plain data, each with the group it may be compared in
and the address of its record."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from evaluation import record_schema
from evaluation.record_files import read_attached_curve
from evaluation.records import Record
from evaluation.words import one_line
from leaderboard import labels

Point = dict[str, Any]
ERRORS = 2  # standard errors that a bar shows
MOST_POINTS = 10_000  # of all curves together
LEAST_POINTS = 20  # of each
MARKS = 6  # on each


class Naming(NamedTuple):
    """How a record is called in a chart, and where a click on it leads."""

    series: Callable[[Record], str]
    href: Callable[[Record], str]


class Groups:
    """Names of what may be compared: one for each key, told apart where two would read alike."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def name(self, words: str, key: Any) -> str:
        mark = record_schema.digest(key)
        if mark not in self._names:
            taken = sum(one.split(" | ")[0] == words for one in self._names.values())
            self._names[mark] = f"{words} | {taken + 1}" if taken else words
        return self._names[mark]


def sampled(records: Sequence[Record], naming: Naming) -> list[Point]:
    """Samples with a generative perplexity and an entropy, by corpus, length, judge, protocol."""
    groups, points = Groups(), []
    for record in records:
        metrics = record.fields["metrics"]
        if record.fields["metric"] == "samples" and metrics.get("gen_ppl") is not None:
            point = _about(record, naming) | _cost(record)
            point |= {"group": groups.name(*_judged(record)), "gen_ppl": metrics["gen_ppl"]}
            point |= _bar("gen_ppl", metrics["gen_ppl"], metrics.get("gen_ppl_stderr"))
            entropy, error = record.fields["value"], record.fields["stderr"]
            points.append(point | {"entropy": entropy} | _bar("entropy", entropy, error))
    return points


def quality(records: Sequence[Record], naming: Naming) -> list[Point]:
    """Every measure of samples that costs can be held against: one row for each."""
    groups, points = Groups(), []
    for record in records:
        for measure, value, error, (words, key) in _measures(record):
            point = _about(record, naming) | _cost(record) | {"measure": measure, "value": value}
            point["group"] = groups.name(f"{measure}: {words}", [measure, key])
            machine = labels.machine(record.fields["hardware"])
            point["timed"] = groups.name(
                f"{measure}: {words}, on {machine}", [measure, key, machine]
            )
            points.append(point | _bar("value", value, error))
    return points


def curves(records: Sequence[Record], naming: Naming) -> tuple[list[Point], list[str]]:
    """One row for each learning curve, its points as lists; and why some cannot be shown."""
    found, problems, groups = [], [], Groups()
    for file, record in _curve_files(records).items():
        try:
            curve = read_attached_curve(file)
        except ValueError as error:
            problems.append(one_line(f"{record.path}: its learning curve is not drawn: {error}"))
            continue
        if curve.step:
            found.append((record, curve))
    most = max(LEAST_POINTS, MOST_POINTS // max(len(found), 1))
    points = []
    for record, curve in found:
        words, key = _trained_on(record.fields)
        machine = labels.machine(record.fields["hardware"])
        thin = curve.thinned(most)
        point = _about(record, naming) | thin._asdict() | {"marked": _marked(len(thin.step))}
        point["group"] = groups.name(words, key)
        point["timed"] = groups.name(f"{words}, on {machine}", [key, machine])
        points.append(point)
    return points, problems


def sampler_words(fields: Mapping[str, Any]) -> str:
    """The sampler of a record without its steps and without who judges, which stand beside it."""
    sampler = fields["sampler"] or {}
    settings = {k: v for k, v in sampler.items() if k not in ("scorer", "quality")}
    return labels.sampler({"sampler": settings}, settings.get("length"))


def _marked(count: int) -> list[bool]:
    """Which of `count` points of a line get a mark: some at equal distances, and the last."""
    return [(count - 1 - place) % -(-count // MARKS) == 0 for place in range(count)]


def _about(record: Record, naming: Naming) -> Point:
    fields = record.fields
    return {
        "series": naming.series(record),
        "algo": fields["algo"],
        "corpus": fields["data"]["name"],
        "seed": fields["seed"],
        "network": fields["network"]["name"],
        "href": naming.href(record),
    }


def _cost(record: Record) -> Point:
    """What a text cost, and what draws the line through points: all but the number of steps."""
    fields, metrics = record.fields, record.fields["metrics"]
    seconds = metrics.get("seconds")
    settings = {k: v for k, v in (fields["sampler"] or {}).items() if k != "steps"}
    return {
        "sampler": sampler_words(fields),
        "evaluations": metrics.get("network_evaluations"),
        "seconds": seconds / fields["count"] if seconds is not None and fields["count"] else None,
        "steps": (fields["sampler"] or {}).get("steps"),
        "line": record_schema.digest(
            [
                fields["algo"],
                fields["seed"],
                fields["training"]["checkpoint_digest"],
                fields["network"]["name"],
                {k: v for k, v in settings.items() if k != "network_evaluations"},
            ]
        )[:12],
    }


def _bar(name: str, value: float, stderr: float | None) -> Point:
    """The ends of an error bar, above zero for a value that is: a log axis needs it."""
    reach = ERRORS * (stderr or 0.0)
    low = value - reach
    return {
        f"{name}_low": max(low, value / 10) if value > 0 else low,
        f"{name}_high": value + reach,
        f"{name}_stderr": stderr,
    }


def _measures(record: Record) -> list[tuple[str, float, float | None, tuple[str, Any]]]:
    """Name, value, standard error and group of what a record says of texts."""
    fields, metrics = record.fields, record.fields["metrics"]
    if fields["metric"] == "oracle":
        words, key = f"{fields['data']['name']}", [fields["data"]["digest"], fields["count"]]
        return [("nats beyond the truth", fields["value"], fields["stderr"], (words, key))]
    if fields["metric"] != "samples":
        return []
    found = []
    if metrics.get("gen_ppl") is not None:
        error = metrics.get("gen_ppl_stderr")
        found.append(("generative perplexity", metrics["gen_ppl"], error, _judged(record)))
    if metrics.get("divergence") is not None:
        words, key = _drawn_for(fields)
        group = f"{words}, {fields['count']:,} texts", [key, fields["count"]]
        error = metrics.get("divergence_stderr")
        found.append(("divergence from held-out text", metrics["divergence"], error, group))
    return found


def _judged(record: Record) -> tuple[str, Any]:
    """What generative perplexities must share, in words and as a key."""
    metrics = record.fields["metrics"]
    words, key = _drawn_for(record.fields)
    judge, protocol = metrics.get("gen_ppl_scorer") or {}, metrics.get("quality_protocol") or {}
    name, digest = one_line(judge.get("scorer", "a judge")), str(judge.get("scorer_digest", ""))[:6]
    said = f"{words}, judged by {name} {digest}".rstrip()
    named = protocol.get("name")
    return said + (f", protocol {named}" if named else ""), [key, judge, protocol]


def _drawn_for(fields: Mapping[str, Any]) -> tuple[str, Any]:
    """The corpus, tokenizer and length of samples."""
    length = fields["protocol"].get("length")
    words = f"{fields['data']['name']}" + (f", length {length}" if length else "")
    return words, [fields["data"]["name"], fields["data"]["digest"], length]


def _trained_on(fields: Mapping[str, Any]) -> tuple[str, Any]:
    """What validation losses must share: corpus, tokenizer, length."""
    corpus = fields["training"].get("corpus") or fields["data"]["name"]
    protocol = fields["protocol"]
    tokenizer = protocol.get("tokenizer_digest") or protocol.get("tokenizer")
    length = fields["config"].get("model", {}).get("length", protocol.get("length"))
    own = fields["data"]["digest"] if corpus == fields["data"]["name"] else None
    words = [str(corpus), f"length {length}", f"tokenizer {protocol.get('tokenizer')}"]
    return ", ".join(words), [corpus, tokenizer, length, own]


def _curve_files(records: Sequence[Record]) -> dict[Path, Record]:
    """Each curve once, with the record of the text that the run was trained on where there is
    one."""
    files: dict[Path, Record] = {}
    for record in records:
        fields, name = record.fields, record.fields["metrics"].get("curve")
        if fields["metric"] != "ppl" or name is None:
            continue
        file = record.path.parent / name
        if file not in files or fields["data"]["name"] == fields["training"].get("corpus"):
            files[file] = record
    return files
